"""The online threshold: direction, bounds, and its long-run error rate under drift."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gym_stepwise_routing.calibration import OnlineThreshold
from gym_stepwise_routing.routers.base import ALWAYS_SMALLEST, decide

ALPHA = 0.1


def online(initial: float = 0.5, step: float = 0.05, decay: float = 0.0) -> OnlineThreshold:
    """As :class:`AdaptiveRouter` makes it."""
    return OnlineThreshold(initial, step_size=step, decay=decay, slack=step)


def play(adaptive: OnlineThreshold, difficulty: np.ndarray, seed: int = 0) -> np.ndarray:
    """Errors when a problem fails with probability ``difficulty * threshold``, so never under always-largest."""
    errors = np.empty(len(difficulty))
    draws = np.random.default_rng(seed).random(len(difficulty))
    for t, hardness in enumerate(difficulty):
        errors[t] = draws[t] < hardness * adaptive.threshold
        adaptive.update(errors[t] - ALPHA)
    return errors


def test_an_error_lowers_the_threshold_and_a_success_raises_it():
    adaptive = online(step=0.1)
    assert adaptive.update(1.0 - ALPHA) == pytest.approx(0.5 - 0.1 * 0.9)
    assert adaptive.update(0.0 - ALPHA) == pytest.approx(0.41 + 0.1 * 0.1)
    assert adaptive.update(0.1 - ALPHA) == pytest.approx(0.42)
    assert adaptive.updates == 3


def test_decaying_steps():
    adaptive = online(step=0.1, decay=0.6)
    expected = 0.5
    for t in range(1, 6):
        expected += 0.1 * t**-0.6 * 0.1
        assert adaptive.update(0.0 - ALPHA) == pytest.approx(expected)


def test_the_highest_threshold_is_above_every_score():
    """Of float32 scores, too: calibration and adaptation end in the same constant."""
    adaptive = online(1.0)
    adaptive.update(0.0 - 0.9)
    assert adaptive.threshold == ALWAYS_SMALLEST
    for kind in (np.float32, np.float64):
        assert decide(np.ones(1, dtype=kind), adaptive.threshold, 2) == 0
        assert decide(np.ones(1, dtype=kind), np.array([adaptive.threshold]), 2) == 0


@given(st.lists(st.floats(0.0, 1.0), max_size=200), st.floats(0.001, 2.0))
def test_the_threshold_stays_in_its_range_whatever_happens(errors: list[float], step: float):
    adaptive = online(step=step)
    for error in errors:
        assert 0.0 <= adaptive.update(error - ALPHA) <= ALWAYS_SMALLEST


@given(
    st.lists(st.floats(0.0, 2.0), min_size=1, max_size=300),
    st.floats(0.01, 0.5),
    st.floats(0.01, 1.0),
    st.floats(0.0, 1.0),
)
def test_the_error_bound_holds_for_any_sequence(limits: list[float], alpha: float, step: float, initial: float):
    # Problem t fails above its own limit; at threshold 0 none does. Limits above ALWAYS_SMALLEST never fail.
    adaptive = online(initial, step)
    total = 0.0
    for t, limit in enumerate(limits, start=1):
        error = float(adaptive.threshold > limit)
        total += error
        adaptive.update(error - alpha)
        assert total / t - alpha <= (initial + step) / (step * t) + 1e-9


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=300), st.floats(0.01, 0.5), st.floats(0.01, 1.0))
def test_the_error_rate_is_met_from_both_sides_if_always_smallest_fails(limits: list[float], alpha: float, step: float):
    adaptive = online(step=step)
    errors = []
    for limit in limits:
        errors.append(float(adaptive.threshold > limit))
        adaptive.update(errors[-1] - alpha)
    assert abs(np.mean(errors) - alpha) <= (ALWAYS_SMALLEST + step) / (step * len(limits)) + 1e-9


@pytest.mark.parametrize("step", [0.02, 0.1])
def test_long_run_error_rate_goes_to_alpha_under_drift(step: float):
    # Problems get four times as hard and easy again, twice.
    difficulty = 0.5 + 0.3 * np.sin(np.linspace(0.0, 4 * math.pi, 20_000))
    errors = play(online(step=step), difficulty)
    assert abs(errors.mean() - 0.1) <= (ALWAYS_SMALLEST + step) / (step * len(errors)) + 1e-9
    blocks = errors.reshape(10, -1).mean(axis=1)
    assert np.abs(blocks - 0.1).max() < 0.03
    # The fixed threshold that is right on average is far off in the hardest and the easiest block.
    fixed = np.random.default_rng(1).random(len(difficulty)) < difficulty * 0.2
    assert np.abs(fixed.reshape(10, -1).mean(axis=1) - 0.1).max() > 0.04


def test_a_decaying_step_settles_when_nothing_drifts():
    constant, decaying = (online(0.9, step=0.5, decay=decay) for decay in (0.0, 0.6))
    tails = []
    for adaptive in (constant, decaying):
        play(adaptive, np.full(20_000, 0.5))
        draws = np.random.default_rng(1).random(2_000)
        tails.append(np.array([adaptive.update(float(draw < 0.5 * adaptive.threshold) - ALPHA) for draw in draws]))
    # Errors happen with probability .5 kappa, so the threshold sought is .2.
    assert tails[1].mean() == pytest.approx(0.2, abs=0.02)
    assert tails[1].std() < 0.2 * tails[0].std()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"maximum": 0.0}, r"maximum=0\.0"),
        ({"maximum": 2.0}, r"maximum=2\.0"),
        ({"value": -0.1}, r"value=-0\.1"),
        ({"value": 1.5}, r"value=1\.5"),
        ({"step_size": -1.0}, r"step_size=-1\.0"),
        ({"step_size": math.inf}, "step_size=inf"),
        ({"decay": 1.0}, r"decay=1\.0"),
        ({"decay": -0.5}, r"decay=-0\.5"),
        ({"slack": math.nan}, "slack=nan"),
    ],
)
def test_bad_parameters_are_named(parameters: dict[str, float], message: str):
    with pytest.raises(ValueError, match=message):
        OnlineThreshold(**{"value": 0.5, **parameters})


@pytest.mark.parametrize("excess", [math.inf, math.nan])
def test_bad_feedback_is_refused(excess: float):
    with pytest.raises(ValueError, match="excess="):
        online().update(excess)
