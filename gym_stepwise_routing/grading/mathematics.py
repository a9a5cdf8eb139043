r"""Grading of mathematical answers by math-verify, in a process of its own that can be cut off."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from importlib import metadata

from gym_stepwise_routing.datasets.boxed import PLACEHOLDER
from gym_stepwise_routing.datasets.problem import Problem
from gym_stepwise_routing.grading.grader import GRADERS, Grade, Grader
from gym_stepwise_routing.grading.notation import apart, normal_form, read, readings, same_numeral
from gym_stepwise_routing.grading.statements import stated_expression

__all__ = ["BOXED_LINE", "MathGrader", "stated_expression"]

_DEPTH = 8
"""Braces within braces that a box may have."""


def _boxed_line() -> str:
    inside = r"(?:[^{}\\]|\\[\s\S])"
    for _ in range(_DEPTH):
        inside = rf"(?:[^{{}}\\]|\\[\s\S]|\{{{inside}*+\}})"
    return rf"\\(?:boxed|fbox)\s*\{{(?!{PLACEHOLDER}\}}){inside}*+\}}[^\n]*"


BOXED_LINE = _boxed_line()
"""A stated answer in a box that is closed, up to the end of its line, as after the bundled MATH prompt.

A box may go over several lines and have white space before its brace. One that is empty, or that an instruction speaks
of (``\\boxed{answer}``), states nothing."""

_START_UP = 60.0
"""Seconds that a new grading process may take to import sympy."""


class MathGrader:
    """Compares a text's final answer with the reference, symbolically.

    One :func:`~gym_stepwise_routing.grading.notation.normal_form` is right without further ado; everything else is
    parsed and compared by math-verify (github.com/huggingface/Math-Verify) in one worker process, after ``notation``
    has put percent, bars, degrees, i and bases as they are meant. A comparison over the time limit is cut off by
    ending that process, counts as wrong, and is counted in :attr:`timeouts`.

    Args:
        timeout: seconds for one comparison, > 0.

    Raises:
        ValueError: ``timeout`` is not positive.
        ImportError: math-verify is not installed.
    """

    def __init__(self, timeout: float = 5.0) -> None:
        if not timeout > 0:
            raise ValueError(f"timeout={timeout!r}; allowed: seconds > 0")
        try:
            self.version = f"math-verify {metadata.version('math-verify')}"
        except metadata.PackageNotFoundError:
            raise ImportError("grading needs math-verify: pip install 'gym-stepwise-routing[llm]'") from None
        self.timeout = timeout
        self.timeouts = 0
        self._worker: subprocess.Popen[bytes] | None = None

    def __call__(self, text: str, problem: Problem) -> Grade:
        """Grade a whole trace."""
        answer = stated_expression(text)
        if answer is None:
            return Grade(None, False)
        equal = self.equal(problem.answer, answer, problem.question)
        return Grade(answer, equal is True, timed_out=equal is None)

    def equal(self, reference: str, answer: str, question: str = "") -> bool | None:
        """Whether two answers are the same; None if the comparison was cut off.

        Args:
            reference: what is right.
            answer: what is graded.
            question: where it names a base or percent, that may be left out of an answer, or added to it.

        Raises:
            RuntimeError: the worker process cannot start.
        """
        if (same := same_numeral(reference, answer, question)) is not None:
            return same
        pairs = readings(reference, answer, question)
        forms = [(normal_form(right), normal_form(mine)) for right, mine in pairs]
        if any(right == mine != "" for right, mine in forms):
            return True
        verdict: bool | None = False
        for (right, mine), form in zip(pairs, forms, strict=True):
            equal = False if apart(*form) else self.verify(right, mine)
            if equal:
                return True
            verdict = None if equal is None else verdict
        return verdict

    def verify(self, reference: str, answer: str) -> bool | None:
        """What math-verify says of the two as they are meant, equal spelling or not; None if it was cut off.

        Raises:
            RuntimeError: the worker process cannot start.
        """
        if self._worker is None or self._worker.poll() is not None:
            self._start()
        try:
            self._send({"reference": read(reference), "answer": read(answer), "seconds": self.timeout})
            return bool(self._receive(self.timeout)["equal"])
        except (TimeoutError, EOFError, BrokenPipeError):
            self.timeouts += 1
            self.close()
            return None

    def close(self) -> None:
        """End the worker process; the next comparison starts another."""
        worker, self._worker = self._worker, None
        if worker is None:
            return
        worker.kill()
        worker.communicate()  # waits for the end, and closes the pipes

    def _start(self) -> None:
        """Start the worker and wait until it is ready.

        It is a program of its own and not a ``multiprocessing`` child: that would import the user's script once more,
        which fails, or starts the script's work again, wherever the script has no ``__main__`` guard.
        """
        self.close()
        self._worker = subprocess.Popen(
            [sys.executable, "-m", "gym_stepwise_routing.grading.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
            start_new_session=True,  # Ctrl-C is for the user's program
        )
        try:
            self._receive(_START_UP)
        except (TimeoutError, EOFError) as error:
            worker, self._worker = self._worker, None
            worker.kill()
            said = worker.communicate()[1].decode(errors="replace").strip()
            why = said.splitlines()[-1] if said else type(error).__name__
            raise RuntimeError(f"the grading process did not start, so nothing can be graded: {why}") from None

    def _send(self, value: dict[str, str | float]) -> None:
        assert self._worker is not None
        assert self._worker.stdin is not None
        self._worker.stdin.write(json.dumps(value).encode() + b"\n")
        self._worker.stdin.flush()

    def _receive(self, seconds: float) -> dict[str, bool]:
        """The worker's next line, within that time."""
        assert self._worker is not None
        assert self._worker.stdout is not None
        stdout = self._worker.stdout
        ready, _, _ = select.select([stdout], [], [], seconds)
        if not ready:
            raise TimeoutError
        line = stdout.readline()  # lines are far shorter than what a pipe takes at once
        if not line.endswith(b"\n"):
            raise EOFError
        return dict(json.loads(line))


GRADERS.register(
    Grader(
        name="math",
        title="math-verify compares the last boxed or stated answer",
        make=MathGrader,
        version=lambda: (
            f"math-verify {metadata.version('math-verify')} on the last boxed, stated or concluding answer (version 4)"
        ),
        prompt="math-4shot",
        answer=BOXED_LINE,
        question="Problem:",
        needs="math-verify",
    )
)
