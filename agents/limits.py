"""Keeping a cost limit, or an accuracy floor, on the problems of the training, once training has come near it.

Training by multipliers ends near the limit, on one side or the other: the multiplier still moves, and so does the
policy. One number then puts the mean cost where it was promised, without another gradient step: a tilt of the policy's
choices towards cheaper or larger models, found by bisection on the problems that the policy was trained on.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from gym_stepwise_routing.baselines import AlwaysSmallest
from gym_stepwise_routing.evaluation.evaluate import play
from gym_stepwise_routing.evaluation.expectation import Drawn, expected_outcomes
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.base import Router
from gym_stepwise_routing.routers.policy_network import PolicyNetwork

__all__ = [
    "MAX_TILT",
    "budget_to_show",
    "cheapest",
    "mean_outcome",
    "mean_played",
    "tilt_to_floor",
    "tilt_to_limit",
    "tilted",
]

MAX_TILT = 20.0
"""Bound of the tilt: it changes the odds of two models by a factor of up to exp(20)."""
_HALVINGS = 30
_PLAYED_HALVINGS = 15
"""Halvings where means are over random episodes: one more would be far below what their sampling moves."""


def mean_outcome(
    network: PolicyNetwork, game: Game, *, budget: float | None = None, plays: int = 1
) -> tuple[float, float]:
    """Accuracy and mean cost of a policy that draws its actions.

    Exact on a bank; on a random source played ``plays`` times, with the same seeds at every call.

    Args:
        network: the policy, without memory.
        game: a game without a hard budget.
        budget: budget shown in the observation, > 0; None shows the game's own.
        plays: times that every problem of the split is played where nothing can be computed, >= 1.

    Raises:
        ValueError: a policy or game of which :func:`...expectation.expected_outcomes` has no expectation.
    """
    if game.table is not None:
        right, cost = expected_outcomes(network, game, budget=budget)
        return float(right.mean()), float(cost.mean())
    shown = game if budget is None else Game(game.config, budget=budget, hard_budget=False)
    return mean_played(lambda seed: Drawn(network, seed), shown, plays)


def mean_played(router: Callable[[int], Router], game: Game, plays: int) -> tuple[float, float]:
    """Accuracy and mean cost over plays with the seeds 0, 1, ..., each by the router that a seed gives."""
    played = [play(router(seed), game, seed=seed) for seed in range(plays)]
    return float(np.mean([p.accuracy for p in played])), float(np.mean([p.mean_cost for p in played]))


def tilted(network: PolicyNetwork, tilt: float) -> PolicyNetwork:
    """The policy ``q(k) ~ p(k) exp(-tilt k / (K-1))``: in every state, least in ``KL(q, p) + tilt E_q[k] / (K-1)``.

    Args:
        network: the policy.
        tilt: > 0 towards smaller models, < 0 towards larger ones, 0 changes nothing.
    """
    last = network.dense[-1]
    ranks = np.tile(np.arange(network.actions) / max(network.actions - 1, 1), network.quantiles)
    layers = [*network.dense[:-1], replace(last, bias=last.bias - tilt * network.temperature * ranks)]
    return PolicyNetwork(
        layers,
        recurrent=network.recurrent,
        temperature=network.temperature,
        quantiles=network.quantiles,
        name=network.name,
        score_kind=network.score_kind,
        threshold=network.threshold,
    )


def tilt_to_limit(network: PolicyNetwork, game: Game, limit: float, *, plays: int = 1) -> float:
    """The tilt at which the mean cost on a game is the limit, or as near below it as ``[-MAX_TILT, MAX_TILT]`` allows.

    A policy that stays below its limit is tilted towards larger models only if its accuracy at the limit is no lower.

    Args:
        network: the policy, without memory.
        game: the game that it was trained on.
        limit: mean cost that is allowed, > 0, in the game's normalised unit.
        plays: see :func:`mean_outcome`.
    """

    def outcome(tilt: float) -> tuple[float, float]:
        return mean_outcome(tilted(network, tilt), game, plays=plays)

    accuracy, cost = outcome(0.0)
    halvings = _halvings(game)
    if cost > limit:
        return _bisect(lambda tilt: outcome(tilt)[1] <= limit, 0.0, MAX_TILT, halvings)
    tilt = -_bisect(lambda tilt: outcome(-tilt)[1] > limit, 0.0, MAX_TILT, halvings, upper=False)
    return tilt if outcome(tilt)[0] >= accuracy else 0.0


def tilt_to_floor(network: PolicyNetwork, game: Game, floor: float, *, plays: int = 1) -> float:
    """The tilt at which the accuracy on a game is the floor, or as near above it as ``[-MAX_TILT, MAX_TILT]`` allows.

    A policy above its floor is tilted towards smaller models only if that makes it cheaper. Where no tilt reaches the
    floor the largest one towards larger models is returned; :func:`mean_outcome` tells how far that comes.

    Args:
        network: the policy, without memory.
        game: the game that it was trained on.
        floor: accuracy that is asked for, in (0, 1].
        plays: see :func:`mean_outcome`.
    """

    def outcome(tilt: float) -> tuple[float, float]:
        return mean_outcome(tilted(network, tilt), game, plays=plays)

    accuracy, cost = outcome(0.0)
    halvings = _halvings(game)
    if accuracy < floor:
        return -_bisect(lambda tilt: outcome(-tilt)[0] >= floor, 0.0, MAX_TILT, halvings)
    tilt = _bisect(lambda tilt: outcome(tilt)[0] < floor, 0.0, MAX_TILT, halvings, upper=False)
    return tilt if outcome(tilt)[1] <= cost else 0.0


def cheapest(game: Game) -> float:
    """Mean cost of always-smallest, below which hardly any limit can be kept."""
    return float(play(AlwaysSmallest(), game).mean_cost)


def budget_to_show(
    network: PolicyNetwork, game: Game, limit: float, *, lowest: float = 0.05, highest: float = 1.0, plays: int = 1
) -> float:
    """The budget to show to a policy for all budgets, so that its mean cost on a game is the limit.

    Args:
        network: the policy, trained on budgets of a range.
        game: the game that it was trained on.
        limit: mean cost that is allowed, > 0.
        lowest: smallest budget it was trained on; returned where even that costs more than the limit.
        highest: largest budget it was trained on.
        plays: see :func:`mean_outcome`.

    Returns:
        The largest budget found whose mean cost is at most the limit, in ``[lowest, highest]``. Where even ``lowest``
        costs more, that is warned of.
    """

    def keeps(budget: float) -> bool:
        return mean_outcome(network, game, budget=budget, plays=plays)[1] <= limit

    shown = _bisect(lambda budget: not keeps(budget), lowest, highest, _halvings(game), upper=False)
    if shown == lowest and not keeps(lowest):
        spent = mean_outcome(network, game, budget=lowest, plays=plays)[1]
        warnings.warn(
            f"limit={limit:g} cannot be kept: at the lowest budget {lowest:g} the policy costs {spent:.3f}, and "
            f"always-smallest {cheapest(game):.3f}",
            stacklevel=2,
        )
    return shown


def _halvings(game: Game) -> int:
    return _PLAYED_HALVINGS if game.table is None else _HALVINGS


def _bisect(flips: Callable[[float], bool], low: float, high: float, halvings: int, *, upper: bool = True) -> float:
    """Where a condition that is false at ``low`` becomes true, from above (``upper``) or below; an end if nowhere."""
    if flips(low):
        return low
    if not flips(high):
        return high
    for _ in range(halvings):
        middle = 0.5 * (low + high)
        if flips(middle):
            high = middle
        else:
            low = middle
    return high if upper else low
