"""Cascades as contenders: computed from the traces of the single models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.baselines.cascade import AnswerJudge, answers, tried
from gym_stepwise_routing.compare.arena import Arena
from gym_stepwise_routing.compare.contenders import GRID, Costs, Floats, Points
from gym_stepwise_routing.compare.signals import Signal
from gym_stepwise_routing.observation import DEFAULT_BLOCKS
from gym_stepwise_routing.routers import ALWAYS_LARGEST, ALWAYS_SMALLEST
from gym_stepwise_routing.sources.base import Split

__all__ = ["Cascade"]


class Cascade:
    """A cascade at thresholds that are quantiles of its judge's rejection scores on the train split.

    At threshold 0 every answer but the largest model's is rejected, which costs more than the largest model alone: all
    answers are paid for.

    Args:
        arena: where it is played.
        judge: judge of answers, not fitted yet.
    """

    def __init__(self, arena: Arena, judge: AnswerJudge) -> None:
        self._arena = arena
        self._judge = judge.fit(arena.game("train", DEFAULT_BLOCKS, mode=arena.plain), seed=arena.seed)
        scores = 1 - np.concatenate(self._approvals("train"))
        self._grid = np.unique([ALWAYS_LARGEST, *np.quantile(scores, np.linspace(0, 1, GRID)), ALWAYS_SMALLEST])
        self.labels = [f"threshold {threshold:.3g}" for threshold in self._grid]

    def _approvals(self, split: Split) -> Sequence[Floats]:
        game = self._arena.game(split, DEFAULT_BLOCKS, mode=self._arena.plain)
        models = range(len(game.spec.models) - 1)
        return [self._judge.approval(answers(game, model, seed=self._arena.seed)[0]) for model in models]

    def _kept(self, split: Split) -> NDArray[np.int64]:
        """Model whose answer is kept at each threshold, ``int64[T, n]``."""
        approvals = self._approvals(split)
        return np.stack([tried(approvals, threshold) for threshold in self._grid])

    def points(self, split: Split) -> Points:
        """See :class:`Contender`."""
        models = self._arena.reference(split).models
        kept = self._kept(split)
        right = np.stack([m.right for m in models]).astype(np.float64)
        paid = np.cumsum([m.cost for m in models], axis=0)
        return Points(np.take_along_axis(right, kept, axis=0), np.take_along_axis(paid, kept, axis=0))

    def costs(self, split: Split, index: int) -> Costs:
        """See :class:`Contender`."""
        models = self._arena.reference(split).models
        kept = self._kept(split)[[index]]
        return {
            unit: np.take_along_axis(np.cumsum([m.costs[unit] for m in models], axis=0), kept, axis=0)[0]
            for unit in models[0].costs
        }

    def signal(self, split: Split, after: int = 0) -> Signal | None:
        """Rejection scores of the answers of all models but the largest, and whether they are wrong."""
        if after:
            return None
        models = self._arena.reference(split).models[:-1]
        scores = 1 - np.concatenate(self._approvals(split))
        wrong = np.concatenate([~model.right for model in models])
        problem = np.tile(np.arange(len(models[0].right)), len(models))
        return Signal(scores, wrong, np.ones(len(wrong)), problem)
