"""The guarantee where it is strained: ties, rising and falling risks, few items, heavy tails, K = 3, two targets.

Each world is known, each calibration sample is drawn from it with replacement, and a promise is broken where the chosen
threshold's true risk is above alpha.
"""

from __future__ import annotations

import numpy as np
import pytest

from gym_stepwise_routing.baselines import ConfidenceThreshold
from gym_stepwise_routing.calibration import CannotCertify, Risk, certify
from gym_stepwise_routing.evaluation.evaluate import sweep, threshold_grid
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.base import ScoringRouter, columns_of
from gym_stepwise_routing.sources.simulator import SimulatorSource
from studies.guarantee import resampled
from studies.shares import Share

DELTA = 0.1
ALPHA = 0.1
REPETITIONS = 400
ITEMS = 2000


class MostWantMiddle(ScoringRouter):
    """Of three models the middle one is taken at half the score of the largest."""

    name = "most-want-middle"

    def bind(self, spec):
        super().bind(spec)
        (self._column,) = columns_of(spec, "p_min")

    def scores(self, observation):
        wanted = 1 - observation[:, self._column]
        return np.stack([wanted, wanted / 2], axis=1)


def zero_one(risks):
    """Losses of a world: ``float64[T, ITEMS]``, each row with its risk, nested so that a lower risk is a subset."""
    return (np.arange(ITEMS) < np.asarray(risks)[:, None] * ITEMS).astype(np.float64)


WORLDS = {
    "just above": zero_one([0.0, 0.1005]),
    "ties": zero_one([0.0, 0.05, 0.05, 0.05, 0.1005, 0.1005, 0.1005]),
    "rises and falls": zero_one([0.0, 0.04, 0.102, 0.06, 0.02, 0.3, 0.101, 0.5]),
    "always on the edge": zero_one([0.1005] * 8),
    "independent rows": (np.random.default_rng(3).random((8, ITEMS)) < 0.102).astype(np.float64),
}


def broken(worlds, alphas, *, n, methods, uppers, seed=0):
    """Share of samples on which a threshold was certified that breaks any of its promises."""
    rng = np.random.default_rng(seed)
    true = [world.mean(axis=1) for world in worlds]
    flags = []
    for _ in range(REPETITIONS):
        sample = rng.integers(0, ITEMS, n)
        risks = [
            Risk(losses=world[:, sample], alpha=alpha, upper=upper, method=method)
            for world, alpha, upper, method in zip(worlds, alphas, uppers, methods, strict=True)
        ]
        answer = certify(risks, delta=DELTA)
        accepted = [] if isinstance(answer, CannotCertify) else list(answer.accepted)
        flags.append(any((risk[accepted] > alpha).any() for risk, alpha in zip(true, alphas, strict=True)))
    return Share.of(np.array(flags))


@pytest.mark.parametrize("method", ["exact", "ltt"])
@pytest.mark.parametrize("n", [1, 7, 60, 400])
@pytest.mark.parametrize("world", WORLDS)
def test_no_accepted_threshold_breaks_the_promise_too_often(world, n, method):
    """Any of the accepted ones may be chosen, so none of them may be wrong."""
    found = broken([WORLDS[world]], [ALPHA], n=n, methods=[method], uppers=[1.0])
    assert found.low <= DELTA, str(found)


def test_these_worlds_would_show_a_test_without_correction():
    """Plain tuning on the same samples breaks the promise far more often."""
    rng = np.random.default_rng(0)
    world = WORLDS["just above"]
    tuned = [world[:, rng.integers(0, ITEMS, 100)].mean(axis=1)[1] <= ALPHA for _ in range(REPETITIONS)]
    assert Share.of(np.array(tuned)).low > 3 * DELTA


@pytest.mark.parametrize("n", [20, 100, 400])
def test_heavy_tails(n):
    """Most items cost next to nothing, one in two hundred costs as much as any can: a sample often misses them all."""
    cost = np.full((3, ITEMS), 0.01)
    cost[1, :10] = 30.0
    cost[2, :10] = 50.0  # 0.26 on average
    found = broken([cost], [0.155], n=n, methods=["ltt"], uppers=[50.0])
    assert found.low <= DELTA, str(found)


@pytest.mark.parametrize("n", [200, 400])
def test_two_targets_at_once(n):
    """Wrong answers rise where cost falls; every threshold breaks one of the two promises by a little."""
    wrong = zero_one([0.02, 0.06, 0.101, 0.104])
    cost = np.repeat([[0.53], [0.51], [0.505], [0.3]], ITEMS, axis=1) + np.linspace(-0.2, 0.2, ITEMS)
    found = broken([wrong, cost], [ALPHA, 0.5], n=n, methods=["exact", "ltt"], uppers=[1.0, 1.0])
    assert found.low <= DELTA, str(found)


@pytest.fixture(scope="module")
def played():
    """Sweeps of whole games: three models, simulated, and a hard budget."""
    three = Game(SimulatorSource("math-qwen2.5-3", problems=1500), split="calibration", cost_unit="large_tokens")
    hard = Game(split="train", cost_unit="large_tokens", budget=0.6, hard_budget=True)
    games = {"K=3": (MostWantMiddle(), three), "hard": (ConfidenceThreshold("margin_first"), hard)}
    return {name: sweep(router, game, threshold_grid(router, game)) for name, (router, game) in games.items()}


@pytest.mark.parametrize("name", ["K=3", "hard"])
@pytest.mark.parametrize("above", [0.01, 0.05, 0.1])
def test_whole_games(played, name, above):
    """Errors of always-largest (under the hard budget it is cut off too), and a little more."""
    alpha = float((~played[name].right[0]).mean()) + above
    arguments = {"n": 400, "delta": DELTA, "repetitions": 1000, "relative": False}
    found = resampled(played[name], alpha=alpha, method="exact", **arguments)
    violations = Share.of(found.certified & (found.risk > alpha))
    assert violations.low <= DELTA, str(violations)
    assert found.certified.mean() > (0.5 if above == 0.1 else 0)
