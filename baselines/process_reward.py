"""Outcome plus process reward, after rubric-guided process reward models (arXiv 2605.29310).

The paper has a judge score every step against a rubric that was written for the query, and trains a router by GRPO on
the outcome and these scores together. Reconstructed as far as a bank allows: no bank records rubrics or a judge, so a
verifier's scores of the steps stand in for them (those of a judge can be attached, see ``verifiers.scores``); and as a
tree tells the return of every action, a fitted Q replaces GRPO's groups of samples. The return of a trace is

    (1 - w) * right + w * mean score of its steps - price * cost.

The scores are used in training only: in play no verifier is read, and none is charged.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.baselines.experience import Experience, experience
from gym_stepwise_routing.baselines.fitted_q import FittedQ
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.families import ROUTERS, BuildContext, Family, Settings, at_prices
from gym_stepwise_routing.types import DEFAULT_BLOCKS

__all__ = ["ProcessReward", "mean_scores"]


class ProcessReward(FittedQ):
    """Fitted Q on outcome and process reward.

    Args:
        price: price of one always-largest episode in units of a right answer, >= 0.
        weight: share w of the process reward, in [0, 1].
        threshold: 0 (always-largest) to above 1 (always-smallest).
        seed: as for :class:`FittedQ`.
    """

    def __init__(self, price: float, weight: float = 0.5, threshold: float = 0.5, seed: int = 0) -> None:
        if not 0 <= weight <= 1:
            raise ValueError(f"weight={weight!r}; allowed: 0 to 1")
        super().__init__(price, threshold=threshold, seed=seed)
        self.weight = weight
        self.name = f"process-reward-{price:.3g}"

    def fit_scored(self, game: Game, scores: NDArray[np.floating[Any]]) -> Self:
        """Fit on a game of the train split.

        Args:
            game: the game, on a recorded tree.
            scores: ``float[nodes]`` of the steps, by the bank's rows; NaN where a step has none.

        Raises:
            NotApplicableError: a random source, or no step has a score.
        """
        node = game.tree("there is no tree to learn from").node
        known = experience(game)
        score = np.where((known.depth > 0) & (node >= 0), scores[np.maximum(node, 0)], np.nan).astype(np.float64)
        if not np.isfinite(score).any():
            raise NotApplicableError(f"{game.spec.source!r} has no scores of its train steps")
        reward = (1 - self.weight) * known.right + self.weight * mean_scores(known, score)
        return self.fit(game, replace(known, right=np.where(known.ended, reward, 0.0)))


def mean_scores(known: Experience, score: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean score of the steps up to each state, ``float64[N]``; 0 where none of them has one.

    Args:
        known: states of a tree, each with one parent.
        score: ``float64[N]`` score of the step that led to the state, NaN where there is none.
    """
    given = np.isfinite(score)
    total, count = np.where(given, score, 0.0), given.astype(np.float64)
    for rows in reversed(known.levels):
        for action in range(known.child.shape[1]):
            has = known.child[rows, action] >= 0
            children, parents = known.child[rows[has], action], rows[has]
            total[children] += total[parents]
            count[children] += count[parents]
    return np.asarray(total / np.maximum(count, 1))


def _rewarded(arena: BuildContext) -> Settings:
    scores, game = arena.step_scores, arena.game("train", DEFAULT_BLOCKS)
    return at_prices(lambda p: ProcessReward(p, seed=arena.seed).fit_scored(game, scores), arena.exchange_rate())


ROUTERS.register(
    Family(
        name="process reward",
        group="fitted on trees",
        paper="arXiv 2605.29310",
        build=_rewarded,
        sees=DEFAULT_BLOCKS,
        needs=("a recorded tree", "verifier scores of its train steps"),
        fitted=True,
    )
)
