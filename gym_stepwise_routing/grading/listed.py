"""Grading of answers that are one item or a list of items, as in WikiTableQuestions."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal, InvalidOperation

from gym_stepwise_routing.datasets.problem import Problem
from gym_stepwise_routing.grading.grader import GRADERS, Grade, Grader

__all__ = ["STATED_LIST", "grade_list"]

STATED_LIST = r"[Tt]he answer is:? [^\n]+"
"""A stated answer: all of its line, items between ``|``."""

_STATED = re.compile(r"the (?:final )?answer is:?\s*(?P<items>[^\n]*)", re.IGNORECASE)
_NUMBER = re.compile(r"[-\u2212]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?")


def grade_list(text: str, problem: Problem) -> Grade:
    """Right if the stated items are those of the reference, in any order, each as often.

    Items are compared without regard to case, blanks, quotation marks around them and full stops at their end, numbers
    by value (thousands separators are understood). A text that states none is wrong.
    """
    found = list(_STATED.finditer(text))
    stated = found[-1]["items"].strip() if found else ""
    if not stated:
        return Grade(None, False)
    return Grade(stated, _items(stated) == _items(problem.answer))


def _items(text: str) -> list[str]:
    return sorted(_normal(item) for item in text.split("|"))


def _normal(item: str) -> str:
    plain = " ".join(unicodedata.normalize("NFKC", item).casefold().split()).rstrip(".").strip("\"'\u201c\u201d ")
    try:
        number = Decimal(plain.replace(",", "").replace("\u2212", "-")) if _NUMBER.fullmatch(plain) else None
    except InvalidOperation:
        number = None
    return plain if number is None else f"{number.normalize() + 0:f}"


GRADERS.register(
    Grader(
        name="list",
        title="the stated items are those of the reference, in any order",
        make=lambda: grade_list,
        version=lambda: "items after 'The answer is', by value if numbers, else by letters (version 1)",
        answer=STATED_LIST,
        reads=lambda problem: bool(problem.answer.strip()),
        allowed="an answer of one or more items between '|'",
    )
)
