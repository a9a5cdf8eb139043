"""The bank as a step source: look-ups equal the recorded trees, and it keeps the contract of a step source."""

import pickle

import numpy as np
import pytest

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.sources.contract import StepSource
from gym_stepwise_routing.sources.recorded import BankSource
from gym_stepwise_routing.types import CONFIDENCE, SPLITS

BUNDLED = "gsm8k-qwen2.5-coder"


@pytest.fixture(scope="module")
def source():
    return BankSource(BUNDLED)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def everything(source):
    return np.concatenate([source.problems(split) for split in SPLITS])


def test_it_is_a_step_source_and_says_what_it_is(source):
    assert isinstance(source, StepSource)
    assert (source.kind, source.name, source.simulated, source.deterministic) == ("bank", BUNDLED, False, True)
    assert source.horizon == 5
    assert source.modes == ("route", "escalate", "regenerate", "restart")
    assert source.pool == source.bank.pool


def test_a_bank_may_be_given_by_name_path_or_itself(source):
    assert BankSource(source.bank).bank is source.bank
    assert BankSource(source.bank.path).bank.hash == source.bank.hash


def test_what_is_known_before_the_first_step(source):
    problems = everything(source)
    known = source.describe(problems)
    assert known.prompt_tokens.shape == known.shared_prefix.shape == (1440, 2)
    assert known.prompt_tokens.dtype == known.shared_prefix.dtype == np.int64
    assert (known.shared_prefix == 452).all()
    assert (known.prompt_tokens > known.shared_prefix).all()
    assert known.question.shape == (1440, 4)
    assert known.question.dtype == np.float32
    assert source.problem_ids(np.array([0, 1439])) == ["gsm8k/test/0", "gsm8k/train/1039"]


def test_start(source, rng):
    state = source.start(everything(source), rng)
    np.testing.assert_array_equal(state.problem, everything(source))
    assert (state.depth == 0).all()
    assert (state.model == -1).all()
    assert (state.tokens == 0).all()
    assert np.isnan(state.confidence).all()
    assert np.isnan(state.score).all()
    assert not (state.terminal | state.correct | state.failed).any()
    assert state.available.all()
    assert source.texts(state.latent) == [""] * 1440


def test_random_walks_follow_the_recorded_trees(source, rng):
    """Against a walk along ``parent`` and ``model`` instead of ``child``."""
    bank = source.bank
    repeats = bank.nodes.same_as
    state = source.start(everything(source), rng)
    while not state.terminal.all():
        state = state.take(~state.terminal)
        models = rng.integers(0, 2, len(state))
        after = source.step(state, models, rng)
        np.testing.assert_array_equal(after.model, models)
        np.testing.assert_array_equal(after.depth, state.depth + 1)
        np.testing.assert_array_equal(after.problem, state.problem)
        assert (after.tokens > 0).all()
        before, nodes = state.latent["node"], after.latent["node"]
        np.testing.assert_array_equal(bank.nodes.parent[nodes], np.where(repeats[before] >= 0, repeats[before], before))
        np.testing.assert_array_equal(after.available.any(axis=1), ~after.terminal)
        np.testing.assert_array_equal(after.confidence, bank.confidence[nodes])
        assert source.texts(after.latent)[0] == bank.text(nodes[0])
        state = after
    assert state.depth.max() <= 5


def test_the_same_choices_give_the_same_trace_whatever_the_generator(source):
    first = source.start(np.arange(1440), np.random.default_rng(1))
    second = source.start(np.arange(1440), np.random.default_rng(2))
    choices = np.random.default_rng(3).integers(0, 2, 1440)
    first = source.step(first, choices, np.random.default_rng(4))
    second = source.step(second, choices, np.random.default_rng(5))
    np.testing.assert_array_equal(first.latent["node"], second.latent["node"])


def test_probe(source, rng):
    state = source.start(everything(source), rng)
    figures, decoded, ahead = source.probe(state, rng)
    assert decoded.all()
    drafted = source.step(state, np.zeros(1440, dtype=np.int64), rng)
    wanted = drafted.confidence[:, [CONFIDENCE.index("entropy_first"), CONFIDENCE.index("margin_first")]]
    assert figures.dtype == np.float32
    np.testing.assert_array_equal(figures, wanted)
    np.testing.assert_array_equal(ahead.latent["node"], drafted.latent["node"])
    assert not ahead.failed.any()


@pytest.fixture
def partial(tmp_path):
    """A bank in which the small model's step was recorded at the root of one of two problems only."""
    import json

    from gym_stepwise_routing.banks.jsonl import import_jsonl

    end = {"terminal": True, "final_answer": "1", "correct": True}
    step = {"parent": 0, "depth": 1, "text": "a", "tokens": 3, **end}
    lines = []
    for index, models in enumerate([(0, 1), (1,)]):
        problem = {"dataset": "gsm8k", "split": "train", "index": index, "question_sha256": str(index)}
        problem |= {"answer": "1", "prompt_tokens": 500}
        nodes = [{"id": 0, "parent": None, "depth": 0}]
        nodes += [step | {"id": model + 1, "model": model, "entropy_first": 0.5} for model in models]
        lines.append(json.dumps({"problem": problem, "nodes": nodes}))
    (tmp_path / "trees.jsonl").write_text("\n".join(lines))
    recipe = Bank.open(BUNDLED).manifest.recipe
    return BankSource(import_jsonl(tmp_path / "trees.jsonl", recipe, tmp_path / "bank"))


def test_a_step_that_was_not_recorded_is_not_available(partial, rng):
    state = partial.start(np.arange(2), rng)
    assert state.available.tolist() == [[True, True], [False, True]]
    words = r"models\[1\]=0: .* no such step of gsm8k/train/1 at depth 0; allowed: \[1\]"
    with pytest.raises(ValueError, match=words):
        partial.step(state, np.array([1, 0]), rng)


def test_an_ended_trace_cannot_be_continued(partial, rng):
    state = partial.step(partial.start(np.arange(2), rng), np.array([1, 1]), rng)
    assert state.terminal.all()
    assert state.correct.all()
    with pytest.raises(ValueError, match="allowed: none, the trace has ended"):
        partial.step(state, np.array([1, 1]), rng)


def test_a_probe_without_a_recorded_step(partial, rng):
    state = partial.start(np.arange(2), rng)
    figures, decoded, ahead = partial.probe(state, rng)
    assert decoded.tolist() == [True, False]
    np.testing.assert_array_equal(figures, np.array([[0.5, np.nan], [np.nan, np.nan]], dtype=np.float32))
    assert ahead.failed.tolist() == [False, True]
    assert ahead.depth.tolist() == [1, 0]
    assert ahead.latent["node"].tolist() == [partial.bank.child[0, 0], state.latent["node"][1]]
    assert np.isnan(partial.describe(np.arange(2)).question).all()


def test_it_pickles(source, rng):
    again = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(
        again.start(np.arange(3), rng).latent["node"], source.start(np.arange(3), rng).latent["node"]
    )
