"""ProcessBench (arXiv 2412.06559): find the first wrong step of a solution, or say that there is none.

F1 is the harmonic mean of two accuracies: on solutions with an error (its exact step must be named) and on those
without. A guess that ignores the solution gets one of them right and the other wrong: always "no error" has F1 0.

Two ways to train a verifier for it: on the benchmark's own labels, by cross-fitting over problems
(:func:`cross_fitted`), or on the trees of a bank, whose labels need no annotator (:func:`transferred`); the latter is
what routers are given.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.baselines.experience import folds
from gym_stepwise_routing.baselines.verifiers.attach import node_reach, soft_labels
from gym_stepwise_routing.baselines.verifiers.text import Judged, TextVerifier, bank_steps
from gym_stepwise_routing.evaluation.bootstrap import Interval, percentile_interval

__all__ = [
    "ProcessScore",
    "Solution",
    "best_threshold",
    "cross_fitted",
    "f1_interval",
    "first_below",
    "hits",
    "majority",
    "process_f1",
    "process_score",
    "read_processbench",
    "transferred",
]

NO_ERROR = -1
FOLDS = 5

Floats = NDArray[np.float64]


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


def hits(guesses: NDArray[np.int64], solutions: Sequence[Solution]) -> Floats:
    """1 where the guess names the first wrong step, or rightly none, ``float64[n]``.

    Raises:
        ValueError: another number of guesses than of solutions.
    """
    if len(guesses) != len(solutions):
        raise ValueError(f"{len(guesses)} guesses for {len(solutions)} solutions")
    return np.asarray(guesses == _truth(solutions), dtype=np.float64)


def process_score(right: Floats, solutions: Sequence[Solution]) -> ProcessScore:
    """The benchmark's score of hits ``float64[n]``; probabilities of a hit where a judge guesses at random.

    Raises:
        ValueError: all solutions are of one kind.
    """
    wrong = _truth(solutions) != NO_ERROR
    if not 0 < wrong.sum() < len(wrong):
        raise ValueError(f"{wrong.sum()} of {len(wrong)} solutions have an error; allowed: some, not all")
    return ProcessScore(float(right[wrong].mean()), float(right[~wrong].mean()))


def process_f1(guesses: NDArray[np.int64], solutions: Sequence[Solution]) -> ProcessScore:
    """The benchmark's score of guesses ``int64[n]``; raises as :func:`hits` and :func:`process_score` do."""
    return process_score(hits(guesses, solutions), solutions)


def f1_interval(
    right: Floats,
    solutions: Sequence[Solution],
    *,
    minus: Floats | None = None,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """F1 with its 95 % interval over problems: all solutions of a problem are drawn together.

    Args:
        right: ``float64[n]``, or ``float64[S, n]`` for S seeds, over which F1 is averaged.
        solutions: the solutions.
        minus: hits of another judge on the same solutions: the interval is that of the difference.
        resamples: bootstrap resamples.
        seed: seed of the resamples.
    """
    names, group = np.unique([solution.problem for solution in solutions], return_inverse=True)
    wrong = _truth(solutions) != NO_ERROR
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    weight = np.concatenate([np.ones((1, len(names))), counts])  # row 0: the data themselves
    judges = [np.atleast_2d(right)] + ([] if minus is None else [np.atleast_2d(minus)])
    means = [_mean_f1(judge, wrong, group, weight) for judge in judges]
    value = means[0] if minus is None else means[0] - means[1]
    return percentile_interval(value[1:], float(value[0]), len(solutions), 0.95)


def _mean_f1(right: Floats, wrong: NDArray[np.bool_], group: NDArray[np.int64], weight: Floats) -> Floats:
    """F1 under each row of problem weights, averaged over seeds, ``float64[R]``."""
    f1 = []
    for hit in right:
        parts = []
        for kind in (wrong, ~wrong):
            total = np.bincount(group[kind], minlength=weight.shape[1])
            found = np.bincount(group[kind], weights=hit[kind], minlength=weight.shape[1])
            parts.append((weight @ found) / np.maximum(weight @ total, 1e-12))
        one, other = parts
        f1.append(2 * one * other / np.maximum(one + other, 1e-12))
    return np.asarray(np.mean(f1, axis=0))


def _truth(solutions: Sequence[Solution]) -> NDArray[np.int64]:
    return np.array([solution.first_error for solution in solutions], dtype=np.int64)


def best_threshold(scores: Sequence[NDArray[np.float64]], solutions: Sequence[Solution]) -> float:
    """Threshold with the largest F1 on these solutions, among the quantiles of the scores."""
    grid = np.unique(np.quantile(np.concatenate(scores), np.linspace(0, 1, 101)))
    return float(max(grid, key=lambda threshold: process_f1(first_below(scores, float(threshold)), solutions).f1))


def cross_fitted(
    solutions: Sequence[Solution], verifier: TextVerifier, count: int = FOLDS, *, seed: int = 0
) -> NDArray[np.int64]:
    """Guesses ``int64[n]`` of a verifier that is trained on the benchmark's own labels, by cross-fitting over problems.

    Every solution is scored by a verifier that was trained on the other folds, and judged by the threshold that is best
    on the out-of-fold scores of the other folds.

    Args:
        solutions: the solutions.
        verifier: the verifier; it is trained ``count`` times.
        count: number of folds.
        seed: seed of the folds.
    """
    fold = _fold(solutions, count, seed)
    scores: dict[int, Floats] = {}
    for held in range(count):
        known = [pair for i in np.flatnonzero(fold != held).tolist() for pair in solutions[i].labels()]
        steps, labels = zip(*known, strict=True)
        verifier.fit(steps, np.array(labels), np.ones(len(labels)))
        scores |= {i: verifier.predict(solutions[i].judged()) for i in np.flatnonzero(fold == held).tolist()}
    return _thresholded([scores[i] for i in range(len(solutions))], solutions, fold)


def transferred(
    solutions: Sequence[Solution],
    verifier: TextVerifier,
    bank: Bank,
    questions: Sequence[str],
    count: int = FOLDS,
    *,
    seed: int = 0,
) -> NDArray[np.int64]:
    """Guesses ``int64[n]`` of a verifier that is trained on the trees of a bank's train split (:func:`soft_labels`).

    Problems that the benchmark has, too, are left out of the training. Of the benchmark's labels only the threshold
    knows, and that of the other folds.

    Args:
        solutions: the solutions.
        verifier: the verifier; it is trained once.
        bank: the bank, which holds step texts.
        questions: question of each problem of the bank.
        count: number of folds.
        seed: seed of the folds.
    """
    steps = bank_steps(bank, questions)
    shared = {" ".join(solution.problem.split()) for solution in solutions}
    fresh = {int(p) for p in bank.split_problems("train") if " ".join(questions[p].split()) not in shared}
    rows = np.array([row for row in steps if int(bank.nodes.problem[row]) in fresh])
    verifier.fit([steps[int(row)] for row in rows], soft_labels(bank)[rows], node_reach(bank)[rows])
    scores = [verifier.predict(solution.judged()) for solution in solutions]
    return _thresholded(scores, solutions, _fold(solutions, count, seed))


def _fold(solutions: Sequence[Solution], count: int, seed: int) -> NDArray[np.int64]:
    problems = np.unique([solution.problem for solution in solutions], return_inverse=True)[1]
    return folds(problems.astype(np.int64), count, seed)


def _thresholded(scores: Sequence[Floats], solutions: Sequence[Solution], fold: NDArray[np.int64]) -> NDArray[np.int64]:
    """Guesses by the threshold that is best on the other folds."""
    guesses = np.zeros(len(solutions), dtype=np.int64)
    for held in np.unique(fold):
        rest, inside = (np.flatnonzero(part).tolist() for part in (fold != held, fold == held))
        threshold = best_threshold([scores[i] for i in rest], [solutions[i] for i in rest])
        guesses[inside] = first_below([scores[i] for i in inside], threshold)
    return guesses


def majority(solutions: Sequence[Solution]) -> dict[str, Floats]:
    """Guesses that do not read the solution: probability of a hit on each, ``float64[n]``.

    ``no error``: always that. ``most common``: the most common first wrong step, for a share of the solutions (drawn at
    random, in expectation), and "no error" for the others. Step and share are the best on these very solutions, which
    flatters the guess.
    """
    truth = _truth(solutions)
    wrong = truth != NO_ERROR
    common = np.bincount(truth[wrong]).argmax()
    none = (~wrong).astype(np.float64)
    mixed = [np.where(wrong, share * (truth == common), 1 - share) for share in np.linspace(0, 1, 101)]
    best = max(mixed, key=lambda right: process_score(right, solutions).f1)
    return {"no error": none, "most common": best}
