"""Recorded and live traces: of scripted models that write what is awkward to cut, and of two small real ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from generator_fakes import FakeGenerator

from gym_stepwise_routing.costs.models import Model, ModelPool
from gym_stepwise_routing.datasets import Problem
from gym_stepwise_routing.generators import StepRule
from gym_stepwise_routing.generators.prompts import PromptTemplate
from gym_stepwise_routing.recorder.recording import record
from gym_stepwise_routing.recorder.settings import RecordingSettings
from gym_stepwise_routing.recorder.store import TreeStore, read_trees
from gym_stepwise_routing.sources.live import LiveSource
from gym_stepwise_routing.types import SOURCES

PROMPT = PromptTemplate("plain", "Q: {question}\nA:\n")
POOL = ModelPool([Model("small", 1e9), Model("large", 7e9)])
PROBLEM = Problem("toy", "test", 0, "How many?", "3")


def scripted(name: str, lines: list[str], *, lead: str = "", end: str = "") -> FakeGenerator:
    """Writes its lines one character a token, goes on with those of others, and begins its part with ``lead``."""

    def write(prompt: str, prefix: str) -> str:
        head, _, begun = prefix.rpartition("\n")
        done = [line for line in head.split("\n") if line]
        mine = [f"{name} {line}" for line in lines]
        left = mine[len(done) :]
        rest = "\n".join(left) + end if left else end.removeprefix("\n")
        if begun or prefix.endswith("\n\n") or prefix == "\n" or (done and done[-1].startswith(name)):
            return rest[len(begun) :] if rest.startswith(begun) else ""
        return lead + rest

    return FakeGenerator(name, write)


CASES: dict[str, tuple[Callable[[str], FakeGenerator], StepRule]] = {
    "a step that starts with a newline": (
        lambda name: scripted(name, ["one", "two", "The answer is 3."], lead="\n"),
        StepRule(horizon=5),
    ),
    "an end of two newlines, each a token": (
        lambda name: scripted(name, ["one", "two", "three"], end="\n\nNext"),
        StepRule(horizon=5),
    ),
    "an end of text after a newline": (lambda name: scripted(name, ["one", "two"], end="\n"), StepRule(horizon=5)),
    "an end by the next question": (
        lambda name: scripted(name, ["one", "two"], end="\nQuestion: more"),
        StepRule(horizon=5),
    ),
    "a line that begins like a stop string": (
        lambda name: scripted(name, ["one", "Quest", "The answer is 3."]),
        StepRule(horizon=5),
    ),
    "a short last line": (
        lambda name: scripted(name, ["first line", "second line", "ok"]),
        StepRule(horizon=5, min_characters=12),
    ),
    "a token limit at the end of a line": (lambda name: scripted(name, ["one", "two"]), StepRule(max_tokens=10)),
    "short lines in the middle": (
        lambda name: scripted(name, ["1", "second line", "3", "fourth line", "The answer is 3."]),
        StepRule(horizon=5, min_characters=10),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_every_sequence_of_models_gives_the_same_trace(case: str, tmp_path: Path) -> None:
    make, rule = CASES[case]
    store = TreeStore(tmp_path / "trees.jsonl")
    record([PROBLEM], [make("small"), make("large")], store, RecordingSettings(PROMPT, rule=rule))
    (tree,) = read_trees(store.path)
    children = {(node["parent"], node["model"]): node for node in tree["nodes"] if node["parent"] is not None}
    live = LiveSource({"test": [PROBLEM]}, [make("small"), make("large")], pool=POOL, prompt=PROMPT, rule=rule)
    rng = np.random.default_rng(0)
    for models in product((0, 1), repeat=rule.horizon):
        state, here = live.start(live.problems("test"), rng), 0
        for model in models:
            node = children[here, model]
            here = node.get("same_as", node["id"])
            state = live.step(state, np.array([model]), rng)
            assert (live.texts(state.latent)[0], int(state.tokens[0])) == (node["text"], node["tokens"])
            assert bool(state.terminal[0]) == node.get("terminal", False)
            assert bool(np.isfinite(state.confidence[0, 0])) == ("margin_first" in node)
            if state.terminal[0]:
                break
        assert state.terminal[0]


@pytest.fixture(scope="module")
def recorded_and_live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, object], LiveSource]]:
    """Banks recorded with two small models, by the mode of the recording, and the same models live."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from tiny_models import PROMPT as TEMPLATE
    from tiny_models import trained

    from gym_stepwise_routing.generators.specs import GeneratorSpec
    from gym_stepwise_routing.recorder.problem_selection import Selection
    from gym_stepwise_routing.recorder.session import RecordingSession

    folder = tmp_path_factory.mktemp("live")
    (folder / "sums.jsonl").write_text(
        "".join(f'{{"question": "{a} + {b} + 3", "answer": {a + b + 3}}}\n' for a in range(4) for b in range(3)),
        encoding="utf-8",
    )
    paths: list[Path] = [trained(seed=0, steps=60), trained(seed=1, steps=150)]
    specs = tuple(GeneratorSpec(backend="transformers", model=str(path), name=path.name).repeatable() for path in paths)
    selection = Selection.parse(f"{folder / 'sums.jsonl'}@test", data=None, grading="numeric")
    banks, prompt = {}, PromptTemplate("sums", TEMPLATE)
    for mode in ("route", "restart"):
        settings = RecordingSettings(prompt, mode=mode)  # type: ignore[arg-type]
        session = RecordingSession(specs, (selection,), settings, folder / mode, "test", "MIT")
        session.run()
        banks[mode] = session.bank(f"sums-{mode}")
    generators = [spec.build() for spec in specs]
    pool = banks["route"].pool
    live = LiveSource({"test": list(selection.problems)}, generators, pool=pool, prompt=prompt, rule=settings.rule)
    yield banks, live
    live.close()


def test_live_gives_what_was_recorded(recorded_and_live: tuple[dict[str, object], LiveSource]) -> None:
    from gym_stepwise_routing.sources.recorded import BankSource

    banks, live = recorded_and_live
    played = BankSource(banks["route"])  # type: ignore[arg-type]
    order = {identity: number for number, identity in enumerate(live.problem_ids(live.problems("test")))}
    mine = played.problems("test")
    theirs = np.array([order[identity] for identity in played.problem_ids(mine)])
    np.testing.assert_array_equal(played.describe(mine).prompt_tokens, live.describe(theirs).prompt_tokens)
    np.testing.assert_array_equal(played.describe(mine).question, live.describe(theirs).question)
    rng = np.random.default_rng(3)
    one, other = played.start(mine, rng), live.start(theirs, rng)
    steps = 0
    while len(one):
        models = rng.integers(0, 2, len(one))
        one, other = played.step(one, models, rng), live.step(other, models, rng)
        steps += len(one)
        assert list(played.texts(one.latent)) == list(live.texts(other.latent))
        for name in ("depth", "model", "tokens", "terminal", "correct", "available"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
        np.testing.assert_allclose(one.confidence, other.confidence, atol=3e-4)
        going = ~one.terminal
        one, other = one.take(going), other.take(going)
    assert steps >= 24


@pytest.mark.parametrize("mode", ["route", "restart"])
def test_live_observations_equal_those_of_the_bank(
    mode: str, recorded_and_live: tuple[dict[str, object], LiveSource]
) -> None:
    import gym_stepwise_routing  # noqa: F401
    from gym_stepwise_routing.sources.recorded import BankSource

    banks, live = recorded_and_live
    blocks = ("progress", "confidence", "aggregates", "ledger", "question")
    options = {"split": "test", "mode": mode, "cost_unit": "large_calls", "observation": blocks}
    recorded = gym.make("StepwiseRouting-v0", source=BankSource(banks[mode]), **options)  # type: ignore[arg-type]
    normaliser = recorded.unwrapped.game.normaliser  # type: ignore[attr-defined]
    playing = gym.make("StepwiseRouting-v0", source=live, normaliser=normaliser, **options)
    rng, begun = np.random.default_rng(5), 0
    for identity in live.problem_ids(live.problems("test"))[:6]:
        one, _ = recorded.reset(seed=1, options={"problem": identity})
        other, info = playing.reset(seed=1, options={"problem": identity})
        assert SOURCES[info["source"]] == "live"
        over = False
        while not over:
            np.testing.assert_allclose(one, other, atol=3e-4)
            action = int(rng.choice(np.flatnonzero(recorded.unwrapped.action_masks())))  # type: ignore[attr-defined]
            begun += action
            one, reward, ended, cut, facts = recorded.step(action)
            other, live_reward, live_ended, live_cut, live_facts = playing.step(action)
            assert (reward, ended, cut) == (live_reward, live_ended, live_cut)
            assert facts["cost"] == pytest.approx(live_facts["cost"])
            over = ended or cut
    assert begun > 0
