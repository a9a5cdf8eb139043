"""Which tokens of a text are table tokens: those that stand in a word or number of the problem's table.

A word is a run of letters (a possessive ``'s`` does not count), a number a run of digits with its thousands separators
and decimals. A word of the text is one of the table if it is a word of a cell or of the header, whatever its case; a
number if it has the value of one. Words that any sentence has (:data:`FUNCTION_WORDS`) are none, wherever they stand.
A token is a table token if a character of it stands in such a word or number: a token may be a part of a word, or a
word with the blank before it.

EcoTab (arXiv 2605.29319), of which only the abstract was at hand, tells table tokens from text tokens; its own rule may
be another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.datasets.problem import Problem, Table

__all__ = ["FUNCTION_WORDS", "TableWords", "table_words"]

_LISTED = """
a an the and or but nor of in on at to from by for with as into than then that this these those it its is are was were
be been has have had do does did not no so if there which who what when where how
"""
FUNCTION_WORDS = frozenset(_LISTED.split())
"""English words that tell nothing of where they come from."""
_WORD = re.compile(
    r"(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,])|\d+(?:\.\d+)?)|(?P<word>[^\W\d_]+(?:['\u2019](?!s\b)[^\W\d_]+)*)(?:['\u2019]s\b)?"
)


class TableWords:
    """The words and numbers of a table.

    Args:
        table: its cells, the header included.
    """

    def __init__(self, table: Table) -> None:
        self._known = frozenset(key for row in table for cell in row for key, _ in _words(cell))

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Character ranges of the table's words and numbers in a text, in order."""
        return [span for key, span in _words(text) if key in self._known]

    def tokens(self, pieces: Sequence[str], text: str) -> NDArray[np.bool_]:
        """Which tokens are table tokens, ``bool[len(pieces)]``.

        Args:
            pieces: text that each token added.
            text: what they come to, without what ended it.
        """
        inside = np.zeros(max(len(text), sum(map(len, pieces))) + 1, dtype=np.int64)
        for start, stop in self.spans(text):
            inside[start:stop] = 1
        before = np.concatenate([[0], np.cumsum(inside)])
        lengths = np.array([len(piece) for piece in pieces], dtype=np.int64)
        ends = np.cumsum(lengths)
        starts = ends - lengths  # a token without text of its own is a part of the character that follows
        return np.asarray(before[np.maximum(ends, starts + 1)] > before[starts], dtype=np.bool_)


def table_words(problem: Problem) -> TableWords | None:
    """The words of a problem's table; None where it has none."""
    return None if problem.table is None else TableWords(problem.table)


def _words(text: str) -> Iterator[tuple[str | Decimal, tuple[int, int]]]:
    """Every word and number by which it is compared, and where it stands."""
    for found in _WORD.finditer(text):
        if found["number"]:
            yield Decimal(found["number"].replace(",", "")), found.span()
        elif (word := found["word"].casefold().replace("\u2019", "'")) not in FUNCTION_WORDS:
            yield word, found.span("word")
