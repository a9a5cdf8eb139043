"""Grading of final answers: numeric for GSM8K, math-verify for MATH and Omni-MATH."""

from __future__ import annotations

from typing import Literal, get_args

from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.grading.grader import Grade, GradeFunction
from gym_stepwise_routing.grading.numeric import grade_number

__all__ = ["GRADINGS", "Grade", "GradeFunction", "Grading", "grade_number", "grader_version", "make_grader"]

Grading = Literal["numeric", "math"]
GRADINGS: tuple[Grading, ...] = get_args(Grading)


def make_grader(grading: Grading, *, timeout: float = 5.0) -> GradeFunction:
    """The grader of that name; ``timeout`` in seconds holds for ``"math"``.

    Raises:
        ValueError: unknown name.
        ImportError: ``"math"`` without math-verify.
    """
    check_choice("grading", grading, GRADINGS)
    if grading == "numeric":
        return grade_number
    from gym_stepwise_routing.grading.mathematics import MathGrader

    return MathGrader(timeout)


def grader_version(grading: Grading) -> str:
    """What the manifest says of a grader."""
    if grading == "numeric":
        return "number after 'The answer is', compared exactly (version 3)"
    from importlib import metadata

    return f"math-verify {metadata.version('math-verify')} on the last boxed or stated answer (version 1)"
