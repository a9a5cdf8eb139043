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
from typing import TextIO

__all__ = ["serve"]

_DELIMITER = re.compile(r"(?<!\\)\$|(?<!\\)\\[()\[\]]|\n")


def serve() -> None:
    """Answer pairs until the parent is gone."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is no answer
    from math_verify import LatexExtractionConfig, parse, verify

    logging.disable(logging.ERROR)  # math-verify warns that nobody else keeps the time, and sympy's log is nobody's
    _say(answers, ready=True)
    for line in sys.stdin:
        request = json.loads(line)
        # The parent keeps the time: math-verify's own alarms would cost a fork each. Should the parent be killed in
        # the middle, this alarm ends the process, whatever it is computing.
        signal.alarm(int(request["seconds"]) + 5)
        gold, mine = (
            parse(_as_math(request[key]), [LatexExtractionConfig()], parsing_timeout=None, raise_on_error=False)
            for key in ("reference", "answer")
        )
        equal = bool(verify(gold, mine, timeout_seconds=None, raise_on_error=False))
        signal.alarm(0)
        _say(answers, equal=equal)


def _as_math(answer: str) -> str:
    r"""The whole answer as one piece of mathematics: of a bare ``2\pi``, math-verify would take the 2."""
    return f"${_DELIMITER.sub(' ', answer).strip()}$"


def _say(answers: TextIO, **value: bool) -> None:
    print(json.dumps(value), file=answers, flush=True)


if __name__ == "__main__":
    serve()
