"""TRIM-Agg (arXiv 2601.10245): PPO on five aggregates of the verifier's scores, one policy for each price of cost.

State: least earlier score, product of earlier scores, score of the draft, tokens of the draft / 300, step / 30. Reward:
right answer minus price times cost. Network and hyperparameters are the paper's (64 units, layer norm, tanh; see
``training.aggregates_ppo``); its entropy bonus falls from .01 to .001. Reconstructed: the paper does not say how many
steps it trains for; here the budget of environment steps is an argument, and of several seeds the one with the best
objective on the train split is kept (:func:`best_of_seeds`). The cost is that of the game, of which the paper's, tokens
of the large model, is one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.baselines.fitted_router import FittedRouter
from gym_stepwise_routing.baselines.observed_figures import VERIFIED, judged
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.evaluation.evaluate import play
from gym_stepwise_routing.game.config import RoutingSpec
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.base import columns_of
from gym_stepwise_routing.routers.families import ROUTERS, BuildContext, Family, Settings, at_prices
from gym_stepwise_routing.routers.policy_network import DECIMALS, Dense, PolicyNetwork, tail_probabilities
from gym_stepwise_routing.routers.provenance import GameDescription
from gym_stepwise_routing.storage.atomic import read_arrays, write_arrays
from gym_stepwise_routing.storage.strict_json import parse_json

__all__ = ["TrimAgg", "best_of_seeds"]

AGG_SEEDS = 3
"""Training seeds of a comparison at each price, the best of which on the train split is kept."""
AGG_STEPS = 20_000
"""Environment steps of each of these trainings: what fits into two minutes for a whole comparison."""
FEW_PRICES = (0.5, 0.65, 0.8, 0.95, 1.2)
"""Prices in a comparison: a policy is dear to train."""
_WEIGHTS = tuple(f"{layer}_{part}" for layer in ("hidden", "norm", "action") for part in ("weight", "bias"))
_NORM_EPSILON = 1e-5  # torch's
_LOG_SCALE = 10.0  # the observation holds log(1 + count) / 10


class _Aggregates:
    """The five features of an observation."""

    def __init__(self, spec: RoutingSpec) -> None:
        if spec.mode != "regenerate":
            raise NotApplicableError(f"TRIM-Agg judges drafts; mode {spec.mode!r} has none, mode 'regenerate' has")
        self._columns = columns_of(spec, "score_min", "score_product", "score", "last_tokens", "depth")
        self._horizon = spec.horizon

    def __call__(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        features = observation[:, self._columns].copy()
        features[:, 3] = np.expm1(features[:, 3] * _LOG_SCALE) / 300
        features[:, 4] *= self._horizon / 30
        return features


class TrimAgg(FittedRouter):
    """Scores are the policy's probabilities of models larger than k.

    Args:
        price: price of one always-largest episode in units of a right answer, >= 0.
        steps: environment steps to train for, >= 1.
        threshold: 0 (always-largest) to above 1 (always-smallest).
        seed: seed of training.
    """

    def __init__(self, price: float, steps: int = 40_000, threshold: float = 0.5, seed: int = 0) -> None:
        if not price >= 0:
            raise ValueError(f"price={price!r}; allowed: >= 0")
        if steps < 1:
            raise ValueError(f"steps={steps!r}; allowed: an integer >= 1")
        super().__init__(threshold)
        self.price = price
        self.steps = steps
        self.seed = seed
        self.name = f"trim-agg-{price:.3g}"

    def bind(self, spec: RoutingSpec) -> None:
        """Find the scores.

        Raises:
            NotApplicableError: no ``verifier`` block, or a mode without drafts.
        """
        super().bind(spec)
        self._aggregates = _Aggregates(spec)

    def fit(self, game: Game) -> Self:
        """Train on a game of the train split.

        Raises:
            ImportError: Stable-Baselines3 is missing.
        """
        from gym_stepwise_routing.baselines.training.aggregates_ppo import train_on_aggregates

        self.bind_to(game)
        self._weights = train_on_aggregates(game, self._aggregates, price=self.price, steps=self.steps, seed=self.seed)
        return self

    def save(self, path: Path) -> None:
        """Write the policy, and what it was trained on, as plain arrays.

        Training it again on another kind of processor gives other weights.

        Raises:
            ValueError: it has not been trained.
        """
        if self.trained_on is None:
            raise ValueError(f"{self.name} has not been trained; allowed: fit() first")
        write_arrays(path, {**self._weights, "trained_on": json.dumps(asdict(self.trained_on))})

    def restore(self, path: Path, policy: str | None = None) -> Self:
        """Take over what :meth:`save` wrote, instead of training; no code of the file is run.

        Args:
            path: the file.
            policy: name of the policy in a file of several; None if the file is one policy.

        Raises:
            ValueError: the file is missing, has no such policy, or holds something else.
        """
        with read_arrays(path, "policy of TRIM-Agg", policy) as stored:
            told = parse_json(str(stored.pop("trained_on")), path)
        if sorted(stored) != sorted(_WEIGHTS):
            raise ValueError(f"{path} holds {sorted(stored)}; allowed: {sorted(_WEIGHTS)}")
        self._weights = stored
        self.trained_on = GameDescription.read(told, path)
        return self

    def scores(self, observation: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probability of larger models, ``float64[B, K-1]`` in [0, 1]."""
        weights = self._weights
        hidden = Dense(weights["hidden_weight"], weights["hidden_bias"], "none")
        action = PolicyNetwork([Dense(weights["action_weight"], weights["action_bias"], "none")])
        x = hidden(self._aggregates(observation).astype(np.float64))
        x = (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + _NORM_EPSILON)
        chances = action.probabilities(np.tanh(x * weights["norm_weight"] + weights["norm_bias"]))
        return np.round(tail_probabilities(chances), DECIMALS)


def best_of_seeds(price: float, game: Game, seeds: Sequence[int], steps: int = 40_000) -> TrimAgg:
    """Policy of the training seed with the largest objective, right - price x cost, on the game that it is trained on.

    One run of PPO on a few hundred problems often ends with a constant decision; that says more of the run than of the
    method, so no single run stands for it.

    Args:
        price: as for :class:`TrimAgg`.
        game: a game of the train split.
        seeds: seeds of training, one or more.
        steps: environment steps of each training.
    """
    routers = [TrimAgg(price, steps=steps, seed=seed).fit(game) for seed in seeds]

    def objective(router: TrimAgg) -> float:
        played = play(router, game)
        return played.accuracy - price * played.mean_cost

    return max(routers, key=objective)


def _best_at_prices(arena: BuildContext) -> Settings:
    game, rate = judged(arena), arena.exchange_rate(VERIFIED)
    seeds = [arena.seed + number for number in range(AGG_SEEDS)]
    return at_prices(lambda price: best_of_seeds(price, game, seeds, AGG_STEPS), rate, FEW_PRICES)


ROUTERS.register(
    Family(
        name="TRIM-Agg",
        group="verifier",
        paper="arXiv 2601.10245",
        router=TrimAgg,
        build=_best_at_prices,
        sees=VERIFIED,
        charges="the verifier's reading of every draft",
        modes=("regenerate",),
        fitted=True,
    )
)
