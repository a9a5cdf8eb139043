"""The account of how traces end, in the manifest, in what is printed, and in warnings that name the likely cause."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from generator_fakes import FakeGenerator
from rich.console import Console

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.banks.jsonl import export_jsonl
from gym_stepwise_routing.banks.manifest import Dataset, Endings, Manifest
from gym_stepwise_routing.cli.endings_report import print_endings
from gym_stepwise_routing.costs.models import Model
from gym_stepwise_routing.datasets import Problem
from gym_stepwise_routing.generators import StepRule
from gym_stepwise_routing.generators.generator import GeneratorInfo
from gym_stepwise_routing.generators.prompts import PromptTemplate
from gym_stepwise_routing.recorder.endings import count_endings, ending_warnings, grade_warnings
from gym_stepwise_routing.recorder.finished_bank import bank_from_recording
from gym_stepwise_routing.recorder.recording import record
from gym_stepwise_routing.recorder.recording_manifest import recording_manifest, seal_manifest
from gym_stepwise_routing.recorder.settings import RecordingSettings
from gym_stepwise_routing.recorder.store import TreeStore, read_trees

RULE = StepRule(horizon=3, max_tokens=24, repeat_limit=2)
SETTINGS = RecordingSettings(PromptTemplate("plain", "Q: {question}\nA:\n"), mode="escalate", rule=RULE)
NONE = Endings(traces=0, unanswered=0, answer=0, stop=0, length=0, repetition=0, empty=0)


def made(folder: Path, write: Any, problems: int = 2) -> Bank:
    """A bank of a model that writes so, and of one that answers."""
    infos = [GeneratorInfo("fake 1", name, 10, "ab" * 32, 100, 2, "cd" * 32) for name in ("small", "large")]
    manifest = recording_manifest(
        settings=SETTINGS,
        models=[Model("small", 10.0), Model("large", 20.0)],
        generators=infos,
        shared_prefix=[1, 1],
        datasets={"toy": Dataset(question_field="question", source="made up", licence="CC0-1.0")},
        command="record",
        licence="MIT",
    )
    seal_manifest(folder, manifest)
    store = TreeStore(folder / "trees-0.jsonl")
    pool = [FakeGenerator("small", write), FakeGenerator("large", lambda prompt, prefix: "The answer is 4.")]
    record([Problem("toy", "test", i, f"What is {i}?", "4") for i in range(problems)], pool, store, SETTINGS)
    store.close()
    return bank_from_recording(folder, name="toy")


@pytest.mark.parametrize(
    ("text", "kind", "unanswered"),
    [
        ("The answer is 4.", "answer", 0),
        ("I do not know.", "stop", 2),
        ("So\n\nThe answer is 4.", "stop", 2),
        ("On and on and on and on and on", "length", 2),
        ("so\nso\nso", "repetition", 2),
        ("", "empty", 2),
    ],
)
def test_each_ending_is_counted_for_the_model_that_wrote_last(
    tmp_path: Path, text: str, kind: str, unanswered: int
) -> None:
    bank = made(tmp_path, lambda prompt, prefix: text)
    assert bank.manifest.endings is not None
    small, large = bank.manifest.endings["small"], bank.manifest.endings["large"]
    assert small == replace(NONE, traces=2, unanswered=unanswered, **{kind: 2})
    assert large == replace(NONE, traces=large.traces, answer=large.traces)
    assert large.traces >= 2
    assert Manifest.load(bank.path / "bank.json").endings == bank.manifest.endings


def test_a_bank_with_endings_gives_back_the_very_trees(tmp_path: Path) -> None:
    bank = made(tmp_path, lambda prompt, prefix: "I do not know.")
    export_jsonl(bank, tmp_path / "again.jsonl")
    assert list(read_trees(tmp_path / "again.jsonl")) == list(read_trees(tmp_path / "trees.jsonl"))
    ends = [node for tree in read_trees(tmp_path / "again.jsonl") for node in tree["nodes"] if "terminal" in node]
    assert {node["ending"] for node in ends} == {"stop", "answer"}


def test_trees_of_before_endings_were_kept_count_as_traces_alone() -> None:
    ends = {"model": 0, "text": "a", "terminal": True, "final_answer": None, "correct": False}
    counts = count_endings([{"nodes": [{"id": 0}, ends]}], ["small", "large"])
    assert counts == {"small": replace(NONE, traces=1, unanswered=1), "large": NONE}


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({"unanswered": 21, "length": 21, "answer": 79}, ["21% of 100 traces have no readable answer", "--max-tokens"]),
        ({"unanswered": 100, "stop": 100}, ["100% of 100", "a stop string ends them, before they answer"]),
        ({"unanswered": 30, "repetition": 30}, ["30% of 100", "repeat themselves"]),
        ({"unanswered": 30, "answer": 100}, ["30% of 100", "--grading"]),
        ({"unanswered": 6, "empty": 6}, ["6% of 100 traces are empty", "chat=true"]),
    ],
)
def test_a_warning_names_the_likely_cause(counts: dict[str, int], words: list[str]) -> None:
    (warning,) = ending_warnings({"small": replace(NONE, traces=100, **counts)})
    assert all(word in warning for word in ["small: ", *words])


@pytest.mark.parametrize(
    "counts",
    [
        {"traces": 100, "unanswered": 20, "length": 20},
        {"traces": 100, "empty": 5},
        {"traces": 1, "empty": 1, "unanswered": 1},
        {"traces": 12, "unanswered": 4, "length": 4},
        {"traces": 0},
    ],
)
def test_no_warning_below_the_limits_or_of_what_chance_does(counts: dict[str, int]) -> None:
    assert ending_warnings({"small": replace(NONE, **counts)}) == []


@pytest.mark.parametrize("traces", [2, 12, 19])
def test_a_short_recording_in_which_nothing_is_right_is_warned_of(traces: int) -> None:
    warnings = ending_warnings({"small": replace(NONE, traces=traces, empty=traces, unanswered=traces)})
    assert [f"100% of {traces} traces" in warning for warning in warnings] == [True, True]


@pytest.mark.parametrize("text", ["\n\n\n", "   ", "\r\n\r\n", "\u200b", "\ufeff", "\x00"])
def test_a_trace_in_which_nothing_can_be_seen_is_empty(tmp_path: Path, text: str) -> None:
    bank = made(tmp_path, lambda prompt, prefix: text)
    assert bank.manifest.endings is not None
    assert bank.manifest.endings["small"] == replace(NONE, traces=2, unanswered=2, empty=2)


def test_a_recording_without_a_right_trace_is_warned_of() -> None:
    (warning,) = grade_warnings(1200, 0)
    assert warning.startswith("none of 1,200 traces is graded as right: look at --grading")
    assert grade_warnings(1200, 1) == grade_warnings(0, 0) == []


def test_the_account_is_printed_with_its_shares() -> None:
    console = Console(record=True, width=200)
    assert print_endings(console, {"small": replace(NONE, traces=40, unanswered=10, answer=30, length=10), "big": NONE})
    text = console.export_text()
    assert "25.0%" in text
    assert "75.0%" in text
    assert "warning: small: 25% of 40 traces have no readable answer; the token limit" in text
    assert not print_endings(console, None)


def test_names_and_numbers_are_whole_at_80_columns() -> None:
    console = Console(record=True, width=80)
    count = replace(NONE, traces=47616, answer=47616)
    print_endings(console, {"Qwen2.5-Coder-0.5B-Instruct": count, "small": count})
    text = console.export_text()
    assert "…" not in text
    assert "Qwen2.5-Coder-0.5B-Instruct 47,616" in text


def test_counts_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="no more than all traces"):
        Endings(traces=1, unanswered=0, answer=1, stop=1, length=0, repetition=0, empty=0)
