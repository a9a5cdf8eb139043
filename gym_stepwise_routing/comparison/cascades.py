"""Cascades as contenders: computed from the traces of the single models.

FrugalGPT (arXiv 2305.05176) learns which models are asked, at most three, and a threshold for each but the last. Here
the lists are in the order of the pool, and the plans are those that no other plan betters in cost and accuracy on the
train split. AutoMix asks all models of the pool in turn, at one threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.baselines.cascade import AnswerJudge, FrugalJudge, SelfJudge, answers, tried
from gym_stepwise_routing.comparison.arena import Arena
from gym_stepwise_routing.comparison.contenders import GRID, Costs, Floats, Points
from gym_stepwise_routing.comparison.signals import Signal
from gym_stepwise_routing.routers.base import ALWAYS_LARGEST, ALWAYS_SMALLEST
from gym_stepwise_routing.routers.families import ROUTERS, Family
from gym_stepwise_routing.types import DEFAULT_BLOCKS, Split

__all__ = ["Cascade", "LearnedCascade", "Plan"]

LONGEST = 3
"""Most models that a learned cascade asks, as in FrugalGPT."""
COARSE = 12
"""Quantiles of the grid of each threshold of a learned cascade."""


class _Judged:
    """What cascades have in common: a judge, and what it says of the single models' answers.

    Args:
        arena: where it is played.
        judge: judge of answers, not fitted yet.
    """

    def __init__(self, arena: Arena, judge: AnswerJudge) -> None:
        self._arena = arena
        self._judge = judge.fit(arena.game("train", DEFAULT_BLOCKS, mode=arena.plain), seed=arena.seed)

    def _approvals(self, split: Split) -> Sequence[Floats]:
        if split == "train":
            return self._judge.fitted_approvals
        game = self._arena.game(split, DEFAULT_BLOCKS, mode=self._arena.plain)
        models = range(len(game.spec.models) - 1)
        return [self._judge.approval(answers(game, model, seed=self._arena.seed)[0]) for model in models]

    def signal(self, split: Split, after: int = 0) -> Signal | None:
        """Rejection scores of the answers of all models but the largest, and whether they are wrong."""
        if after:
            return None
        models = self._arena.reference(split).models[:-1]
        scores = 1 - np.concatenate(self._approvals(split))
        wrong = np.concatenate([~model.right for model in models])
        problem = np.tile(np.arange(len(models[0].right)), len(models))
        return Signal(scores, wrong, np.ones(len(wrong)), problem)


class Cascade(_Judged):
    """All models of the pool in turn, at thresholds that are quantiles of the judge's rejection scores on train.

    At threshold 0 every answer but the largest model's is rejected, which costs more than the largest model alone: all
    answers are paid for.

    Args:
        arena: where it is played.
        judge: judge of answers, not fitted yet.
    """

    def __init__(self, arena: Arena, judge: AnswerJudge) -> None:
        super().__init__(arena, judge)
        scores = 1 - np.concatenate(self._approvals("train"))
        self._grid = np.unique([ALWAYS_LARGEST, *np.quantile(scores, np.linspace(0, 1, GRID)), ALWAYS_SMALLEST])
        self.labels = [f"threshold {threshold:.3g}" for threshold in self._grid]

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


@dataclass(frozen=True, slots=True)
class Plan:
    """Which models are asked, smallest first, and when the next one is.

    Attributes:
        models: indices into the pool, one or more.
        thresholds: one for each model but the last: its answer is kept where its rejection score is below.
    """

    models: tuple[int, ...]
    thresholds: tuple[float, ...]

    def kept(self, approvals: Sequence[Floats]) -> NDArray[np.int64]:
        """Place in ``models`` of the one whose answer is kept, ``int64[n]``.

        Args:
            approvals: ``float64[n]`` for each model of the pool that may be asked before another.
        """
        place = np.full(len(approvals[0]), len(self.models) - 1, dtype=np.int64)
        for number in range(len(self.models) - 2, -1, -1):
            place = np.where(1 - approvals[self.models[number]] < self.thresholds[number], number, place)
        return place


class LearnedCascade(_Judged):
    """FrugalGPT: the list of models and their thresholds are learned on the train split, see the module.

    Args:
        arena: where it is played.
        judge: judge of answers, not fitted yet.
    """

    def __init__(self, arena: Arena, judge: AnswerJudge) -> None:
        super().__init__(arena, judge)
        approvals, names = self._approvals("train"), arena.source.pool.names
        grids = [np.unique(np.quantile(1 - each, np.linspace(0, 1, COARSE))) for each in approvals]
        plans = [
            Plan(asked, tuple(map(float, thresholds)))
            for length in range(1, min(LONGEST, len(names)) + 1)
            for asked in combinations(range(len(names)), length)
            for thresholds in product(*(grids[model] for model in asked[:-1]))
        ]
        self._plans = self._undominated(plans, approvals)
        self.labels = [
            "".join(f"{names[model]} < {t:.2g}, else " for model, t in zip(plan.models, plan.thresholds, strict=False))
            + names[plan.models[-1]]
            for plan in self._plans
        ]

    def _undominated(self, plans: Sequence[Plan], approvals: Sequence[Floats]) -> list[Plan]:
        """Plans, by cost, each more accurate on the train split than all cheaper ones."""
        models = self._arena.reference("train").models
        right, cost = [m.right.astype(np.float64) for m in models], [m.cost for m in models]
        played = [_follow(plan, approvals, right, cost) for plan in plans]
        accuracy = np.array([each.mean() for each, _ in played])
        spent = np.array([each.mean() for _, each in played])
        best, kept = -1.0, []
        for index in np.lexsort((-accuracy, spent)):
            if accuracy[index] > best:
                best = accuracy[index]
                kept.append(plans[index])
        return kept

    def points(self, split: Split) -> Points:
        """See :class:`Contender`."""
        models, approvals = self._arena.reference(split).models, self._approvals(split)
        right, cost = [m.right.astype(np.float64) for m in models], [m.cost for m in models]
        played = [_follow(plan, approvals, right, cost) for plan in self._plans]
        return Points(np.stack([each for each, _ in played]), np.stack([each for _, each in played]))

    def costs(self, split: Split, index: int) -> Costs:
        """See :class:`Contender`."""
        models, approvals = self._arena.reference(split).models, self._approvals(split)
        right = [m.right.astype(np.float64) for m in models]
        return {
            unit: _follow(self._plans[index], approvals, right, [m.costs[unit] for m in models])[1]
            for unit in models[0].costs
        }


def _follow(
    plan: Plan, approvals: Sequence[Floats], right: Sequence[Floats], cost: Sequence[Floats]
) -> tuple[Floats, Floats]:
    """Whether the kept answer is right, and the cost of all that were asked for, ``float64[n]`` each."""
    kept = plan.kept(approvals)[None]
    paid = np.cumsum([cost[model] for model in plan.models], axis=0)
    found = np.stack([right[model] for model in plan.models])
    return np.take_along_axis(found, kept, axis=0)[0], np.take_along_axis(paid, kept, axis=0)[0]


_LEARNED = Family(
    name="FrugalGPT cascade",
    group="query level",
    paper="arXiv 2305.05176",
    build=lambda arena: LearnedCascade(arena, FrugalJudge()),
    sees=DEFAULT_BLOCKS,
    charges="every answer that was tried",
    plays="answers",
    fitted=True,
)
ROUTERS.register(_LEARNED)
ROUTERS.register(
    replace(
        _LEARNED,
        name="AutoMix cascade",
        paper="arXiv 2310.12963",
        build=lambda arena: Cascade(arena, SelfJudge()),
        fitted=False,
    )
)
