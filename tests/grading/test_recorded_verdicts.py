"""Today's graders give the ended traces of the bundled banks the verdicts that were recorded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.banks.questions import join_questions
from gym_stepwise_routing.datasets import Problem
from gym_stepwise_routing.grading import GRADERS


def ended_traces(bank: Bank) -> Iterator[tuple[int, str]]:
    """Row and whole text of every ended trace."""
    parent, texts = bank.nodes.parent.tolist(), bank.read("texts.parquet")["text"].to_pylist()
    for row in np.flatnonzero(bank.terminal).tolist():
        steps, node = [], row
        while parent[node] >= 0:
            steps.append(texts[node])
            node = parent[node]
        yield row, "\n".join(reversed(steps))


def test_gsm8k() -> None:
    bank = Bank.open("gsm8k-qwen2.5-coder")
    grade, answers = GRADERS.get("numeric").make(), bank.problems.answer.to_pylist()
    graded = 0
    for row, text in ended_traces(bank):
        problem = int(bank.nodes.problem[row])
        found = grade(text, Problem("gsm8k", "test", problem, "not asked by this grader", answers[problem]))
        assert (found.answer, found.correct) == (bank.final_answer(row), bank.correct[row]), row
        graded += 1
    assert graded == 22_585


@pytest.mark.parametrize("share", [8, pytest.param(1, marks=pytest.mark.slow)])
def test_math500(shared_dir: Path, share: int) -> None:
    """Every eighth; all of them are slow. The question is asked: two traces answer "by what percent" with a sign."""
    pytest.importorskip("math_verify")
    bank = Bank.open("math500-qwen2.5-coder")
    data = shared_dir / "data"
    questions = join_questions(
        bank, {"math500/test": data / "math500" / "test.jsonl", "math/train": data / "math" / "train.jsonl"}
    )
    grade, answers = GRADERS.get("math").make(), bank.problems.answer.to_pylist()
    grade.timeout = 60.0  # type: ignore[attr-defined]
    traces = list(ended_traces(bank))
    assert len(traces) == 1145
    concluded = []
    for row, text in traces[::share]:
        problem = int(bank.nodes.problem[row])
        found = grade(text, Problem("math500", "test", problem, questions[problem], answers[problem]))
        if bank.final_answer(row) is None:  # what version 2 read no answer in, since it is neither boxed nor named
            concluded.append(found.answer is not None)
        else:
            assert (found.answer, found.correct) == (bank.final_answer(row), bank.correct[row]), row
    assert sum(concluded) == {8: 2, 1: 18}[share]
    grade.close()  # type: ignore[attr-defined]
