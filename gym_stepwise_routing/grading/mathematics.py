r"""Grading of mathematical answers by math-verify, in a process of its own that can be cut off."""

from __future__ import annotations

import logging
import multiprocessing
import re
from importlib import metadata
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from gym_stepwise_routing.datasets.problem import Problem
from gym_stepwise_routing.grading.base import Grade
from gym_stepwise_routing.grading.boxed import last_boxed

__all__ = ["MathGrader", "normalised", "stated_expression"]

_MARKER = re.compile(r"(?:final answer|the answer)(?: is)?:?\s*(?P<answer>[^\n]*)", re.IGNORECASE)
_DROPPED = re.compile(
    r"\\left|\\right|\\displaystyle|\\[,;:! ]|\\(?:text|mathrm|textbf|mbox)\s*\{\s*\}|[\s$]|\\\(|\\\)|\\\[|\\\]"
)
_TEXT = re.compile(r"\\(?:text|mathrm|textbf|mbox|textit)\s*\{([^{}]*)\}")
_START_UP = 60.0
"""Seconds that a new grading process may take to import sympy, beyond the time limit of the first comparison."""


def stated_expression(text: str) -> str | None:
    r"""The final answer of a text: its last ``\boxed{}``, else what follows the last "The answer is" on its line."""
    boxed = last_boxed(text)
    if boxed:
        return boxed
    found = list(_MARKER.finditer(text))
    answer = found[-1]["answer"].strip().rstrip(".").strip() if found else ""
    return answer or None


def normalised(answer: str) -> str:
    """An answer without what never matters: white space, dollar signs, bracket sizes, text wrappers, a full stop."""
    answer = _TEXT.sub(lambda found: found[1].strip(), answer)
    answer = answer.replace("dfrac", "frac").replace("tfrac", "frac")
    return _DROPPED.sub("", answer).strip().rstrip(".")


class MathGrader:
    """Compares a text's final answer with the reference, symbolically.

    Equal spelling (after :func:`normalised`) is right without further ado; everything else is parsed and compared by
    math-verify (github.com/huggingface/Math-Verify) in one worker process. A comparison over the time limit is cut
    off by ending that process, counts as wrong, and is counted in :attr:`timeouts`.

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
        self._worker: BaseProcess | None = None
        self._connection: Connection | None = None

    def __call__(self, text: str, problem: Problem) -> Grade:
        """Grade a whole trace."""
        answer = stated_expression(text)
        if answer is None:
            return Grade(None, False)
        equal = self.equal(problem.answer, answer)
        return Grade(answer, equal is True, timed_out=equal is None)

    def equal(self, reference: str, answer: str) -> bool | None:
        """Whether two answers are the same; None if the comparison was cut off."""
        if normalised(reference) == normalised(answer) != "":
            return True
        return self.verify(reference, answer)

    def verify(self, reference: str, answer: str) -> bool | None:
        """What math-verify says, equal spelling or not; None if it was cut off."""
        fresh = self._worker is None or not self._worker.is_alive()
        if fresh:
            self._start()
        assert self._connection is not None
        try:
            if fresh and not self._connection.poll(_START_UP):
                raise TimeoutError
            if fresh:
                self._connection.recv()
            self._connection.send((reference, answer))
            if not self._connection.poll(self.timeout):
                raise TimeoutError
            return bool(self._connection.recv())
        except (TimeoutError, EOFError, BrokenPipeError):
            self.timeouts += 1
            self.close()
            return None

    def close(self) -> None:
        """End the worker process; the next comparison starts another."""
        if self._worker is not None:
            self._worker.kill()
            self._worker.join()
        if self._connection is not None:
            self._connection.close()
        self._worker = self._connection = None

    def _start(self) -> None:
        self.close()
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._worker = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._worker.start()
        theirs.close()


def _serve(connection: Connection) -> None:
    """Loop of the worker process: says that it is ready, then answers pairs of expressions until its parent is gone."""
    from math_verify import parse, verify

    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that nobody else keeps the time
    connection.send(True)
    while True:
        try:
            reference, answer = connection.recv()
        except EOFError:
            return
        # The parent keeps the time: math-verify's own alarms would need the main thread and cost a fork each.
        gold = parse(f"\\boxed{{{reference}}}", parsing_timeout=None, raise_on_error=False)
        mine = parse(f"\\boxed{{{answer}}}", parsing_timeout=None, raise_on_error=False)
        connection.send(bool(verify(gold, mine, timeout_seconds=None, raise_on_error=False)))
