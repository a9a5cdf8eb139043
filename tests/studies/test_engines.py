"""Where texts of two engines part, and a page of made-up runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from generator_fakes import FakeGenerator

from gym_stepwise_routing.datasets import Problem
from gym_stepwise_routing.generators import Failure, StepRule
from gym_stepwise_routing.generators.prompts import PromptTemplate
from gym_stepwise_routing.generators.specs import GENERATORS
from studies.engines.differences import compare, first_difference, read_runs

pytest.importorskip("typer")

from studies.engines.__main__ import main, page_of
from studies.engines.play import STEPS, play
from studies.shares import Share

PROMPT = PromptTemplate("plain", "Q: {question}\nA:\n")


def test_the_study_of_engines_adds_no_backend_by_being_imported() -> None:
    assert set(GENERATORS) == {"openai", "transformers", "vllm"}


@pytest.mark.parametrize(
    ("one", "other", "at"),
    [([1, 2], [1, 2], None), ([1, 2], [1, 3], 1), ([1], [1, 2], 1), ([], [5], 0), ([4], [5], 0)],
)
def test_where_texts_part(one: list[int], other: list[int], at: int | None) -> None:
    assert first_difference(one, other) == first_difference(other, one) == at


def test_an_exact_interval_of_none_in_a_hundred() -> None:
    share = Share.of([False] * 100)
    assert (share.low, round(share.high, 4)) == (0.0, 0.0362)


def run(folder: Path, name: str, engine: str, dtype: str, changed: dict[int, tuple[list[int], str]]) -> None:
    lines = []
    for index in range(10):
        ids, answer = changed.get(index, ([7, 8, 9, index], "1"))
        line = {"index": index, "engine": engine, "dtype": dtype, "batch": 1, "ids": ids, "steps": 1, "tokens": 4}
        line |= {"margin": [0.9, 0.5, 0.1, 0.3][: len(ids)], "answer": answer, "correct": answer == "1"}
        lines.append(json.dumps(line))
    (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_the_page_counts_texts_answers_and_verdicts(tmp_path: Path) -> None:
    run(tmp_path, "a", "transformers 5", "float32", {})
    run(tmp_path, "b", "other 1", "bfloat16", {2: ([7, 8, 0, 2], "1"), 5: ([7, 0], "3"), 6: ([7, 8, 9], "1")})
    runs = read_runs(tmp_path)
    reference = runs["transformers 5, float32, batch 1"]
    found = compare("transformers 5, float32, batch 1", "other 1, bfloat16, batch 1", runs, reference)
    assert (found.texts.count, found.answers.count, found.verdicts.count, found.texts.n) == (3, 1, 1, 10)
    assert (found.first, found.median, found.margin) == ((1, 2, 3), 2.0, 0.3)
    page = page_of(runs, "made up").markdown()
    assert "3 of 10 [6.7, 65.2] %" in page
    main(tmp_path, tmp_path / "out", "made up")
    written = json.loads((tmp_path / "out" / "engines.json").read_text("utf-8"))
    assert written["results"]["pairs"][0]["first"] == [1, 2, 3]


def test_runs_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no"):
        read_runs(tmp_path)
    run(tmp_path, "b", "other 1", "bfloat16", {})
    with pytest.raises(ValueError, match="at least two"):
        page_of(read_runs(tmp_path), "made up")
    run(tmp_path, "c", "other 2", "bfloat16", {})
    with pytest.raises(ValueError, match="transformers in float32"):
        page_of(read_runs(tmp_path), "made up")
    with (tmp_path / "c.jsonl").open("a", encoding="utf-8") as stream:
        stream.write((tmp_path / "b.jsonl").read_text("utf-8"))
    with pytest.raises(ValueError, match="one engine a file"):
        read_runs(tmp_path)


def test_steps_are_asked_for_one_by_one_with_their_newlines() -> None:
    texts = {"": "One.\nmore", "One.\n": "Two.\nmore", "One.\nTwo.\n": "The answer is 3.\nmore"}
    generator = FakeGenerator("fake", lambda prompt, prefix: texts[prefix])
    (trace,) = play(generator, [Problem("toy", "test", 0, "What?", "3")], PROMPT, StepRule())
    assert (trace.text, trace.steps) == ("One.\nTwo.\nThe answer is 3.\n", 3)
    assert [request.prefix for request in generator.calls] == list(texts)
    assert len(trace.margin) == trace.tokens == len(trace.text)  # the fake writes a token a character


def test_a_trace_without_an_answer_ends_and_a_failure_is_raised() -> None:
    problem = Problem("toy", "test", 0, "What?", "3")
    (trace,) = play(FakeGenerator("fake", lambda prompt, prefix: "On.\nmore"), [problem], PROMPT, StepRule())
    assert trace.steps == STEPS
    with pytest.raises(RuntimeError, match="toy/test/0: down"):
        play(FakeGenerator("fake", lambda prompt, prefix: Failure("down", False)), [problem], PROMPT, StepRule())
