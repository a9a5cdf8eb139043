"""What a grader is, what it says of a text, and the registry of graders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gym_stepwise_routing.datasets.problem import Problem
from gym_stepwise_routing.registry import Registry, registering

__all__ = ["GRADERS", "Grade", "GradeFunction", "Grader", "Grading"]


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

Grading = str
"""Name of a grader, one of :data:`GRADERS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grader:
    """How final answers are compared.

    Attributes:
        name: what it is asked for by.
        title: how it compares, for readers.
        make: gives the function that grades; ``ImportError`` where a package is missing.
        version: what the manifest of a recording says of it.
        prompt: bundled prompt whose answers it reads.
        answer: regular expression of a stated answer, with which a trace ends; None: a trace ends where its model does.
        question: what announces a question, where the prompt does not say.
        step: what ends a step of such answers, by its name on the command line.
        reads: whether it can grade answers to a problem: can read its reference, or has its tests.
        allowed: which problems it can grade, for messages.
        needs: package that it needs, '' if none.
    """

    name: str
    title: str
    make: Callable[[], GradeFunction]
    version: Callable[[], str]
    prompt: str = "gsm8k-4shot"
    answer: str | None = None
    question: str = "Question:"
    step: str = "newline"
    reads: Callable[[Problem], bool] = lambda _: True
    allowed: str = "any"
    needs: str = ""


GRADERS: Registry[Grader] = Registry(
    "grading", Grader, group="gym_stepwise_routing.graders", builtin=registering(__package__)
)
"""The graders."""
