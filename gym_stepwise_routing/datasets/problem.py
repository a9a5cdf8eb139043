"""A problem: what is asked, the reference answer, and a reference that names it without its text."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

__all__ = ["Problem", "question_sha256"]


def question_sha256(question: str) -> str:
    """sha256 of the question's UTF-8 text, as it stands in the official file."""
    return hashlib.sha256(question.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of a dataset.

    Args:
        dataset: name in the catalogue, or the name given to a file of one's own.
        split: split of the official dataset, for example ``"test"``.
        index: row within the split, from 0.
        question: text of the question.
        answer: final answer only, as text.
        solution: reference solution, '' where there is none.
        level: difficulty as the dataset gives it, None where it gives none.
    """

    dataset: str
    split: str
    index: int
    question: str
    answer: str
    solution: str = ""
    level: float | None = None

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
