"""The Lagrange multipliers: sign, bounds, saturation, closed-form paths, bad arguments."""

from __future__ import annotations

import copy
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gym_stepwise_routing.agents.common.lagrange import DualAscent, LagrangeMultiplier, PIDMultiplier, make_multiplier

SETTINGS = {"initial": 0.0, "maximum": 10.0, "learning_rate": 0.1, "pid_gains": (0.1, 0.01, 0.01), "pid_delay": 10}
BOTH = [DualAscent(value=1.0), PIDMultiplier(value=1.0)]


@pytest.mark.parametrize("start", BOTH, ids=["dual_ascent", "pid"])
def test_moves_with_the_sign_of_the_violation(start: LagrangeMultiplier) -> None:
    up, down = copy.deepcopy(start), copy.deepcopy(start)
    assert up.update(0.3) > 1.0
    assert down.update(-0.3) < 1.0


@pytest.mark.parametrize("start", BOTH, ids=["dual_ascent", "pid"])
@settings(max_examples=50, deadline=None)
@given(violations=st.lists(st.floats(-100.0, 100.0), max_size=60))
def test_stays_in_bounds(start: LagrangeMultiplier, violations: list[float]) -> None:
    multiplier = copy.deepcopy(start)
    for violation in violations:
        assert 0.0 <= multiplier.update(violation) <= multiplier.maximum


def test_dual_ascent_is_one_clipped_gradient_step() -> None:
    multiplier = DualAscent(value=0.5, maximum=1.0, learning_rate=0.1)
    assert multiplier.update(2.0) == pytest.approx(0.7)
    assert multiplier.update(100.0) == 1.0
    assert multiplier.saturated
    assert multiplier.update(-1000.0) == 0.0
    assert not multiplier.saturated


def test_pid_follows_a_slow_reference() -> None:
    kp, ki, kd, delay, smoothing = 0.7, 0.05, 0.3, 3, 0.6
    multiplier = PIDMultiplier(value=0.2, kp=kp, ki=ki, kd=kd, delay=delay, smoothing=smoothing)
    violations = [0.5, 0.1, -0.4, 0.9, 1.5, -0.2, 0.0, 0.3]
    smoothed, integral = [violations[0]], 0.2
    for t, violation in enumerate(violations):
        if t:
            smoothed.append(smoothing * smoothed[-1] + (1 - smoothing) * violation)
        integral = min(max(integral + ki * violation, 0.0), 10.0)
        growth = max(0.0, smoothed[t] - smoothed[max(0, t - delay)])
        expected = min(max(kp * smoothed[t] + integral + kd * growth, 0.0), 10.0)
        assert multiplier.update(violation) == pytest.approx(expected)


def test_pid_integral_does_not_wind_up() -> None:
    multiplier = PIDMultiplier(maximum=1.0, kp=0.0, ki=0.5, kd=0.0)
    for _ in range(100):
        multiplier.update(1.0)
    assert multiplier.saturated
    assert multiplier.update(-1.0) == pytest.approx(0.5)


@pytest.mark.parametrize("kind", ["dual_ascent", "pid"])
def test_factory_builds_what_it_is_asked_for(kind: str) -> None:
    multiplier = make_multiplier(kind, **{**SETTINGS, "initial": 2.0})  # type: ignore[arg-type]
    assert isinstance(multiplier, DualAscent if kind == "dual_ascent" else PIDMultiplier)
    assert multiplier.value == 2.0


@pytest.mark.parametrize(
    ("kind", "wrong", "message"),
    [
        ("adam", {}, "multiplier='adam' is not known; allowed: 'dual_ascent', 'pid'"),
        ("dual_ascent", {"maximum": math.inf}, "multiplier_max=inf"),
        ("dual_ascent", {"maximum": 0.0}, "multiplier_max=0.0"),
        ("dual_ascent", {"initial": -1.0}, "multiplier_init=-1.0"),
        ("pid", {"initial": 11.0}, "multiplier_init=11.0"),
        ("dual_ascent", {"learning_rate": 0.0}, "multiplier_lr=0.0"),
        ("pid", {"pid_gains": (0.1, -1.0, 0.0)}, "pid_gains="),
        ("pid", {"pid_gains": (0.0, 0.0, 0.0)}, "pid_gains="),
        ("pid", {"pid_delay": 0}, "pid_delay=0"),
    ],
)
def test_bad_arguments_are_named(kind: str, wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_multiplier(kind, **{**SETTINGS, **wrong})  # type: ignore[arg-type]


def test_infinite_violation_is_refused() -> None:
    with pytest.raises(ValueError, match="violation=-inf must be finite"):
        DualAscent().update(-math.inf)
