r"""What an answer says, where math-verify reads its spelling otherwise than a mathematician.

math-verify 0.9.0 (latex2sympy2-extended 1.11.0) takes ``50\%`` for 50 and for 0.5, drops a bar over decimals and the
base of a numeral, and reads i as a letter and degrees as radians. Everything here is a function of one text, but for
:func:`readings` and :func:`same_numeral`, which ask the question whether it names the unit.
"""

from __future__ import annotations

import re
from fractions import Fraction

__all__ = ["apart", "normal_form", "read", "readings", "same_numeral", "without_full_stop"]

_WRAPPER = r"\\(?:text|mathrm|textbf|mbox|textit)\s*"
_TEXT = re.compile(_WRAPPER + r"\{([^{}]*)\}")
_DROPPED = re.compile(
    r"\\left|\\right|\\displaystyle|\\[,;:! ]|\\(?:text|mathrm|textbf|mbox)\s*\{\s*\}|[\s$]|\\\(|\\\)|\\\[|\\\]"
)
_FULL_STOP = re.compile(r"(?<!\.)\.{1,2}$")

_NUMBER = r"\d[\d,]*(?:\.\d+)?|\.\d+"
_FRACTION = r"\\[dt]?frac\s*(?:\d\d|\{\d+\}\s*\{\d+\})"
_QUANTITY = rf"(?:\d+\s*)?{_FRACTION}|{_NUMBER}"
_PERCENT = rf"(?:\\[,;: ]|\s)*(?:\\?%|{_WRAPPER}\{{\s*(?:percent|\\?%)\s*\}}|percent(?:age)?\b)"
_PERCENT_SIGN = re.compile(_PERCENT)
_PERCENTAGE = re.compile(rf"(?<![\d.}}c])({_QUANTITY}){_PERCENT}")

_BAR = re.compile(
    r"(?P<whole>\d*)\.(?P<once>\d*)\s*\\(?:overline|bar|dot)\s*(?:\{(?P<period>\d+)\}|(?P<digit>\d))(?!\d)"
)
_DOTS = re.compile(r"(?P<whole>\d*)\.(?P<once>\d*?)(?P<period>\d{1,6}?)(?P=period){2,}\s*(?:\.{3,}|…|\\[lcd]?dots)")

_FUNCTION = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-z])")
_DEGREES = re.compile(rf"({_QUANTITY})\s*(?:\^\s*(?:\\circ|\{{\s*\\circ\s*\}})|°|\\degree)")

_INDEX = re.compile(r"_\{?\s*i(?![A-Za-z])")
_ROMAN_I = re.compile(r"\\(?:mathrm|text|operatorname)\{i\}|\\imath(?![A-Za-z])")
_BARE_I = re.compile(r"(\\[dtc]?frac\s*(?:\{[^{}]*\}|\d)?\s*|\^\s*)i(?![A-Za-z])")
_I = re.compile(r"(?<![A-Za-z])(?<!(?<!\\)\\)i(?![A-Za-z])")

_SIGNS = str.maketrans(
    {"\u2212": "-", "\u2013": "-", "°": r"^\circ", "π": r"\pi ", "∞": r"\infty ", "\u00d7": r"\times "}
)
_SIGNS |= str.maketrans({"≤": r"\leq ", "≥": r"\geq "})
_ROOT = re.compile(r"√\s*\(?(\d+|[a-z])\)?")
_FRACTION_FORM = re.compile(r"-?\d{1,18}(?:/\d{1,18})?")
_AT_LEAST = re.compile(r"\\([lg])eq?(?:slant)?(?![a-z])")
_VARIABLE = re.compile(r"\\?[A-Za-z]+(?:\([a-z]\))?")
_SPACED_TEXT = re.compile(r"\\text\s+\{")
_STRAY_SLASH = re.compile(r"(?<!\\)\\(?=\d)")

_BASES = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_BASES |= {"eleven": 11, "twelve": 12, "sixteen": 16}
_NUMERAL = re.compile(
    rf"(?P<digits>-?[0-9A-Za-z]+?(?:\.[0-9A-Za-z]+?)?)(?:(?:_(?:base)?|(?:in)?base)(?P<base>\d+|{'|'.join(_BASES)}))?"
)
_NAMES_BASE = re.compile(r"\bbases?\b|_\{?\d|\b(?:binary|ternary|octal|hexadecimal)\b", re.IGNORECASE)
_RATIONAL = re.compile(r"(-?)(?:\\frac\{(-?\d+)\}\{(\d+)\}|(\d+)/(\d+)|(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?|(\.\d+))")


def read(answer: str) -> str:
    """An answer in LaTeX that math-verify reads as it is meant: percent, repeating decimals, degrees and i."""
    answer = _plain_signs(answer)
    answer = _PERCENTAGE.sub(lambda found: rf"\frac{{{found[1].replace(',', '')}}}{{100}}", answer)
    answer = _DOTS.sub(_repeating, _BAR.sub(_repeating, answer))
    if _FUNCTION.search(answer):
        answer = _DEGREES.sub(lambda found: rf"\left({found[1]}\cdot\frac{{\pi}}{{180}}\right)", answer)
    if not _INDEX.search(answer):
        answer = _BARE_I.sub(r"\1{i}", _ROMAN_I.sub("i", answer))
        answer = _I.sub(lambda _: r"\sqrt{-1}", answer)
    return answer


def _plain_signs(answer: str) -> str:
    """Signs of plain text, and spellings that the engine does not know, in LaTeX."""
    answer = _ROOT.sub(r"\\sqrt{\1}", answer.translate(_SIGNS))
    return _SPACED_TEXT.sub(r"\\text{", _STRAY_SLASH.sub("", answer))


def _repeating(found: re.Match[str]) -> str:
    """A repeating decimal as a fraction."""
    period = found["period"] or found["digit"]
    once = (found["whole"] or "0") + found["once"]
    below = 10 ** len(found["once"]) * (10 ** len(period) - 1)
    value = Fraction(int(once + period) - int(once), below)
    return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


def without_full_stop(answer: str) -> str:
    """An answer without white space around it and the full stop of its sentence; the dots of 0.333... stay."""
    return _FULL_STOP.sub("", answer.strip()).strip()


def normal_form(answer: str) -> str:
    r"""An answer without what never matters: white space, dollar signs, bracket sizes, text wrappers, a full stop.

    A number is one fraction however it is written. Answers of one form are equal, and no reference is asked, so that
    votes are counted by this form. math-verify's equality cannot group answers: to it ``50\%`` equals 50 and 0.5.
    """
    answer = _TEXT.sub(lambda found: found[1].strip(), read(answer))
    answer = answer.replace("dfrac", "frac").replace("tfrac", "frac")
    answer = without_full_stop(_DROPPED.sub("", answer))
    answer = re.sub(r"\\frac(\d)(\d)", r"\\frac{\1}{\2}", answer)
    found = _RATIONAL.fullmatch(answer)
    if found is None:
        return answer
    sign, above, below, top, bottom, whole, decimals, only_decimals = found.groups()
    if (divisor := int(below or bottom or 1)) == 0:
        return answer
    size = Fraction(above or top or (whole or "0").replace(",", "") + (decimals or only_decimals or "")) / divisor
    return str(-size if sign else size)


def apart(right: str, mine: str) -> bool:
    """Whether two normal forms are numbers that no rounding brings together, so that no engine need be asked."""
    if not (_FRACTION_FORM.fullmatch(right) and _FRACTION_FORM.fullmatch(mine)):
        return False
    one, other = Fraction(right), Fraction(mine)
    return abs(one - other) * 1000 > max(abs(one), abs(other))


_CALL = re.compile(r"([A-Za-z])\(([A-Za-z]|\d+(?:,\s*\d+)*)\)\s*=\s*([^=]+)")
"""A function's name, its variable or numbers, and what it is."""


def readings(reference: str, answer: str, question: str) -> list[tuple[str, str]]:
    """Pairs of which one has to be equal.

    They are the two; where the question names percent, both without a lone sign; where one is an interval and the
    other an inequality, the two intervals; and where both are one function of a variable, both of the same variable.
    A value of a function, ``f(3) = 7``, is its right side where the reference is no equation.
    """
    pairs = [(reference, answer)]
    mine, right = _CALL.fullmatch(answer.strip(" $")), _CALL.fullmatch(reference.strip(" $"))
    if mine and right and mine[1] == right[1] and mine[2].isalpha() and right[2].isalpha():
        renamed = re.sub(rf"(?<![A-Za-z\\]){mine[2]}(?![A-Za-z])", right[2], mine[3])
        pairs.append((right[3], renamed))
    elif mine and "=" not in reference:
        pairs.append((reference, mine[3]))
    intervals = [_interval(text) for text in (reference, answer)]
    if (intervals[0] is None) != (intervals[1] is None):
        pairs.append((intervals[0] or reference, intervals[1] or answer))
    signs = [bool(_PERCENT_SIGN.search(text)) for text in (reference, answer, question)]
    if signs[0] != signs[1] and signs[2]:
        pairs.append((_PERCENT_SIGN.sub("", reference), _PERCENT_SIGN.sub("", answer)))
    return pairs


def _interval(answer: str) -> str | None:
    r"""The interval that an inequality of one variable is, such as ``2 < x \le 5``; None where it is none."""
    plain = re.sub(r"\\(?:left|right)(?![a-z])|\\[()\[\],;! ]|\$", "", _plain_signs(answer)).strip()
    plain = _AT_LEAST.sub(lambda found: {"l": "<=", "g": ">="}[found[1]], plain)
    plain = re.sub(r"\\lt(?![a-z])", "<", re.sub(r"\\gt(?![a-z])", ">", plain))
    parts = re.split(r"(<=|>=|<|>)", plain)
    if len(parts) == 5 and parts[1][0] == parts[3][0] and _VARIABLE.fullmatch(parts[2].strip()):
        low, first, _, second, high = parts if parts[1][0] == "<" else parts[::-1]
        left, right = "[" if "=" in first else "(", "]" if "=" in second else ")"
        return f"{left}{low.strip()},{high.strip()}{right}"
    if len(parts) != 3:
        return None
    one, sign, other = parts
    if _VARIABLE.fullmatch(other.strip()):
        one, sign, other = other, {"<": ">", ">": "<"}[sign[0]] + sign[1:], one
    if not _VARIABLE.fullmatch(one.strip()) or not other.strip():
        return None
    closed, bound = "=" in sign, other.strip()
    if sign[0] == "<":
        return rf"(-\infty,{bound}{']' if closed else ')'}"
    return rf"{'[' if closed else '('}{bound},\infty)"


def same_numeral(reference: str, answer: str, question: str) -> bool | None:
    """Whether two numerals have the same digits and base; None where neither states a base.

    A base may be left out, or added, where the question names one.
    """
    right, mine = _numeral(reference), _numeral(answer)
    if (right is None or right[1] is None) and (mine is None or mine[1] is None):
        return None
    if right is None or mine is None or right[0] != mine[0]:
        return False
    return right[1] == mine[1] or (None in (right[1], mine[1]) and _NAMES_BASE.search(question) is not None)


def _numeral(answer: str) -> tuple[str, int | None] | None:
    """Digits and stated base of a numeral; None where it is none."""
    plain = re.sub(r"\\(?:left|right|overline)|\\[,;:! ]|[\s{}()$,]", "", _TEXT.sub(r"\1", answer))
    found = _NUMERAL.fullmatch(without_full_stop(plain.rpartition("=")[2]))
    if found is None:
        return None
    digits, stated = found["digits"].lstrip("0") or "0", found["base"]
    base = None if stated is None else _BASES.get(stated) or int(stated)
    if base is not None:
        values = [int(digit, 36) for digit in digits if digit.isalnum()]
        if max(values) >= base or not re.search("[0-9A-Z]", digits):
            return None  # an index, as in x_1
    return digits.upper(), base
