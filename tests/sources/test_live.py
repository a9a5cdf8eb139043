"""Live models behind the environment, against a recording of the same models."""

from __future__ import annotations

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from generator_fakes import FakeGenerator
from gymnasium.vector import AutoresetMode

from gym_stepwise_routing.costs.ledger import KINDS
from gym_stepwise_routing.costs.models import Caching, Model, ModelPool
from gym_stepwise_routing.datasets import Problem
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.generators import Completion, Failure, Request, StepRule
from gym_stepwise_routing.generators.prompts import PromptTemplate
from gym_stepwise_routing.recorder.grow import RecordingStats, grow_trees
from gym_stepwise_routing.recorder.settings import RecordingSettings
from gym_stepwise_routing.sources.contract import StepSource
from gym_stepwise_routing.sources.live import LiveSource
from gym_stepwise_routing.types import TOKEN_CLASS_FIGURES

PROMPT = PromptTemplate("plain", "Q: {question}\nA:\n")
POOL = ModelPool([Model("small", 1e9), Model("large", 7e9)])
RNG = np.random.default_rng(0)


def problems(count: int = 3) -> list[Problem]:
    return [Problem("toy", "test", i, f"What is {i}?", str(i)) for i in range(count)]


def lines(name: str) -> FakeGenerator:
    def write(prompt: str, prefix: str) -> str:
        asked = prompt.split("What is ")[1].split("?")[0]
        rest = [f"{name} {n}" for n in range(prefix.count("\n"), 2)]
        return "\n".join([*rest, f"The answer is {asked}."]) + "\n\n"

    return FakeGenerator(name, write)


def source(**changes: object) -> LiveSource:
    arguments = {"problems": {"test": problems()}, "generators": [lines("small"), lines("large")], "pool": POOL}
    return LiveSource(**(arguments | {"prompt": PROMPT, "rule": StepRule(horizon=4)} | changes))  # type: ignore[arg-type]


def test_is_a_step_source() -> None:
    assert isinstance(source(), StepSource)


def test_engines_are_never_copied() -> None:
    live = source()
    env = gym.make("StepwiseRouting-v0", source=live, split="test", normaliser=1e9)
    assert env.unwrapped.game.source is live  # type: ignore[attr-defined]
    assert env.spec is not None
    assert env.spec.kwargs["source"] is live


def test_each_model_writes_its_step_and_the_trace_ends_with_the_answer() -> None:
    live = source()
    state = live.start(live.problems("test"), RNG)
    state = live.step(state, np.array([0, 1, 0]), RNG)
    assert list(live.texts(state.latent)) == ["small 0", "large 0", "small 0"]
    assert state.tokens.tolist() == [8, 8, 8]
    state = live.step(state, np.array([1, 1, 1]), RNG)
    assert not state.terminal.any()
    state = live.step(state, np.array([1, 0, 1]), RNG)
    assert state.terminal.all()
    assert state.correct.all()
    assert not state.available.any()
    assert state.depth.tolist() == [3, 3, 3]


def test_one_step_costs_one_request_and_one_token_to_see_that_it_goes_on() -> None:
    live = source()
    live.step(live.start(live.problems("test"), RNG), np.array([0, 0, 0]), RNG)
    calls = live.generators[0].calls  # type: ignore[attr-defined]
    assert sorted(request.max_tokens for request in calls) == [1, 1, 1, 200, 200, 200]
    assert all("\n" in request.stop for request in calls)


def test_the_last_step_at_the_horizon_is_all_the_rest() -> None:
    live = source(rule=StepRule(horizon=2))
    state = live.start(live.problems("test"), RNG)
    for _ in range(2):
        state = live.step(state, np.zeros(3, dtype=np.int64), RNG)
    assert list(live.texts(state.latent))[2] == "small 1\nThe answer is 2."
    assert state.terminal.all()


def test_a_state_is_never_changed() -> None:
    live = source()
    before = live.start(live.problems("test"), RNG)
    live.step(before, np.array([0, 1, 0]), RNG)
    assert before.depth.tolist() == [0, 0, 0]
    assert list(live.texts(before.latent)) == ["", "", ""]


def test_a_model_that_fails_is_masked_for_that_step_only() -> None:
    def write(prompt: str, prefix: str) -> str | Failure:
        return "fine\n" if prefix else Failure("small: no answer in 5 s", retryable=True)

    live = source(generators=[FakeGenerator("small", write), lines("large")])
    start = live.start(live.problems("test"), RNG)
    state = live.step(start, np.array([0, 1, 0]), RNG)
    assert state.failed.tolist() == [True, False, True]
    assert state.available.tolist() == [[False, True], [True, True], [False, True]]
    assert state.depth.tolist() == [0, 1, 0]
    assert state.latent["reason"][0] == "small: no answer in 5 s"
    state = live.step(state, np.array([1, 0, 1]), RNG)
    assert not state.failed.any()
    assert state.available.all()


def test_a_server_that_cannot_count_a_prompt_is_masked_with_its_reason_and_asked_again() -> None:
    small = lines("small")
    counting = small.count

    def down(prompts: object) -> list[int]:
        raise ValueError("small: status 503 (overload)")

    live = source()
    live.generators[0].count = down  # type: ignore[method-assign]
    env = gym.make("StepwiseRouting-v0", source=live, split="test", normaliser=1e9)
    _, info = env.reset(seed=0)
    assert info["action_mask"].tolist() == [False, True]
    assert info["failed"] == 1
    assert env.unwrapped.failed_reason == "small: status 503 (overload)"
    _, _, _, _, info = env.step(1)
    assert info["action_mask"].tolist() == [False, True]
    assert info["failed"] == 0
    live.generators[0].count = counting  # type: ignore[method-assign]
    _, info = env.reset(seed=0)
    assert info["action_mask"].all()


def test_nothing_is_shared_of_a_prompt_that_was_not_counted() -> None:
    """Else the question would have fewer than no tokens, and its logarithm be NaN."""
    live = source(prompt=PromptTemplate("few-shot", "Q: What is 1 + 1? A: 2\n\nQ: {question}\nA:\n"))

    def down(prompts: object) -> list[int]:
        raise ValueError("small: status 503")

    live.generators[0].count = down  # type: ignore[method-assign]
    assert live.describe(live.problems("test")).shared_prefix.tolist() == [[0, 8]] * 3
    env = gym.make("StepwiseRouting-v0", source=live, split="test", normaliser=1e9)
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    assert np.isfinite(observation).all()


@pytest.mark.parametrize("mode", ["route", "regenerate"])
def test_info_names_the_model_that_failed_and_why(mode: str) -> None:
    def write(prompt: str, prefix: str) -> str | Failure:
        return "fine\nmore\nmore\n" if prefix else Failure("small: no answer in 5 s", retryable=True)

    live = source(generators=[FakeGenerator("small", write), lines("large")])
    env = gym.make("StepwiseRouting-v0", source=live, split="test", normaliser=1e9, mode=mode)
    _, info = env.reset(seed=0)
    if mode == "route":
        assert info["failed"] == 0
        _, _, _, _, info = env.step(0)
    assert info["failed"] == 1
    assert env.unwrapped.failed_reason == "small: no answer in 5 s"
    _, _, _, _, info = env.step(1)
    assert info["failed"] == 0


@pytest.mark.parametrize("autoreset", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_infos_of_many_episodes_name_who_failed_as_that_of_one_does(autoreset: AutoresetMode) -> None:
    """Drafts fail before the first step of an episode only; every trace has three steps."""
    small = lines("small")
    write = small._write
    small._write = lambda prompt, prefix: write(prompt, prefix) if prefix else Failure("small: no answer", True)
    live = source(generators=[small, lines("large")])
    game = {"source": live, "split": "test", "normaliser": 1e9, "mode": "regenerate"}
    one = gym.make("StepwiseRouting-v0", **game)
    many = gym.make_vec("StepwiseRouting-v0", num_envs=2, autoreset_mode=autoreset, **game)
    same_step = autoreset == AutoresetMode.SAME_STEP
    _, expected = one.reset(seed=0)
    _, info = many.reset(seed=0)
    for _ in range(3):
        assert info["failed"].tolist() == [expected["failed"]] * 2
        assert many.failed_reason == (one.unwrapped.failed_reason,) * 2
        expected = one.step(1)[4]
        *_, info = many.step(np.array([1, 1]))
    assert expected["failed"] == 0
    if same_step:
        assert not info["final_info"]["failed"].any()
    else:
        assert not info["failed"].any()
        *_, info = many.step(np.array([1, 1]))
    assert many.failed_reason == ("small: no answer",) * 2  # the next episodes', from their beginning on
    assert info["failed"].all()


def test_a_server_without_log_probabilities_ends_at_the_horizon_with_all_the_rest() -> None:
    blind = lines("small")
    blind._tell = False
    live = source(generators=[blind, lines("large")], rule=StepRule(horizon=1))
    state = live.step(live.start(live.problems("test"), RNG), np.array([0, 0, 0]), RNG)
    assert live.texts(state.latent)[0] == "small 0\nsmall 1\nThe answer is 0."
    assert state.terminal.all()


def test_nothing_is_scored_live_and_the_verifier_of_a_banks_pool_is_not_charged() -> None:
    live = source(pool=ModelPool(POOL.models, Model("judge", 7e9)))
    with pytest.raises(NotApplicableError, match="block 'verifier': live 'live' has no verifier scores; allowed"):
        gym.make("StepwiseRouting-v0", source=live, split="test", normaliser=1e9, observation=("progress", "verifier"))
    env = gym.make("StepwiseRouting-v0", source=live, split="test", normaliser=1e9)
    env.reset(seed=0)
    over = False
    while not over:
        _, reward, over, _, info = env.step(0)
    assert reward == 1
    assert not info["ledger"][2].any()


def test_probe_reads_one_token_of_the_smallest_model() -> None:
    live = source()
    figures, decoded, ahead = live.probe(live.start(live.problems("test"), RNG), RNG)
    assert ahead is None
    assert decoded.all()
    assert figures.shape == (3, 2)
    assert np.isfinite(figures).all()
    assert [request.max_tokens for request in live.generators[0].calls] == [1, 1, 1]  # type: ignore[attr-defined]


def test_a_probe_is_charged_where_a_token_came_back_with_or_without_log_probabilities() -> None:
    """As a bank that was recorded without them charges it; a probe that failed costs nothing."""
    small = lines("small")
    small._tell = False
    write = small._write
    small._write = lambda prompt, prefix: Failure("down", True) if prefix else write(prompt, prefix)
    live = source(generators=[small, lines("large")])
    env = gym.make("StepwiseRouting-v0", source=live, split="test", normaliser=1e9, observation=("probe",))
    observation, _ = env.reset(seed=0)
    assert observation.tolist() == [0, 0, 0]
    *_, info = env.step(1)
    assert dict(zip(KINDS, info["ledger"][0], strict=True))["probe"] == 1
    charged = info["ledger"][0].tolist()
    *_, info = env.step(1)
    assert len(small.calls) == 3
    assert info["ledger"][0].tolist() == charged


def test_a_model_without_log_probabilities_gives_missing_figures() -> None:
    blind = lines("small")
    blind._tell = False
    live = source(generators=[blind, lines("large")])
    state = live.step(live.start(live.problems("test"), RNG), np.array([0, 1, 0]), RNG)
    assert np.isnan(state.confidence[0]).all()
    assert np.isfinite(state.confidence[1]).all()


def test_describe_counts_tokens_and_words() -> None:
    live = source()
    known = live.describe(live.problems("test"))
    assert known.prompt_tokens.tolist() == [[5, 5]] * 3
    assert known.question.tolist() == [[10, 3, 1, 1]] * 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"generators": [lines("small")]}, "one for each"),
        ({"problems": {"dev": problems()}}, "split='dev'"),
        ({"problems": {"test": problems(), "train": problems(1)}}, "same question twice"),
    ],
)
def test_bad_arguments_are_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        source(**changes)


class Telling(FakeGenerator):
    """Says what its cache served: 3 tokens of the first request of a step, and more of the look that follows."""

    def _run(self, request: Request) -> Completion | Failure:
        result = super()._run(request)
        return replace(result, cached_tokens=3 if request.max_tokens > 1 else 99)  # type: ignore[type-var]


@pytest.mark.parametrize("reported", [True, False])
def test_what_a_server_says_its_cache_served_reaches_the_ledger(reported: bool) -> None:
    large = Telling("large", lines("large")._write)
    pool = ModelPool([Model("small", 1e9), Model("large", 7e9, caching=Caching(smallest=1000, reported=reported))])
    live = source(generators=[lines("small"), large], pool=pool)
    env = gym.make("StepwiseRouting-v0", source=live, split="test", normaliser=1e9)
    env.reset(seed=0)
    prompt = len(["Q:", "What", "is", "0?", "A:"])
    told = 3 if reported else 0  # by the rule nothing: the requests are too short
    env.step(1)
    *_, info = env.step(1)
    ledger = dict(zip(KINDS, info["ledger"][1], strict=True))
    assert ledger["cached"] == 2 * told
    assert ledger["prefill"] == prompt + (prompt + 8) - 2 * told
    assert ledger["kept"] == 16


def test_of_problems_with_tables_the_block_shows_what_a_recording_keeps() -> None:
    table = (("Name", "Size"), ("small", "0"))
    asked = [problems()[0], replace(problems()[1], table=table)]
    live = source(problems={"test": asked})
    rule, pool = StepRule(horizon=4), [lines("small"), lines("large")]
    settings = RecordingSettings(PROMPT, mode="route", rule=rule)
    grown = grow_trees(asked, pool, settings, RecordingStats([0, 0]))
    nodes = {tree["problem"]["index"]: tree["nodes"] for tree in grown}
    state = live.start(live.problems("test"), RNG)
    assert state.classes is not None
    assert np.isnan(state.classes).all()
    node = 0
    for model in (0, 1, 0):
        state = live.step(state, np.array([model, model]), RNG)
        assert state.classes is not None
        owner = nodes[1][node].get("same_as", node)
        node = next(n["id"] for n in nodes[1] if n["parent"] == owner and n["model"] == model)
        told = [nodes[1][node].get(name, np.nan) for name in TOKEN_CLASS_FIGURES]
        np.testing.assert_array_equal(state.classes[1], np.array(told, np.float32))
        assert np.isnan(state.classes[0]).all()  # that problem has no table
    assert not {"table_tokens"} & set().union(*nodes[0])
    env = gym.make(
        "StepwiseRouting-v0", source=live, split="test", normaliser=1e9, observation=("progress", "token_classes")
    )
    env.reset(seed=0, options=None)
    assert "table_share" in env.unwrapped.feature_names  # type: ignore[attr-defined]


def test_without_tables_there_is_no_such_block() -> None:
    with pytest.raises(NotApplicableError, match="block 'token_classes': live 'live' has no figures by class of token"):
        gym.make("StepwiseRouting-v0", source=source(), split="test", normaliser=1e9, observation=("token_classes",))
