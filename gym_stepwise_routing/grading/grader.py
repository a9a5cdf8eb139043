"""What a grader is, what it says of a text, and the registry of graders."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from gym_stepwise_routing.datasets.problem import Problem
from gym_stepwise_routing.registry import Registry, registering

__all__ = ["GRADERS", "Grade", "GradeFunction", "Grader", "Graders", "Grading"]


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
"""Name of a grader of :data:`GRADERS`, ``judge:MODEL,url=...``, or ``module:function``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grader:
    """How final answers are compared.

    Attributes:
        name: what it is asked for by.
        title: how it compares, for readers.
        make: gives the function that grades; ``ImportError`` where a package is missing.
        version: what the manifest of a recording says of it.
        prompt: bundled prompt whose answers it reads; '' if there is none.
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


class Graders(Registry[Grader]):
    """The registered graders, and those that a name describes: a judge, or a function of one's own."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._described: dict[str, Callable[[str], Grader]] = {}

    def get(self, name: str) -> Grader:
        """The grader of a name, of ``judge:MODEL,url=...``, or of a function ``module:function``.

        Raises:
            ValueError: unknown name, or a description of nothing; the message says what is allowed.
        """
        module, colon, function = name.partition(":") if isinstance(name, str) else (name, "", "")
        if not colon:
            return super().get(name)
        self._known()  # what is described has been said by then
        return self._described[module](name) if module in self._described else _own(module, function)

    def describe(self, word: str, make: Callable[[str], Grader]) -> None:
        """Say what makes a grader of ``WORD:description``."""
        self._described[word] = make

    def check(self, name: str) -> str:
        """The name, if there is such a grader; raises as :meth:`get`."""
        if not (isinstance(name, str) and ":" in name):
            return super().check(name)
        self.get(name)
        return name


def _own(module: str, function: str) -> Grader:
    """A function ``(text, problem)`` of one's own, which gives a :class:`Grade`, or whether the text is right."""
    name = f"{module}:{function}"
    try:
        found = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"grading={name!r}: {error}; allowed: module:function, importable from here") from None
    if not callable(found):
        raise ValueError(f"grading={name!r} is {found!r:.80}; allowed: a function of text and problem")
    try:
        source = hashlib.sha256(inspect.getsource(found).encode()).hexdigest()[:16]
    except (OSError, TypeError):
        source = "unknown"

    def grade(text: str, problem: Problem) -> Grade:
        told = found(text, problem)
        if isinstance(told, Grade):
            return told
        if not isinstance(told, bool):
            raise ValueError(f"grading={name!r} gave {told!r:.80} for {problem.id}; allowed: a Grade, True or False")
        return Grade(text.strip().rpartition("\n")[2] or None, told)

    return Grader(
        name=name,
        title="a function of one's own",
        make=lambda: grade,
        version=lambda: f"{name}, source {source}",
        prompt="",
        answer=getattr(found, "answer", None),
    )


GRADERS = Graders("grading", Grader, group="gym_stepwise_routing.graders", builtin=registering(__package__))
"""The graders."""
