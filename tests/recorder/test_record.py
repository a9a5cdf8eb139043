"""A recording from beginning to end, with generators that need no model."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generator_fakes import FakeGenerator

from gym_stepwise_routing.banks.records import read_trees as read_strictly
from gym_stepwise_routing.datasets import Problem
from gym_stepwise_routing.errors import RecordingError
from gym_stepwise_routing.generators import Failure, StepRule
from gym_stepwise_routing.generators.prompts import PromptTemplate
from gym_stepwise_routing.grading import Grade
from gym_stepwise_routing.recorder.grow import RecordingStats, grow_trees
from gym_stepwise_routing.recorder.recording import record
from gym_stepwise_routing.recorder.settings import RecordingSettings
from gym_stepwise_routing.recorder.store import TreeStore, read_trees

PROMPT = PromptTemplate("plain", "Q: {question}\nA:\n")
SETTINGS = RecordingSettings(PROMPT, rule=StepRule(horizon=4), in_flight=3)


def problems(count: int) -> list[Problem]:
    return [Problem("toy", "test", i, f"What is {i}?", str(i)) for i in range(count)]


def writer(name: str, lines: int, right: bool) -> FakeGenerator:
    """Writes lines named after itself, then states the answer."""

    def write(prompt: str, prefix: str) -> str:
        asked = int(prompt.split("What is ")[1].split("?")[0])
        done = prefix.count("\n")
        rest = [f"{name} line {n}" for n in range(done, lines)]
        return "\n".join([*rest, f"The answer is {asked if right else asked + 1}.", "", "Question: "])

    return FakeGenerator(name, write)


def pool() -> list[FakeGenerator]:
    return [writer("small", 3, right=False), writer("large", 3, right=True)]


def test_all_trees_are_complete_and_of_the_strict_interchange_form(tmp_path: Path) -> None:
    store = TreeStore(tmp_path / "trees.jsonl")
    stats = record(problems(7), pool(), store, SETTINGS)
    trees = list(read_strictly(store.path))
    assert (stats.trees, len(trees)) == (7, 7)
    assert stats.nodes == sum(len(tree.nodes) - 1 for _, tree in trees) == 7 * (2 + 4 + 8 + 16)
    for _, tree in trees:
        asked = {node.id: set() for node in tree.nodes if not node.terminal}
        for node in tree.nodes[1:]:
            asked[node.parent].add(node.model)  # type: ignore[index]
        assert all(models == {0, 1} for models in asked.values())


def test_who_writes_the_last_step_decides_and_verdicts_say_so(tmp_path: Path) -> None:
    store = TreeStore(tmp_path / "trees.jsonl")
    record(problems(1), pool(), store, SETTINGS)
    (tree,) = read_trees(store.path)
    ends = [node for node in tree["nodes"] if node.get("terminal")]
    assert all(node["correct"] == (node["model"] == 1) for node in ends)


def test_metering_is_what_the_engine_decoded_for_each_prefix(tmp_path: Path) -> None:
    store = TreeStore(tmp_path / "trees.jsonl")
    record(problems(1), pool(), store, SETTINGS)
    (tree,) = read_trees(store.path)
    first = next(node for node in tree["nodes"] if node["depth"] == 1 and node["model"] == 0)
    assert first["tokens"] == len("small line 0\n")
    assert tree["problem"]["prompt_tokens"] == 10


def test_models_with_other_tokenizers_keep_their_own_prompt_counts(tmp_path: Path) -> None:
    store = TreeStore(tmp_path / "trees.jsonl")
    small = pool()[0]
    large = FakeGenerator("large", lambda prompt, prefix: "The answer is 0.", prompt_tokens=12)
    record(problems(1), [small, large], store, SETTINGS)
    ((_, tree),) = read_strictly(store.path)
    assert tree.problem.prompt_tokens == (10, 12)


def test_one_step_at_a_time_gives_the_same_tree_without_figures(tmp_path: Path) -> None:
    whole, single = TreeStore(tmp_path / "whole.jsonl"), TreeStore(tmp_path / "single.jsonl")
    record(problems(2), pool(), whole, SETTINGS)
    blind = pool()
    for generator in blind:
        generator._tell = False
    record(problems(2), blind, single, SETTINGS)
    for one, other in zip(read_trees(whole.path), read_trees(single.path), strict=True):
        texts = [(n.get("text"), n.get("model"), n["depth"], n.get("correct")) for n in one["nodes"]]
        assert sorted(map(str, texts)) == sorted(
            str((n.get("text"), n.get("model"), n["depth"], n.get("correct"))) for n in other["nodes"]
        )
    assert not any("entropy_mean" in node for tree in read_trees(single.path) for node in tree["nodes"])


def test_recorded_problems_are_not_asked_again(tmp_path: Path) -> None:
    store = TreeStore(tmp_path / "trees.jsonl")
    record(problems(3), pool(), store, SETTINGS)
    again = pool()
    stats = record(problems(5), again, store, SETTINGS)
    assert stats.trees == 2
    assert not any("What is 0?" in request.prompt for request in again[0].calls)


def test_a_problem_that_does_not_fit_is_reported_and_the_others_go_on(tmp_path: Path) -> None:
    def write(prompt: str, prefix: str) -> str | Failure:
        return Failure("large: prompt of 9 tokens", retryable=False) if "What is 1?" in prompt else "The answer is 0."

    store = TreeStore(tmp_path / "trees.jsonl")
    stats = record(problems(4), [pool()[0], FakeGenerator("large", write)], store, SETTINGS)
    assert stats.failed == {"toy/test/1": "large: prompt of 9 tokens"}
    assert store.ids == {"toy/test/0", "toy/test/2", "toy/test/3"}


def test_a_model_that_is_down_stops_the_recording_and_trees_are_kept(tmp_path: Path) -> None:
    store = TreeStore(tmp_path / "trees.jsonl")
    record(problems(2), pool(), store, SETTINGS)
    down = FakeGenerator("large", lambda prompt, prefix: Failure("large: connection refused", retryable=True))
    with pytest.raises(RecordingError, match=r"5 problems in a row failed.*connection refused"):
        record(problems(20), [pool()[0], down], store, SETTINGS)
    assert store.ids == {"toy/test/0", "toy/test/1"}


def test_a_failure_that_may_pass_is_tried_once_more_at_the_end(tmp_path: Path) -> None:
    left = {"What is 1?": 1, "What is 2?": 9}

    def write(prompt: str, prefix: str) -> str | Failure:
        for question in left:
            if question in prompt and left[question] > 0:
                left[question] -= 1
                return Failure("large: status 503", retryable=True)
        return "The answer is 0."

    store = TreeStore(tmp_path / "trees.jsonl")
    stats = record(problems(4), [pool()[0], FakeGenerator("large", write)], store, SETTINGS)
    assert stats.failed == {"toy/test/2": "large: status 503"}
    assert store.ids == {"toy/test/0", "toy/test/1", "toy/test/3"}
    assert left["What is 2?"] == 7


@pytest.mark.parametrize(("in_flight", "count", "bad"), [(24, 5, 1), (3, 10, 9), (8, 20, 18)])
def test_a_failure_among_the_last_trees_is_tried_once_more(
    tmp_path: Path, in_flight: int, count: int, bad: int
) -> None:
    """Nothing was left to be tried again when the last problems were taken; that says nothing of what is left later."""
    left = [Failure("large: status 503", retryable=True)]

    def write(prompt: str, prefix: str) -> str | Failure:
        return left.pop() if left and f"What is {bad}?" in prompt else "The answer is 0."

    store = TreeStore(tmp_path / "trees.jsonl")
    settings = replace(SETTINGS, in_flight=in_flight)
    stats = record(problems(count), [pool()[0], FakeGenerator("large", write)], store, settings)
    assert stats.failed == {}
    assert len(store.ids) == count


def test_requests_of_a_tree_that_was_given_up_are_withdrawn_and_its_tokens_count(tmp_path: Path) -> None:
    small = pool()[0]
    failing = FakeGenerator("large", lambda prompt, prefix: Failure("large: too long", retryable=False))
    stats = RecordingStats([0, 0])
    list(grow_trees(problems(4), [failing, small], SETTINGS, stats))
    assert small.pending == failing.pending == 0
    assert len(small.calls) == 4
    decoded = [entry for entry in small.calls if entry not in small.cancelled]
    assert (stats.tokens[1] > 0) == (len(decoded) > 0)
    assert small.cancelled


def test_a_run_whose_tokens_are_lost_is_asked_for_step_by_step(tmp_path: Path) -> None:
    whole, redone = TreeStore(tmp_path / "whole.jsonl"), TreeStore(tmp_path / "redone.jsonl")
    record(problems(2), pool(), whole, SETTINGS)
    forgetful = pool()
    for generator in forgetful:
        generator.forget = lambda request: "\n" not in request.stop
    record(problems(2), forgetful, redone, SETTINGS)
    for one, other in zip(read_trees(whole.path), read_trees(redone.path), strict=True):
        texts = [
            sorted((n["depth"], n.get("model"), n.get("text"), n["depth"] == 4 or n["tokens"]) for n in t["nodes"][1:])
            for t in (one, other)
        ]
        assert texts[0] == texts[1]


def test_gradings_that_were_cut_off_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gym_stepwise_routing.grading.numeric.grade_number", lambda *_: Grade("1", False, True))
    stats = record(problems(2), pool(), TreeStore(tmp_path / "trees.jsonl"), SETTINGS)
    assert stats.timed_out == 2 * 16


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"prompt_tokens": 0}, r"prompt_tokens is \(10, 0\); allowed: 1 to"),
        ({"prompt_tokens": 3}, "3 prompt tokens for model 1; allowed: more than the 4 that all problems share"),
        ({"tokens": 2**40, "pieces": (), "logprob": np.zeros(0), "top": np.zeros((0, 0))}, "tokens is 1099511627776"),
        ({"text": "half \ud83d", "pieces": (), "logprob": np.zeros(0), "top": np.zeros((0, 0))}, "surrogates"),
        ({"logprob": np.full(16, 0.5)}, r"logprob_mean is 0\.5, out of range"),
        ({"top": np.full((16, 2), 1.0)}, "entropy_mean is -5.4.*out of range"),
    ],
)
def test_what_could_be_no_part_of_a_bank_is_a_failure_of_its_problem(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    """A generator of anybody's may tell anything; the rules are those by which the bank is checked."""

    class Faulty(FakeGenerator):
        def poll(self) -> list[tuple[Any, Any]]:
            asked = dict(self._waiting)
            results = super().poll()
            return [
                (key, replace(run, **changes) if "What is 1?" in asked[key].prompt else run) for key, run in results
            ]

    large = Faulty("large", lambda prompt, prefix: "The answer is 0.")
    store = TreeStore(tmp_path / "trees.jsonl")
    stats = record(problems(3), [pool()[0], large], store, SETTINGS, shared_prefix=[4, 4])
    assert list(stats.failed) == ["toy/test/1"]
    assert re.search(reason, stats.failed["toy/test/1"])
    assert store.ids == {"toy/test/0", "toy/test/2"}
    assert len(list(read_strictly(store.path))) == 2


def test_one_model_is_no_pool(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 2"):
        record(problems(1), pool()[:1], TreeStore(tmp_path / "trees.jsonl"), SETTINGS)
