"""The threshold's online steps and its batch fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gym_stepwise_routing.agents.ccpo import CCPO
from gym_stepwise_routing.agents.ccpo.conformal import OnlineThreshold, conformal_fit, kappa_threshold
from gym_stepwise_routing.agents.ccpo.fit import fit_to_game
from gym_stepwise_routing.calibration import control_expectation
from gym_stepwise_routing.envs.sb3 import RoutingVecEnv
from gym_stepwise_routing.game.game import Game

KAPPAS = np.array([0.0, 0.25, 0.5, 0.75])


@settings(max_examples=50, deadline=None)
@given(excess=st.lists(st.floats(-1.0, 1.0), max_size=50), maximum=st.floats(0.1, 1.0))
def test_kappa_stays_in_bounds(excess: list[float], maximum: float) -> None:
    threshold = OnlineThreshold(maximum, maximum=maximum, step_size=5.0, decay=0.6)
    assert all(0.0 <= threshold.update(value) <= maximum for value in excess)


def test_online_steps_settle_where_the_miss_rate_is_alpha() -> None:
    """Misses happen when kappa exceeds a uniform draw, so P(miss) = kappa and the fixed point is alpha."""
    rng, alpha = np.random.default_rng(0), 0.2
    threshold = OnlineThreshold(0.9, maximum=1.0, step_size=0.5, decay=0.6)
    path = [threshold.update(float(rng.random() < threshold.value) - alpha) for _ in range(5000)]
    assert np.mean(path[1000:]) == pytest.approx(alpha, abs=0.03)


def test_fit_by_hand() -> None:
    """Nine items, column sums 0, 0, 1, 3: bounds (sum + 1) / 10."""
    losses = np.zeros((9, 4))
    losses[0, 2:] = 1.0
    losses[1:3, 3] = 1.0
    assert conformal_fit(losses, KAPPAS, alpha=0.2).kappa == 0.5
    assert conformal_fit(losses, KAPPAS, alpha=0.19).kappa == 0.25
    best = conformal_fit(losses, KAPPAS, alpha=0.4)
    assert (best.kappa, best.bound, best.n_items, best.alpha) == (0.75, pytest.approx(0.4), 9, 0.4)


def test_without_a_candidate_that_is_safe_on_every_item_nothing_is_guaranteed() -> None:
    """An accuracy floor has none: one candidate at risk 0.55 passes for 0.5 in a fifth of the draws of 50 items."""
    rng = np.random.default_rng(0)
    draws = (rng.random((2000, 50, 1)) < 0.55).astype(np.float64)
    passed = np.mean([conformal_fit(losses, KAPPAS[:1], alpha=0.5).kappa is not None for losses in draws])
    assert passed == pytest.approx(stats.binom.cdf(24, 50, 0.55), abs=0.03)
    with pytest.raises(ValueError, match=r"needs a threshold that never exceeds alpha"):
        control_expectation(draws[0].T, 0.5)


def test_too_few_items_cannot_be_certified() -> None:
    fit = conformal_fit(np.zeros((9, 4)), KAPPAS, alpha=0.05)
    assert fit.kappa is None
    assert fit.bound == pytest.approx(0.1)


def test_a_loss_that_falls_again_does_not_count_as_safe() -> None:
    losses = np.zeros((99, 4))
    losses[:50, 1] = 1.0
    assert conformal_fit(losses, KAPPAS, alpha=0.3).kappa == 0.0


def test_losses_that_every_candidate_draws_anew_are_held_by_their_mean() -> None:
    """Loss kappa on average, as a coin: the largest of an item's draws soon is 1, whatever the candidate."""
    rng, grid = np.random.default_rng(0), np.linspace(0.0, 1.0, 101)
    losses = (rng.random((4000, 101)) < grid).astype(float)
    wasteful, fit = (conformal_fit(losses, grid, alpha=0.5, redrawn=redrawn) for redrawn in (False, True))
    assert wasteful.kappa is not None
    assert wasteful.kappa < 0.15
    assert fit.kappa == pytest.approx(0.5, abs=0.03)
    assert fit.bound <= 0.5
    falling = np.zeros((99, 4))
    falling[:50, 1] = 1.0
    assert conformal_fit(falling, KAPPAS, alpha=0.3, redrawn=True).kappa == 0.0


def test_expected_loss_on_a_new_item_stays_below_alpha() -> None:
    rng, alpha, grid = np.random.default_rng(1), 0.2, np.linspace(0.0, 1.0, 41)
    fresh = []
    for _ in range(3000):
        # An item is lost above its own threshold.
        limits = rng.beta(2.0, 2.0, size=31)
        losses = (grid[None] > limits[:, None]).astype(float)
        fit = conformal_fit(losses[:30], grid, alpha=alpha)
        assert fit.kappa is not None
        fresh.append(losses[30, np.flatnonzero(grid == fit.kappa)[0]])
    mean, error = np.mean(fresh), np.std(fresh) / np.sqrt(len(fresh))
    assert mean <= alpha + 3 * error
    assert mean >= alpha - 0.1, "far below alpha the fit would waste cost"


@pytest.mark.parametrize(
    ("losses", "kappas", "alpha", "message"),
    [
        (np.zeros((0, 4)), KAPPAS, 0.1, r"losses of shape \(0, 4\)"),
        (np.zeros((5, 3)), KAPPAS, 0.1, r"losses of shape \(5, 3\).*m = 4"),
        (np.full((5, 4), 2.0), KAPPAS, 0.1, r"losses must lie in \[0, 1\]"),
        (np.zeros((5, 4)), KAPPAS[::-1], 0.1, "strictly increasing"),
        (np.zeros((5, 4)), KAPPAS, 0.0, r"alpha=0.0 must lie in \(0, 1\)"),
        (np.zeros((5, 4)), KAPPAS, 1.0, r"alpha=1.0 must lie in \(0, 1\)"),
    ],
)
def test_bad_fits_are_refused(losses: np.ndarray, kappas: np.ndarray, alpha: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        conformal_fit(losses, kappas, alpha=alpha)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kappa_init": 1.5}, "kappa_init=1.5"),
        ({"kappa_init": 0.6, "maximum": 0.5}, r"kappa_init=0.6 must lie in \[0, 0.5\]"),
        ({"maximum": 2.0}, "maximum=2.0"),
        ({"step_size": -1.0}, "kappa_step_size=-1.0"),
        ({"decay": 0.5}, "kappa_decay=0.5"),
    ],
)
def test_bad_thresholds_are_refused(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kappa_threshold(**{"kappa_init": 0.5, "maximum": 1.0, "step_size": 0.05, "decay": 0.6, **arguments})


def test_scores_that_lie_close_together_are_told_apart():
    # As it begins, a policy's scores are all near 1/2: evenly spread thresholds take all states or none.
    env = RoutingVecEnv(4, split="train", cost_unit="large_tokens", masked_action="project")
    model = CCPO("MlpPolicy", env, limit=0.5, constraint="cost_limit", selection="largest", batch_size=64, seed=2)
    held_out = Game(split="calibration", cost_unit="large_tokens", masked_action="project")
    coarse = fit_to_game(model, held_out)
    fine = fit_to_game(model, held_out, practice=env.env.game)
    assert coarse.bound < 0.05
    assert 0.45 < fine.bound <= 0.5
    assert model.kappa == pytest.approx(fine.kappa)
