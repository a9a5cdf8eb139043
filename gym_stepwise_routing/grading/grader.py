"""What a grader says of a text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gym_stepwise_routing.datasets.problem import Problem

__all__ = ["Grade", "GradeFunction"]


@dataclass(frozen=True, slots=True)
class Grade:
    """Verdict on one text.

    Attributes:
        answer: the final answer as it was read, None where the text states none.
        correct: whether it equals the reference answer.
        timed_out: the comparison was cut off (and counted as wrong).
    """

    answer: str | None
    correct: bool
    timed_out: bool = False


GradeFunction = Callable[[str, Problem], Grade]
