"""Train for accuracy, then re-weight for cost, after SACPO (NeurIPS 2024; arXiv 2404.11049).

SACPO aligns stepwise: a policy pi_r is first optimised for the reward under a KL penalty beta, then re-weighted for
safety, ``pi ~ pi_r exp(-lambda c / beta)``, which gives the optimum of the constrained problem without starting over.
Transferred to routing, where KL-regularised optimality reads ``pi_r ~ exp(Q_r / beta)``: the accuracy-trained policy is
a fitted Q at price 0; c is the regression of its cost to come; and every lambda re-weights the same two regressions.
Unlike :class:`FittedQ`, later decisions are not re-planned for the price.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.baselines.estimators import OutcomeRegression, predict_all
from gym_stepwise_routing.baselines.experience import Experience, experience, path_values, reach, uniform_values
from gym_stepwise_routing.baselines.fitted_q import FittedQ, advantages
from gym_stepwise_routing.baselines.fitted_router import FittedRouter
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.families import ROUTERS, BuildContext, Family, Settings, at_prices
from gym_stepwise_routing.types import DEFAULT_BLOCKS

__all__ = ["Reweighted"]


class Reweighted(FittedRouter):
    """Most likely action of ``pi_r exp(-price c / beta)``; scores are the log-odds of larger models, squashed.

    Args:
        price: lambda, in units of a right answer for one always-largest episode, >= 0.
        beta: strength of the KL penalty, > 0; the most likely action does not depend on it, the scores do.
        seed: seed of the sampling (random sources only).
    """

    def __init__(self, price: float, beta: float = 0.05, seed: int = 0) -> None:
        if not price >= 0:
            raise ValueError(f"price={price!r}; allowed: >= 0")
        if not beta > 0:
            raise ValueError(f"beta={beta!r}; allowed: > 0")
        super().__init__(threshold=0.5)
        self.price = price
        self.beta = beta
        self.seed = seed
        self.name = f"reweighted-{price:.3g}"

    def fit(self, game: Game, known: Experience | None = None) -> Self:
        """Fit the accuracy-trained policy and its cost to come.

        On a random source only the sampled actions have a cost; for the others the regressions stand in, in turns.
        """
        self.bind_to(game)
        known = experience(game, seed=self.seed) if known is None else known
        self._reward = FittedQ(0.0, seed=self.seed).fit(game, known)
        actions = np.argmax(np.where(known.mask, self._reward.gains(known.observation), -np.inf), axis=1)
        own, weight = (np.arange(len(known)), actions), reach(known)
        guess = uniform_values(known, known.cost)
        self._costs = self._to_come(known, path_values(known, actions, known.cost, guess), weight)
        if (known.child[own] < 0)[~known.ended].any():
            for _ in range(self._reward.iterations):
                guess = known.cost + self._cost_to_come(known.observation)[own]
                self._costs = self._to_come(known, path_values(known, actions, known.cost, guess), weight)
        return self

    def _to_come(
        self, known: Experience, cost: NDArray[np.float64], weight: NDArray[np.float64]
    ) -> Sequence[OutcomeRegression]:
        """Regressions of the cost to come after each action, from the cost that an episode ends with."""
        return [_fitted(known, action, cost, weight) for action in range(self.models)]

    def _cost_to_come(self, observation: NDArray[np.float32]) -> NDArray[np.float64]:
        """Estimated cost to come after each action, ``float64[B, K]``."""
        return predict_all(self._costs, observation)

    def priced(self, price: float) -> Reweighted:
        """The same fit at another price."""
        other = Reweighted(price, self.beta, self.seed)
        other._models, other._reward, other._costs = self._models, self._reward, self._costs
        other.trained_on = self.trained_on
        return other

    def scores(self, observation: NDArray[np.float32]) -> NDArray[np.float64]:
        """Log-odds of larger models, squashed, ``float64[B, K-1]`` in [0, 1]."""
        return advantages(self._reward.gains(observation) - self.price * self._cost_to_come(observation), self.beta)


def _fitted(
    known: Experience, action: int, cost: NDArray[np.float64], weight: NDArray[np.float64]
) -> OutcomeRegression:
    rows = np.flatnonzero(known.child[:, action] >= 0)
    target = cost[known.child[rows, action]] - known.cost[rows]
    return OutcomeRegression().fit(known.observation[rows], target, weight[rows], known.problem[rows])


def _reweighted(arena: BuildContext) -> Settings:
    fitted = Reweighted(0.0, seed=arena.seed).fit(arena.game("train", DEFAULT_BLOCKS))
    return at_prices(fitted.priced, arena.exchange_rate())


ROUTERS.register(
    Family(
        name="re-weighted (SACPO)",
        group="fitted on trees",
        paper="arXiv 2404.11049",
        router=Reweighted,
        build=_reweighted,
        sees=DEFAULT_BLOCKS,
        fitted=True,
    )
)
