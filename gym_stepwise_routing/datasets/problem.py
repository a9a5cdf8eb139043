"""A problem: what is asked, the reference answer, and a reference that names it without its text."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Problem", "ProgramTests", "Table", "problem_id", "question_sha256"]

Table = tuple[tuple[str, ...], ...]
"""Cells of a table, row by row, the header first."""


def question_sha256(question: str) -> str:
    """sha256 of the question's UTF-8 text, as it stands in the official file."""
    return hashlib.sha256(question.encode()).hexdigest()


def problem_id(reference: Mapping[str, Any]) -> str:
    """Public id of a stored reference, as :meth:`Problem.reference` gives it, for example ``gsm8k/test/17``."""
    return f"{reference['dataset']}/{reference['split']}/{reference['index']}"


@dataclass(frozen=True, slots=True)
class ProgramTests:
    """What an answer that is a program is run with. Never stored in a bank.

    Args:
        after: program that fails where the answer is wrong; it runs after the answer, in the same module.
        before: text that stands before the answer, such as imports and the head of a function to complete.
    """

    after: str
    before: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of a dataset.

    Args:
        dataset: name in the catalogue, or the name given to a file of one's own.
        split: split of the official dataset, for example ``"test"``.
        index: row within the split, from 0.
        question: text of the question.
        answer: final answer only, as text; the name of the function to write where the answer is a program.
        solution: reference solution, '' where there is none.
        level: difficulty as the dataset gives it, None where it gives none.
        tests: of a problem whose answer is a program, None for any other.
        table: table that the question is about, which stands in its text as well; None where there is none. The
            recorder keeps the confidence over its words apart. Never stored in a bank.
    """

    dataset: str
    split: str
    index: int
    question: str
    answer: str
    solution: str = ""
    level: float | None = None
    tests: ProgramTests | None = None
    table: Table | None = field(default=None, repr=False)

    @property
    def id(self) -> str:
        """Public id, for example ``gsm8k/test/17``."""
        return f"{self.dataset}/{self.split}/{self.index}"

    @property
    def sha256(self) -> str:
        """sha256 of the question."""
        return question_sha256(self.question)

    def reference(self) -> dict[str, Any]:
        """Everything that a bank keeps of the problem: no text of third parties but the final answer."""
        return {
            "dataset": self.dataset,
            "split": self.split,
            "index": self.index,
            "question_sha256": self.sha256,
            "answer": self.answer,
        }
