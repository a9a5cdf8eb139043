"""Grading of answers that are one number, as in GSM8K."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

from gym_stepwise_routing.datasets.problem import Problem
from gym_stepwise_routing.grading.grader import GRADERS, Grade, Grader

__all__ = ["STATED_NUMBER", "grade_number", "is_single_number", "parse_number", "stated_answer"]

_STATED = r"\d[\d,]*(?:\.\d+)?"
_SMALL = r"[$\u20ac\u00a3]?\d"
_GOES_ON = (
    rf"(?i:[ \t]*[/:^*+\u00d7\u00f7][ \t]*\(?{_SMALL}|[ \t]*[-\u2013] ?{_SMALL}|e[-+]?\d|[ \t]+\d+/\d"
    r"|[ \t]\d{3}\b|\.\d|k\b"
    rf"|[ \t]+(?:or|to|out of|(?:less|more|fewer) than)[ \t]+{_SMALL}|[ \t]+(?:hundred|thousand|[mbtr]{{1,2}}illion)\b)"
)
"""What makes a number a part: of a fraction, ratio, time, range, magnitude or sum that is not worked out."""
STATED_NUMBER = (
    rf"The answer is [^\d\n]{{0,8}}{_STATED}"
    rf"(?:(?:(?!\. )[^\n])*=[^\d\n]{{0,8}}{_STATED}|{_GOES_ON}[^\n]*)?\.?"
)
"""A stated answer that is a number, as after the bundled GSM8K prompt. Where the sentence goes on to work it out ("The
answer is 180 / 3 = 60."), it ends with the number after the last equals sign; where the number is a part ("1/2"), with
the line."""

_MORE_THAN_A_NUMBER = re.compile(
    r"\d,(?=\d)(?!\d{3}(?!\d))|\d\s*[/:%^*]|[/:^*]\s*\d"
    r"|\\|\d\s*(?:e\d|[kmb]\b|percent|per cent|dozen|hundred|thousand|[mbtr]{1,2}illion)",
    re.I,
)
_NO_NUMBER = re.compile(
    r"\W*(?:not|never|neither|either|unknown|unclear|undefined|between|(?:less|greater|fewer) than)\b",
    re.IGNORECASE,
)
"""What says that an answer is not a number, or only how large it is."""
_MARKER = re.compile(r"the (?:final )?answer is:?|####", re.IGNORECASE)
_NUMBER = re.compile(r"(?P<sign>[-\u2212]?)\s?(?P<currency>[$€£]?)(?P<inner>-?)(?P<digits>\d[\d,]*(?:\.\d+)?|\.\d+)")


def parse_number(text: str) -> Decimal | None:
    """First number in a text: thousands separators, currency signs and a leading minus are understood."""
    found = _NUMBER.search(text)
    if found is None:
        return None
    try:
        number = Decimal(found["digits"].replace(",", "").rstrip("."))
    except InvalidOperation:
        return None
    return -number if found["sign"] or found["inner"] else number


def is_single_number(text: str) -> bool:
    """Whether a reference answer is one number, units aside: no fraction, ratio, time, percentage or magnitude."""
    return len(_NUMBER.findall(text)) == 1 and not _MORE_THAN_A_NUMBER.search(text)


def stated_answer(text: str) -> Decimal | None:
    """The number after the last "The answer is" (or ``####``), on the same line; None where there is none.

    Where the sentence works it out ("The answer is 180 / 3 = 60."), it is the number after its last equals sign. A part
    of a fraction, ratio, time, range or magnitude is none, and neither is what is denied ("The answer is not 5.").
    """
    found = list(_MARKER.finditer(text))
    if not found:
        return None
    line = text[found[-1].end() :].split("\n")[0]
    _, equals, result = line.split(". ")[0].rpartition("=")
    number = parse_number(result) if equals else None
    if number is not None:
        return number
    first = _NUMBER.search(line)
    if first is None or _NO_NUMBER.match(line) or re.match(_GOES_ON, line[first.end() :]):
        return None
    return parse_number(line)


def grade_number(text: str, problem: Problem) -> Grade:
    """Right if the stated number equals the reference answer exactly; a text that states none is wrong.

    Raises:
        ValueError: the problem's reference answer is no number.
    """
    reference = parse_number(problem.answer)
    if reference is None:
        raise ValueError(f"problem {problem.id}: answer={problem.answer!r}; allowed: a number, or grading='math'")
    answer = stated_answer(text)
    return Grade(None if answer is None else f"{answer:f}", answer == reference)


GRADERS.register(
    Grader(
        name="numeric",
        title="the stated number equals the reference exactly",
        make=lambda: grade_number,
        version=lambda: "number after 'The answer is', compared exactly (version 4)",
        answer=STATED_NUMBER,
        reads=lambda problem: is_single_number(problem.answer),
        allowed="a single number (no fraction, ratio, time, percentage or magnitude), or --grading math",
    )
)
