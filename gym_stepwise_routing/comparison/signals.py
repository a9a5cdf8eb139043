"""Does a router's signal tell where the larger model helps? Area under the ROC curve of its scores, on recorded trees.

A step of decision counts as "helped" where the chance to end right, all later decisions drawn uniformly, is larger if
the largest model writes it than if the smallest does; on a tree that is exact. States weigh as often as uniform
decisions meet them. Routers that decide once for a trace are measured on problems, cascades on answers. It separates
the two reasons why a router may lose: its signal, or what it is charged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.baselines.experience import experience, path_values, reach, uniform_values
from gym_stepwise_routing.evaluation.bootstrap import Interval, percentile_interval
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.base import Scores, bind

__all__ = ["Signal", "auroc", "query_signal", "step_signal"]

_RESAMPLES = 1_000
_CHUNK = 1 << 17
"""Most weights held at a time."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Signal:
    """Scores and what they should tell, for ``N`` cases.

    Attributes:
        score: ``float64[N]``.
        label: ``bool[N]`` cases that should score high.
        weight: ``float64[N]`` >= 0.
        problem: ``int64[N]`` cases of one problem are drawn together.
    """

    score: Floats
    label: NDArray[np.bool_]
    weight: Floats
    problem: NDArray[np.int64]


def step_signal(router: Scores, game: Game, *, after: int = 0) -> Signal | None:
    """Signal of a router at every decision of a game.

    Args:
        router: the router.
        game: the game.
        after: decisions before this step are left out.

    Returns:
        None of a game without a table, or where no decision is left.
    """
    if game.table is None:
        return None
    bind(router, game.spec)
    known = experience(game)
    value = uniform_values(known, known.right)
    small, large = known.child[:, 0], known.child[:, -1]
    rows = np.flatnonzero((small >= 0) & (large >= 0) & (known.depth >= after))
    if len(rows) == 0:
        return None
    scores: NDArray[Any] = np.asarray(router.scores(known.observation[rows]), dtype=np.float64)
    return Signal(
        score=scores if scores.ndim == 1 else scores.mean(axis=1),
        label=value[large[rows]] > value[small[rows]] + 1e-12,
        weight=reach(known)[rows],
        problem=known.problem[rows],
    )


def query_signal(router: Scores, game: Game) -> Signal | None:
    """Signal of a router that decides once: is the largest model alone right, and the smallest alone not?"""
    if game.table is None:
        return None
    bind(router, game.spec)
    known = experience(game)
    roots = np.flatnonzero(known.depth == 0)
    small, large = (
        path_values(known, np.full(len(known), action), known.right, known.right)[roots]
        for action in (0, known.child.shape[1] - 1)
    )
    scores: NDArray[Any] = np.asarray(router.scores(known.observation[roots]), dtype=np.float64)
    return Signal(scores, large > small, np.ones(len(roots)), known.problem[roots])


def auroc(signal: Signal, *, resamples: int = _RESAMPLES, seed: int = 0) -> Interval | None:
    """Weighted area under the ROC curve, with its 95 % interval over problems; None where only one kind is there.

    Args:
        signal: the scores; ties count one half.
        resamples: bootstrap resamples over problems.
        seed: seed of the resamples.
    """
    if signal.label.all() or not signal.label.any():
        return None
    names, group = np.unique(signal.problem, return_inverse=True)
    _, tie = np.unique(signal.score, return_inverse=True)
    order = np.argsort(tie, kind="stable")
    starts = np.flatnonzero(np.diff(tie[order], prepend=-1))
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    weights = np.concatenate([np.ones((1, len(names))), counts])  # row 0: the data themselves
    step = max(1, _CHUNK // len(tie))
    areas = np.concatenate(
        [_areas(signal, group, order, starts, weights[i : i + step]) for i in range(0, len(weights), step)]
    )
    return percentile_interval(areas[1:], float(areas[0]), len(names), 0.95)


def _areas(
    signal: Signal, group: NDArray[np.int64], order: NDArray[np.int64], starts: NDArray[np.int64], counts: Floats
) -> Floats:
    """Area under each row of problem weights, ``float64[R]``; NaN where a resample has one kind only."""
    weight = counts[:, group[order]] * signal.weight[order]
    label = signal.label[order]
    high = np.add.reduceat(weight * label, starts, axis=1)
    low = np.add.reduceat(weight * ~label, starts, axis=1)
    below = np.cumsum(low, axis=1) - low / 2
    total = high.sum(axis=1) * low.sum(axis=1)
    area = (high * below).sum(axis=1)
    return np.asarray(np.divide(area, total, out=np.full(len(area), np.nan), where=total > 0))
