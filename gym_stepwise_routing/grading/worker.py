"""The program that compares mathematical answers: ``python -m gym_stepwise_routing.grading.worker``.

It says that it is ready, then answers pairs of expressions, one JSON object a line each way, until its input ends.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import sys
from functools import lru_cache
from typing import Any, TextIO

__all__ = ["serve"]

_DELIMITER = re.compile(r"(?<!\\)\$|(?<!\\)\\[()\[\]]|\n")


_KEPT = 4096
"""Answers whose parse is kept: a tree asks for one reference many times, and its traces for the same answers."""
_CLOSE = 2e-6
"""Relative difference up to which a rounded number is the number: six places of 1/3."""


def serve() -> None:
    """Answer pairs until the parent is gone."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is no answer
    from math_verify import LatexExtractionConfig, parse, verify

    @lru_cache(_KEPT)
    def read(answer: str) -> list[Any]:
        return list(parse(_as_math(answer), [LatexExtractionConfig()], parsing_timeout=None, raise_on_error=False))

    logging.disable(logging.ERROR)  # math-verify warns that nobody else keeps the time, and sympy's log is nobody's
    _say(answers, ready=True)
    for line in sys.stdin:
        request = json.loads(line)
        # The parent keeps the time: math-verify's own alarms would cost a fork each. Should the parent be killed in
        # the middle, this alarm ends the process, whatever it is computing.
        signal.alarm(int(request["seconds"]) + 5)
        gold, mine = read(request["reference"]), read(request["answer"])
        equal = not _apart(gold, mine) and bool(verify(gold, mine, timeout_seconds=None, raise_on_error=False))
        signal.alarm(0)
        _say(answers, equal=equal)


def _apart(gold: list[Any], mine: list[Any]) -> bool:
    """Whether two numbers are far apart for their size: the engine compares places after the point alone."""
    from sympy import Expr, nsimplify

    if not gold or not mine or not all(isinstance(side[0], Expr) and side[0].is_number for side in (gold, mine)):
        return False
    right, other = (nsimplify(side[0], rational=True) if side[0].is_Float else side[0] for side in (gold, mine))
    try:
        size = max(abs(right.n(20)), abs(other.n(20)))
        return bool(size.is_comparable and abs((right - other).n(20)) > _CLOSE * size)
    except ArithmeticError:  # sympy finds no figure, as for the difference of two large floors: the engine decides
        return False


def _as_math(answer: str) -> str:
    r"""The whole answer as one piece of mathematics: of a bare ``2\pi``, math-verify would take the 2."""
    return f"${_DELIMITER.sub(' ', answer).strip()}$"


def _say(answers: TextIO, **value: bool) -> None:
    print(json.dumps(value), file=answers, flush=True)


if __name__ == "__main__":
    serve()
