"""Process reward models and raters with tiny models, against the same figures computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("transformers", reason="hub verifiers need the llm extra")

import torch
from tiny_models import trained
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForTokenClassification

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.baselines.verifiers import bank_judging, hub
from gym_stepwise_routing.baselines.verifiers.bank_judging import check_weights, judge_bank, prompt_of, small_steps
from gym_stepwise_routing.baselines.verifiers.hub import (
    RATING,
    HubPrm,
    LargeModelRater,
    MaxLogit,
    PrmStyle,
)
from gym_stepwise_routing.baselines.verifiers.step_texts import Trace
from gym_stepwise_routing.costs.models import Latency, Model, Price
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.generators.tokenizers import weights_sha256

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
    assert prm.scores([TRACE])[0] == pytest.approx(torch.sigmoid(good - bad).item(), abs=1e-6)
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
    assert prm.scores([TRACE])[0] == pytest.approx(torch.softmax(logits, 0)[1].item(), abs=1e-6)
    assert prm.as_model().parameters == sum(p.numel() for p in model.parameters())


def test_the_rating_is_the_expected_digit(folder):
    rater = LargeModelRater(folder)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        logits = model(**tokenizer(LINES + RATING, return_tensors="pt")).logits[0, -1]
    digits = [logits[tokenizer(str(digit))["input_ids"][-1]].item() for digit in range(10)]
    chances = np.exp(digits) / np.exp(digits).sum()
    assert rater.scores([TRACE])[0] == pytest.approx(sum(chances * range(10)) / 9, abs=1e-6)


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


def test_only_the_banks_own_model_rates(folder):
    own = weights_sha256(str(folder))
    check_weights(folder, Model("big", weights_sha256=own))
    with pytest.raises(ValueError, match=f"has weights with hash {own}; allowed: those of the bank's 'big'"):
        check_weights(folder, Model("big", weights_sha256="0" * 64))
    check_weights("org/big", Model("big", weights_sha256="0" * 64))  # a hub name has no hash before it is fetched
    with pytest.raises(ValueError, match="is not named like the bank's model; allowed: 'big'"):
        check_weights("org/other", Model("big"))


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


TREE = [
    TRACE,
    Trace(TRACE.question, TRACE.steps[:1]),
    Trace(TRACE.question, ("Add them.", "1 + 2 = 4.")),
    Trace(TRACE.question, ("3.",)),
]


@pytest.mark.parametrize("most", [1, 60, 10_000])
def test_a_tree_read_together_is_scored_as_its_texts_alone(monkeypatch, folder, most):
    monkeypatch.setattr(hub, "PACK_TOKENS", most)
    for judge in (HubPrm(folder, PrmStyle(separator="\n", good="1", bad="2")), MaxLogit(folder, "{question}\n")):
        alone = np.concatenate([judge.scores([trace]) for trace in TREE])
        np.testing.assert_allclose(judge.scores(TREE), alone, atol=1e-6)
        assert len(set(alone.round(5))) == len(TREE)


def test_the_largest_logits_are_those_that_the_step_was_written_by(folder):
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    before = tokenizer("Go: Question: What is 1 + 2?\nAnswer:\nAdd them.\n")["input_ids"]
    whole = tokenizer(f"Go: {LINES}")["input_ids"]
    assert whole[: len(before)] == before  # else the step's tokens would not be those after the text before it
    with torch.no_grad():
        logits = model(torch.tensor([whole])).logits[0]
    mean = logits[len(before) - 1 : -1].amax(dim=1).mean().item()
    assert MaxLogit(folder, "Go: {question}\n").scores([TRACE])[0] == pytest.approx(mean / 100, abs=1e-6)


def test_logits_cost_nothing_where_the_model_has_a_price(folder):
    priced = Model("small", 5e8, Price(1.0, 0.1, 2.0, "2026-11-24", "somewhere"), Latency(0.1, 0.2, 0.3, "here"))
    charged = MaxLogit(folder, "{question}").as_model(priced)
    assert (charged.name, charged.parameters) == ("small (max-logit)", 1.0)
    assert (charged.price.input, charged.price.cached_input, charged.price.output) == (0, 0, 0)
    assert (charged.latency.prefill, charged.latency.decode, charged.latency.overhead) == (0, 0, 0)
    assert MaxLogit(folder, "{question}").as_model(Model("small", 5e8)).price is None


def test_logits_are_read_again_behind_a_known_prompt_only():
    bank = Bank.open("gsm8k-qwen2.5-coder")
    assert "{question}" in prompt_of(bank)
    closed = Bank.open("gsm8k-closed-models")
    with pytest.raises(NotApplicableError, match="logits can be read again behind a known prompt"):
        prompt_of(closed)


class Judge:
    """Scores by the length of the last step, and remembers how many it was asked for."""

    def __init__(self):
        self.asked = 0

    def scores(self, traces):
        self.asked += len(traces)
        return np.array([len(trace.steps[-1]) % 10 / 9 for trace in traces])


def test_every_step_of_a_bank_is_judged(monkeypatch):
    bank = Bank.open("gsm8k-qwen2.5-coder")
    monkeypatch.setattr(
        bank_judging, "bank_traces", lambda bank, questions: {4: Trace("q", ("abc",)), 7: Trace("q", ("b", "a"))}
    )
    scores = judge_bank(bank, [], Judge())
    assert scores[4] == pytest.approx(3 / 9)
    assert scores[7] == pytest.approx(1 / 9)
    assert np.isfinite(scores).sum() == 2


def test_a_broken_off_scoring_goes_on_where_it_was():
    bank = Bank.open("gsm8k-qwen2.5-coder")
    questions, rows = [""] * len(bank.problem_ids), small_steps(bank)
    whole = judge_bank(bank, questions, Judge(), rows=rows)
    assert np.array_equal(np.flatnonzero(np.isfinite(whole)), rows)

    saved = []

    def save(scores):
        saved.append(scores.copy())
        if len(saved) == 3:
            raise OSError("no space left")

    first, second = Judge(), Judge()
    with pytest.raises(OSError, match="no space left"):
        judge_bank(bank, questions, first, rows=rows, save=save)
    assert np.array_equal(judge_bank(bank, questions, second, rows=rows, known=saved[-1]), whole, equal_nan=True)
    assert first.asked + second.asked == len(rows)
    assert 0 < first.asked < second.asked


def test_small_steps_are_what_the_smallest_model_writes():
    bank = Bank.open("gsm8k-qwen2.5-coder")
    rows = small_steps(bank)
    assert (bank.model[rows] == 0).all()
    assert set(np.flatnonzero((bank.model == 0) & (bank.depth > 0))) == set(rows.tolist())


def test_a_bank_without_texts_is_not_scored():
    closed = Bank.open("gsm8k-closed-models")
    with pytest.raises(NotApplicableError, match="no step texts"):
        judge_bank(closed, [""] * len(closed.problem_ids), Judge())
