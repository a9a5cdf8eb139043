"""Recorded and live traces of scripted models that write what is awkward to cut."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

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
