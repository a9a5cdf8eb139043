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
from gym_stepwise_routing.baselines.verifiers.hub import (
    RATING,
    HubPrm,
    LargeModelRater,
    PrmStyle,
    check_rater,
    judge_bank,
)
from gym_stepwise_routing.baselines.verifiers.text import Trace
from gym_stepwise_routing.generators.tokenizers import weights_sha256
from gym_stepwise_routing.pool import Model

TRACE = Trace("Question: What is 1 + 2?\nAnswer:", ("Add them.", "1 + 2 = 3."))
LINES = "Question: What is 1 + 2?\nAnswer:\nAdd them.\n1 + 2 = 3."


@pytest.fixture(scope="module")
def folder():
    return trained(0, 5)


def test_a_tag_model_compares_two_tokens_after_the_step(folder):
    prm = HubPrm(folder, PrmStyle(separator="\n", good="1", bad="2"))
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        logits = model(**tokenizer(f"{LINES}\n", return_tensors="pt")).logits[0, -1]
    good, bad = (logits[tokenizer(text)["input_ids"][-1]] for text in ("1", "2"))
    assert prm.score(TRACE) == pytest.approx(torch.sigmoid(good - bad).item(), abs=1e-6)
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
        logits = model(**tokenizer(f"{LINES}\n", return_tensors="pt")).logits[0, -1]
    prm = HubPrm(tmp_path, PrmStyle("labels", separator="\n"))
    assert prm.score(TRACE) == pytest.approx(torch.softmax(logits, 0)[1].item(), abs=1e-6)
    assert prm.as_model().parameters == sum(p.numel() for p in model.parameters())


def test_the_rater_says_a_digit(folder):
    rater = LargeModelRater(folder)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        logits = model(**tokenizer(LINES + RATING, return_tensors="pt")).logits[0, -1]
    digits = [logits[tokenizer(str(digit))["input_ids"][-1]].item() for digit in range(10)]
    assert rater.score(TRACE) == np.argmax(digits) / 9


def test_the_rating_is_charged_with_its_question_and_its_digit(folder):
    charged = LargeModelRater(folder).as_model(Model("big", parameters=7e9, licence="MIT"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert charged.prompt_tokens == len(tokenizer(RATING, add_special_tokens=False)["input_ids"]) > 20
    assert (charged.name, charged.parameters, charged.licence, charged.decoded_tokens) == (
        "big (rating)",
        7e9,
        "MIT",
        1,
    )


def test_only_the_largest_model_rates(folder):
    own = weights_sha256(str(folder))
    check_rater(folder, Model("big", weights_sha256=own))
    with pytest.raises(ValueError, match=f"has weights with hash {own}; allowed: those of the bank's largest model"):
        check_rater(folder, Model("big", weights_sha256="0" * 64))
    check_rater("org/big", Model("big", weights_sha256="0" * 64))  # a hub name has no hash before it is fetched
    with pytest.raises(ValueError, match="is not named like the bank's largest model; allowed: 'big'"):
        check_rater("org/other", Model("big"))


def test_the_tag_stands_after_every_step(folder):
    assert PrmStyle().text(Trace("Q", ("a", "b"))) == "Q\na ки\nb ки"
    assert PrmStyle("labels", separator="\n").text(Trace("Q", ("a", "b"))) == "Q\na\nb\n"
    assert HubPrm(folder, PrmStyle(separator=" 7 8", good="1", bad="2")).as_model().prompt_tokens > 1


def test_remote_code_is_run_only_if_asked_for(monkeypatch, folder):
    asked = []

    def loaded(kind):
        original = kind.from_pretrained

        def load(*arguments, trust_remote_code, **named):
            asked.append(trust_remote_code)
            return original(*arguments, **named)

        return load

    for kind in (hub.AutoTokenizer, hub.AutoModelForCausalLM):
        monkeypatch.setattr(kind, "from_pretrained", loaded(kind))
    LargeModelRater(folder)
    LargeModelRater(folder, trust_remote_code=True)
    assert asked == [False, False, True, True]


def test_every_step_of_a_bank_is_judged(monkeypatch):
    class Judge:
        def score(self, trace):
            return len(trace.steps[-1]) % 10 / 9

    bank = Bank.open("gsm8k-qwen2.5-coder")
    monkeypatch.setattr(
        hub, "bank_traces", lambda bank, questions: {4: Trace("q", ("abc",)), 7: Trace("q", ("b", "a"))}
    )
    scores = judge_bank(bank, [], Judge())
    assert scores[4] == pytest.approx(3 / 9)
    assert scores[7] == pytest.approx(1 / 9)
    assert np.isfinite(scores).sum() == 2
