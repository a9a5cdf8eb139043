"""Grading of answers that are Python programs, by the tests of their problem, as in MBPP and HumanEval."""

from __future__ import annotations

import hashlib
import platform
import re
from collections.abc import Callable
from functools import partial

from gym_stepwise_routing.datasets.problem import Problem
from gym_stepwise_routing.grading.grader import GRADERS, Grade, GradeFunction, Grader
from gym_stepwise_routing.grading.sandbox import Limits, run_tests, sandbox_version

__all__ = ["CodeGrader", "stated_program"]

_FENCE = re.compile(r"```[^\n`]*(?:\n|\Z)")
_LINE_END = re.compile(r"\r\n?")


def stated_program(text: str, function: str) -> str | None:
    """The program of a text: of the parts between fences the last that defines ``function``, else the first.

    The prompt may have opened the first fence. None where there is nothing but blanks.
    """
    parts = [part for part in _FENCE.split(_LINE_END.sub("\n", text)) if part.strip()]
    defining = [part for part in parts if re.search(rf"^\s*(?:def|class) {re.escape(function)}\b", part, re.MULTILINE)]
    return defining[-1] if defining else parts[0] if parts else None


class CodeGrader:
    """Runs the program of a text, then its problem's tests, in a fresh interpreter under limits.

    The order matters: two of MBPP's own solutions (367 and 927) fail if the code that sets their tests up runs first.
    The answer of a grade is a digest of the program, as a bank stores no programs: equal programs have equal answers.

    Args:
        sandboxed: False runs programs with this user's rights.
        limits: what one program may use.

    Raises:
        RuntimeError: ``sandboxed``, and no sandbox can be had here.
    """

    def __init__(self, *, sandboxed: bool = True, limits: Limits | None = None) -> None:
        if sandboxed:
            sandbox_version()
        self.sandboxed = sandboxed
        self.limits = limits or Limits()

    def __call__(self, text: str, problem: Problem) -> Grade:
        """Grade a whole trace.

        Raises:
            ValueError: the problem has no tests.
        """
        if problem.tests is None:
            raise ValueError(f"problem {problem.id} has no tests; allowed: problems with tests, or another grading")
        program = stated_program(text, problem.answer)
        if program is None:
            return Grade(None, False)
        before = _LINE_END.sub("\n", problem.tests.before)
        outcome = run_tests(before + program, problem.tests.after, limits=self.limits, sandboxed=self.sandboxed)
        digest = f"program {hashlib.sha256(program.strip().encode(errors='surrogatepass')).hexdigest()[:16]}"
        return Grade(digest, outcome == "passed", timed_out=outcome == "timeout")


def _register(name: str, title: str, make: Callable[[], GradeFunction], place: Callable[[], str]) -> None:
    GRADERS.register(
        Grader(
            name=name,
            title=title,
            make=make,
            version=lambda: f"tests after the program in CPython {platform.python_version()}, {place()} (version 1)",
            prompt="code-2shot",
            question="Task:",
            step="python-line",
            reads=lambda problem: problem.tests is not None,
            allowed="a problem with tests",
        )
    )


_register("code", "the program passes its problem's tests, in a sandbox", CodeGrader, sandbox_version)
_register(
    "code-unsandboxed",
    "the same with your own rights: only for programs that you would run anyway",
    partial(CodeGrader, sandboxed=False),
    lambda: "without a sandbox",
)
