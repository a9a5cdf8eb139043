"""Where the greedy texts of two engines part, and how often their verdicts differ."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from studies.shares import Share

__all__ = ["Difference", "Played", "compare", "first_difference", "read_runs"]


@dataclass(frozen=True, slots=True)
class Played:
    """What one engine wrote to one problem."""

    index: int
    ids: tuple[int, ...]
    margin: tuple[float, ...] | None
    answer: str | None
    correct: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """Two engines side by side on the problems that both have answered.

    Attributes:
        one: name of the one run.
        other: name of the other.
        texts: answers that differ somewhere.
        answers: stated answers that differ, none stated included.
        verdicts: problems that one solves and the other does not.
        first: token of the first difference of each differing answer, counted from 0, ascending.
        margin: median margin, in the reference run, of the tokens at which answers part; None where it is not known.
    """

    one: str
    other: str
    texts: Share
    answers: Share
    verdicts: Share
    first: tuple[int, ...]
    margin: float | None

    @property
    def median(self) -> float | None:
        """Median token of the first difference; None where nothing differs."""
        return float(np.median(self.first)) if self.first else None

    @property
    def parted(self) -> tuple[int, ...]:
        """Answers that have parted within the first 16, 32, 64 and 128 tokens."""
        return tuple(sum(first < limit for first in self.first) for limit in (16, 32, 64, 128))


def first_difference(one: Sequence[int], other: Sequence[int]) -> int | None:
    """Number of equal tokens before the first that differs, or that only one has; None where all are equal."""
    for at, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return at
    return None if len(one) == len(other) else min(len(one), len(other))


def compare(
    one: str, other: str, runs: Mapping[str, Mapping[int, Played]], reference: Mapping[int, Played]
) -> Difference:
    """Compare two runs.

    Args:
        one: name of a run.
        other: name of another.
        runs: all runs, by name and row of the problem.
        reference: the run whose margins are read, if it is ``one``, where its texts part from ``other``'s.

    Raises:
        ValueError: no problem was answered by both.
    """
    mine, theirs = runs[one], runs[other]
    both = sorted(mine.keys() & theirs.keys())
    if not both:
        raise ValueError(f"runs {one!r} and {other!r} have no problem in common; allowed: at least one")
    places = {row: first_difference(mine[row].ids, theirs[row].ids) for row in both}
    parted = {row: at for row, at in places.items() if at is not None}
    margins = []
    if mine is reference:
        for row, at in parted.items():
            known = mine[row].margin
            if known is not None and at < len(known):
                margins.append(known[at])
    return Difference(
        one=one,
        other=other,
        texts=Share.of([places[row] is not None for row in both]),
        answers=Share.of([mine[row].answer != theirs[row].answer for row in both]),
        verdicts=Share.of([mine[row].correct != theirs[row].correct for row in both]),
        first=tuple(sorted(parted.values())),
        margin=float(np.median(margins)) if margins else None,
    )


def read_runs(folder: Path) -> dict[str, dict[int, Played]]:
    """The runs in a folder, one file each, by the names of the files.

    Raises:
        ValueError: no run there, or one that holds lines of two engines or settings.
    """
    runs: dict[str, dict[int, Played]] = {}
    for path in sorted(folder.glob("*.jsonl")):
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        kinds = [(line["engine"], line["dtype"], line["batch"]) for line in lines]
        if any(one != other for one, other in pairwise(kinds)):
            raise ValueError(f"{path}: lines of {sorted(set(kinds), key=str)!r}; allowed: one engine a file")
        name = f"{kinds[0][0]}, {kinds[0][1]}, batch {kinds[0][2]}"
        runs[name] = {
            line["index"]: Played(
                line["index"],
                tuple(line["ids"]),
                None if line["margin"] is None else tuple(line["margin"]),
                line["answer"],
                line["correct"],
            )
            for line in lines
        }
    if not runs:
        raise ValueError(f"runs={str(folder)!r} holds no *.jsonl; allowed: what python -m studies.engines.play wrote")
    return runs
