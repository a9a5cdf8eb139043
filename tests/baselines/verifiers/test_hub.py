"""Process reward models and raters with tiny models, against the same figures computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("transformers", reason="hub verifiers need the llm extra")

import torch
from tiny_models import trained
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForTokenClassification

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.baselines.verifiers import hub
from gym_stepwise_routing.baselines.verifiers.hub import RATING, HubPrm, LargeModelRater, PrmStyle, judge_bank
from gym_stepwise_routing.baselines.verifiers.text import Judged

STEP = Judged("Question: What is 1 + 2?\nAnswer:", "1 + 2 = 3.")


@pytest.fixture(scope="module")
def folder():
    return trained(0, 5)


def test_a_tag_model_compares_two_tokens_after_the_step(folder):
    prm = HubPrm(folder, PrmStyle(separator="\n", good="1", bad="2"))
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        logits = model(**tokenizer(f"{STEP.before}\n{STEP.step}\n", return_tensors="pt")).logits[0, -1]
    good, bad = (logits[tokenizer(text)["input_ids"][-1]] for text in ("1", "2"))
    assert prm.score(STEP) == pytest.approx(torch.sigmoid(good - bad).item(), abs=1e-6)
    with pytest.raises(ValueError, match="are one token"):
        HubPrm(folder, PrmStyle(good="1", bad="1"))


def test_a_token_classifier_is_read_at_the_separator(folder, tmp_path):
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_labels=2,
    )
    model = LlamaForTokenClassification(config).eval()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with torch.no_grad():
        logits = model(**tokenizer(f"{STEP.before}\n{STEP.step}\n", return_tensors="pt")).logits[0, -1]
    prm = HubPrm(tmp_path, PrmStyle("labels", separator="\n"))
    assert prm.score(STEP) == pytest.approx(torch.softmax(logits, 0)[1].item(), abs=1e-6)
    assert prm.as_model().parameters == sum(p.numel() for p in model.parameters())


def test_the_rater_says_a_digit(folder):
    rater = LargeModelRater(folder)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    prompt = RATING.format(before=STEP.before, step=STEP.step)
    with torch.no_grad():
        logits = model(**tokenizer(prompt, return_tensors="pt")).logits[0, -1]
    digits = [logits[tokenizer(str(digit))["input_ids"][-1]].item() for digit in range(10)]
    assert rater.score(STEP) == np.argmax(digits) / 9


def test_every_step_of_a_bank_is_judged(monkeypatch):
    class Judge:
        def score(self, step):
            return len(step.step) % 10 / 9

    bank = Bank.open("gsm8k-qwen2.5-coder")
    monkeypatch.setattr(hub, "bank_steps", lambda bank, questions: {4: Judged("q", "abc"), 7: Judged("q", "a")})
    scores = judge_bank(bank, [], Judge())
    assert scores[4] == pytest.approx(3 / 9)
    assert scores[7] == pytest.approx(1 / 9)
    assert np.isfinite(scores).sum() == 2
