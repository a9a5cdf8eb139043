"""ProcessBench (arXiv 2412.06559): find the first wrong step of a solution, or say that there is none.

F1 is the harmonic mean of two accuracies: on solutions with an error (its exact step must be named) and on those
without. A guess that ignores the solution gets one of them right and the other wrong: always "no error" has F1 0.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.baselines.experience import folds
from gym_stepwise_routing.baselines.verifiers.text import Judged, TextVerifier

__all__ = [
    "ProcessScore",
    "Solution",
    "best_threshold",
    "cross_fitted",
    "first_below",
    "majority",
    "process_f1",
    "read_processbench",
]

NO_ERROR = -1


@dataclass(frozen=True, slots=True)
class Solution:
    """A solution: its problem, its steps, and the index of the first wrong one (-1: none)."""

    problem: str
    steps: tuple[str, ...]
    first_error: int

    def judged(self) -> list[Judged]:
        """Each step after what stands before it."""
        return [Judged("\n".join((self.problem, *self.steps[:index])), step) for index, step in enumerate(self.steps)]

    def labels(self) -> list[tuple[Judged, float]]:
        """Steps up to the first wrong one with 1 for right and 0 for wrong; what follows an error is not labelled."""
        upto = len(self.steps) if self.first_error == NO_ERROR else self.first_error + 1
        return [(step, float(index != self.first_error)) for index, step in enumerate(self.judged()[:upto])]


@dataclass(frozen=True, slots=True)
class ProcessScore:
    """Accuracy on solutions with an error, on those without, and their harmonic mean."""

    with_error: float
    without_error: float

    @property
    def f1(self) -> float:
        """The harmonic mean; 0 if either accuracy is."""
        total = self.with_error + self.without_error
        return 2 * self.with_error * self.without_error / total if total > 0 else 0.0


def read_processbench(path: Path) -> list[Solution]:
    """Solutions of one of ProcessBench's files."""
    rows = json.loads(path.read_text(encoding="utf-8"))
    return [Solution(row["problem"], tuple(row["steps"]), int(row["label"])) for row in rows]


def first_below(scores: Sequence[NDArray[np.float64]], threshold: float) -> NDArray[np.int64]:
    """First step of each solution whose score is below the threshold, -1 where none is, ``int64[n]``."""
    found = [np.flatnonzero(each < threshold) for each in scores]
    return np.array([rows[0] if len(rows) else NO_ERROR for rows in found], dtype=np.int64)


def process_f1(guesses: NDArray[np.int64], solutions: Sequence[Solution]) -> ProcessScore:
    """The benchmark's score of guesses ``int64[n]``.

    Raises:
        ValueError: another number of guesses, or all solutions of one kind.
    """
    truth = np.array([solution.first_error for solution in solutions])
    wrong = truth != NO_ERROR
    if len(guesses) != len(truth) or not 0 < wrong.sum() < len(wrong):
        raise ValueError(f"{len(guesses)} guesses for {len(truth)} solutions, {wrong.sum()} of them with an error")
    right = guesses == truth
    return ProcessScore(float(right[wrong].mean()), float(right[~wrong].mean()))


def best_threshold(scores: Sequence[NDArray[np.float64]], solutions: Sequence[Solution]) -> float:
    """Threshold with the largest F1 on these solutions, among the quantiles of the scores."""
    grid = np.unique(np.quantile(np.concatenate(scores), np.linspace(0, 1, 101)))
    return float(max(grid, key=lambda threshold: process_f1(first_below(scores, float(threshold)), solutions).f1))


def cross_fitted(solutions: Sequence[Solution], verifier: TextVerifier, count: int = 5) -> ProcessScore:
    """Score of a verifier that is trained on the benchmark's own labels, by cross-fitting over problems.

    Every solution is scored by a verifier that was trained on the other folds, and judged by the threshold that is best
    on the out-of-fold scores of the other folds.

    Args:
        solutions: the solutions.
        verifier: the verifier; it is trained ``count`` times.
        count: number of folds.
    """
    fold = folds(np.unique([solution.problem for solution in solutions], return_inverse=True)[1], count)
    everyone = range(len(solutions))
    scores: dict[int, NDArray[np.float64]] = {}
    for held in range(count):
        known = [pair for i in everyone if fold[i] != held for pair in solutions[i].labels()]
        steps, labels = zip(*known, strict=True)
        verifier.fit(steps, np.array(labels), np.ones(len(labels)))
        scores |= {i: verifier.predict(solutions[i].judged()) for i in everyone if fold[i] == held}
    guesses = np.zeros(len(solutions), dtype=np.int64)
    for held in range(count):
        rest = [i for i in everyone if fold[i] != held]
        threshold = best_threshold([scores[i] for i in rest], [solutions[i] for i in rest])
        inside = [i for i in everyone if fold[i] == held]
        guesses[inside] = first_below([scores[i] for i in inside], threshold)
    return process_f1(guesses, solutions)


def majority(known: Sequence[Solution], solutions: Sequence[Solution]) -> dict[str, ProcessScore]:
    """Guesses that do not read the solution.

    ``no error``: always that. ``most common``: the most common first wrong step, for a share of the solutions (drawn at
    random, in expectation) that makes F1 largest; "no error" for the others.

    Args:
        known: solutions to count on.
        solutions: solutions to guess.
    """
    truth = np.array([solution.first_error for solution in solutions])
    counted = np.array([solution.first_error for solution in known])
    common = np.bincount(counted[counted != NO_ERROR]).argmax()
    hit = float((truth[truth != NO_ERROR] == common).mean())
    mixed = max((ProcessScore(hit * share, 1 - share) for share in np.linspace(0, 1, 101)), key=lambda score: score.f1)
    return {
        "no error": process_f1(np.full(len(truth), NO_ERROR, dtype=np.int64), solutions),
        "most common": mixed,
    }
