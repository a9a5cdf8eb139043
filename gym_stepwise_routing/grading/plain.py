"""Grading of answers that are compared as they stand: the same words, or the letter of a choice."""

from __future__ import annotations

import re
import unicodedata

from gym_stepwise_routing.datasets.problem import Problem
from gym_stepwise_routing.grading.grader import GRADERS, Grade, Grader

__all__ = ["STATED", "grade_choice", "grade_exact", "stated_words"]

_TO_WHAT = r"(?:\s+to\s+[^.\n]{1,80}?)?"
STATED = (
    rf"(?:[Tt]he (?:final |correct )?answer{_TO_WHAT} is:?|(?:\A|\n)[ \t*]*(?:Final )?[Aa]nswer:)[ \t*]*[^\s*][^\n]*"
)
"""A stated answer: all of its line."""

_STATED = re.compile(
    rf"(?:the (?:final |correct )?answer{_TO_WHAT} is:?|(?:\A|\n)[ \t*]*(?:final )?answer:)[ \t*]*(?P<answer>[^\n]*)",
    re.I,
)
_LETTER = re.compile(
    r"(?:(?:the )?(?:option|choice|letter|answer)\b)?(?:[\s(\[*\"'`$]|\\(?:boxed|text)\{)*(?P<letter>[A-Za-z])"
    r"(?:(?P<closed>[)\].,:*\"'`}$])|(?P<blank>\s)|\Z)(?P<rest>.*)",
    re.DOTALL | re.IGNORECASE,
)
_ANOTHER = re.compile(
    r"[\s)\]*\"'`}$]*(?:/|&|,?\s*(?:or|and)\b|,)\s*[(\[*]*[A-Z](?=[)\].,:*]|\s*\Z|\s+(?:is|are|but)\b)", re.IGNORECASE
)
"""A second letter behind the first, as in ``A or B``."""
_REASON = re.compile(r"\s*(?:because|since|as|for|is|which|with)\b")
_WORDS = ("A", "I")
"""Letters that are words as well: "a city", "I think"."""


def stated_words(text: str) -> str | None:
    """What stands after the last "The answer is" or "Answer:", on its line; None where there is none."""
    found = list(_STATED.finditer(text))
    return found[-1]["answer"].strip(" *\t") or None if found else None


def grade_exact(text: str, problem: Problem) -> Grade:
    """Right if the stated words are those of the reference, but for case, blanks, quotation marks and a full stop."""
    answer = stated_words(text)
    return Grade(answer, answer is not None and _normal(answer) == _normal(problem.answer))


def grade_choice(text: str, problem: Problem) -> Grade:
    """Right if the stated letter is the reference's, whatever stands behind it: ``(B)``, ``b.``, ``B: blue``.

    Two letters (``A or B``), and an *a* or *I* that is a word ("a city"), are no letter of a choice.
    """
    reference = _letter(problem.answer)
    if reference is None:
        raise ValueError(f"problem {problem.id}: answer={problem.answer!r}; allowed: the letter of a choice")
    answer = _letter(stated_words(text) or "")
    return Grade(answer, answer == reference)


def _letter(words: str) -> str | None:
    found = _LETTER.fullmatch(words)
    if found is None:
        return None
    letter = found["letter"].upper()
    word = found["blank"] is not None and found["rest"].lstrip()[:1].isalnum()
    if _ANOTHER.match(words, found.end("letter")) or (word and letter in _WORDS and not _REASON.match(found["rest"])):
        return None
    return letter


def _normal(words: str) -> str:
    plain = " ".join(unicodedata.normalize("NFKC", words).casefold().replace("**", "").split())
    return plain.rstrip(".\"'`\u201c\u201d ").lstrip("\"'`\u201c\u201d ")


GRADERS.register(
    Grader(
        name="exact",
        title="the stated words are those of the reference",
        make=lambda: grade_exact,
        version=lambda: "words after 'The answer is' or 'Answer:', but for case and blanks (version 2)",
        prompt="",
        answer=STATED,
        reads=lambda problem: bool(_normal(problem.answer)),
        allowed="an answer of one word or more",
    )
)
GRADERS.register(
    Grader(
        name="choice",
        title="the stated letter is that of the right choice",
        make=lambda: grade_choice,
        version=lambda: "letter after 'The answer is' or 'Answer:' (version 2)",
        prompt="",
        answer=STATED,
        reads=lambda problem: _letter(problem.answer) is not None,
        allowed="the letter of a choice, such as B or (B)",
    )
)
