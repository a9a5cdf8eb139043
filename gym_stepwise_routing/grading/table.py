"""Grading of answers that are one item or a set of items, after the official evaluator of WikiTableQuestions 1.0.2.

Its rules: both sides are sets, equally large, and each item of the reference has one on the other side that is the same
normalised text, the same number, or the same date, all of whose parts agree. The official evaluator knows the numbers
and dates of its references from a tagger, by which a number with a unit is a number ("17 years" is 17), and reads plain
numbers and dates such as 1990-01-12 only in answers. Here references are read by the forms below, and in answers too
numbers may have thousands separators and dates may be written out in English. A full stop behind the sentence that
states the answer is no part of it.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from typing import NamedTuple

from gym_stepwise_routing.datasets.problem import Problem
from gym_stepwise_routing.grading.grader import GRADERS, Grade, Grader

__all__ = ["STATED_ITEMS", "grade_table", "normalised"]

STATED_ITEMS = r"(?i:the (?:final )?answer is)(?:[ \t]*:[ \t]*|[ \t]+)[^\s:][^\n]*"
"""A stated answer: all of its line, items between ``|``. The grader and the step rule read it alike."""

_STATED = re.compile(STATED_ITEMS)
_LEAD = re.compile(r"(?i:the (?:final )?answer is)[ \t]*:?[ \t]*")
_QUOTES, _DOUBLE = "\u2018\u2019\u00b4`", "\u201c\u201d"
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2212"
_ASCII = str.maketrans(dict.fromkeys(_QUOTES, "'") | dict.fromkeys(_DOUBLE, '"') | dict.fromkeys(_DASHES, "-"))
_LONGEST = 2_000
"""Characters of an item beyond which nothing is taken from its end; a reference is far shorter."""
_CITATIONS = re.compile(r"(?:(?<!\A)\[[^\]]*\]|\[\d+\]|[•♦†‡*#+])+\Z")
_DETAILS = re.compile(r"(?<!\A)(?: \([^)]*\))+\Z")
_QUOTED = re.compile(r'"([^"]*)"')
_DIGITS = r"[-+]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?|\.\d+)"
_NUMBER = re.compile(rf"{_DIGITS}(?:e[-+]?\d{{1,3}})?")
_SCALES = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_QUANTITY = re.compile(
    rf"[$\u00a3\u20ac]?(?P<number>{_DIGITS})"
    rf"(?:st|nd|rd|th|\"| ?%|m|km|cm|mm|kg|ft|mi|(?: (?P<scale>{'|'.join(_SCALES)}))?(?: [a-z/]+)?)"
)
"""A reference that is a number with its unit, and is that number as well."""
_NEAR = Decimal("1e-6")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    r"(?P<name>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_DATES = tuple(
    re.compile(form)
    for form in (
        r"(?P<year>\d{1,4}|xx|xxxx)-(?P<month>\d{1,2}|xx)-(?P<day>\d{1,2}|xx)",
        rf"{_MONTH} (?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:,? (?P<year>\d{{4}}))?",
        rf"(?P<day>\d{{1,2}})(?:st|nd|rd|th)? {_MONTH}(?:,? (?P<year>\d{{4}}))?",
        rf"{_MONTH}(?:,? (?P<year>\d{{4}}))?",
    )
)


class _Date(NamedTuple):
    """A date; a part that is not given is None."""

    year: int | None
    month: int | None
    day: int | None


class _Item(NamedTuple):
    """An item as it is compared: its normalised text, and what that says beyond its letters."""

    text: str
    value: Decimal | _Date | None

    def matches(self, other: _Item) -> bool:
        if self.text == other.text:
            return True
        if isinstance(self.value, Decimal) and isinstance(other.value, Decimal):
            return abs(self.value - other.value) < _NEAR
        return isinstance(self.value, _Date) and self.value == other.value


def grade_table(text: str, problem: Problem) -> Grade:
    """Right if the stated set of items is that of the reference, in any order; a text that states none is wrong.

    An item that stands twice counts once, as it does in the official evaluator.
    """
    found = _STATED.findall(text)
    stated = _LEAD.sub("", found[-1], count=1).strip("* \t\r") if found else ""
    if not stated:
        return Grade(None, False)
    wanted = _items(problem.answer, reference=True)
    return Grade(stated, any(_same(wanted, _items(form)) for form in (stated, stated.removesuffix("."))))


def normalised(text: str) -> str:
    """The letters that are compared.

    Without accents, with plain quotation marks and dashes, in lower case, white space collapsed; without marks of
    footnotes and remarks in brackets at the end, without quotation marks around it, and without one full stop behind
    it.
    """
    letters = unicodedata.normalize("NFKD", text)
    plain = "".join(letter for letter in letters if unicodedata.category(letter) != "Mn").translate(_ASCII).strip()
    before = None
    while plain != before and len(plain) <= _LONGEST:
        before = plain
        plain = _CITATIONS.sub("", plain).strip()
        plain = _DETAILS.sub("", plain).strip()
        quoted = _QUOTED.fullmatch(plain)
        plain = quoted[1].strip() if quoted else plain
    return " ".join(plain.removesuffix(".").split()).lower()


def _same(wanted: list[_Item], given: list[_Item]) -> bool:
    return len(wanted) == len(given) and all(any(item.matches(other) for other in given) for item in wanted)


def _items(text: str, *, reference: bool = False) -> list[_Item]:
    """The items of a list, each value once."""
    items: dict[object, _Item] = {}
    for part in text.split("|"):
        plain = normalised(part)
        value = _value(plain, reference=reference)
        items.setdefault(plain if value is None else value, _Item(plain, value))
    return list(items.values())


def _value(plain: str, *, reference: bool) -> Decimal | _Date | None:
    """The number or the date that a normalised text is; a date of a year alone is a number."""
    if found := _NUMBER.fullmatch(plain):
        return Decimal(found[0].replace(",", ""))
    for form in _DATES:
        if found := form.fullmatch(plain):
            return _date(**found.groupdict())
    if reference and (found := _QUANTITY.fullmatch(plain)):
        return Decimal(found["number"].replace(",", "")).scaleb(_SCALES.get(found["scale"], 0))
    return None


def _date(
    day: str | None = None, year: str | None = None, month: str | None = None, name: str | None = None
) -> Decimal | _Date | None:
    """The date of such parts, None where there is no such day or month."""
    numbers = [None if part is None or part.startswith("x") else int(part) for part in (year, month, day)]
    date = _Date(*numbers) if name is None else _Date(numbers[0], 1 + _MONTHS.index(name[:3]), numbers[2])
    if not 1 <= (date.month or 1) <= 12 or not 1 <= (date.day or 1) <= 31 or date.month == 0 or date.day == 0:
        return None
    if date.month is None and date.day is None:
        return None if date.year is None else Decimal(date.year)
    return date


GRADERS.register(
    Grader(
        name="table",
        title="the stated items are those of the reference, in any order",
        make=lambda: grade_table,
        version=lambda: "items after 'The answer is', by the rules of WikiTableQuestions 1.0.2 (version 1)",
        prompt="table-3shot",
        answer=STATED_ITEMS,
        question="Table:",
        reads=lambda problem: any(normalised(item) for item in problem.answer.split("|")),
        allowed="an answer of one or more items between '|'",
    )
)
