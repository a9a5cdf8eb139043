"""CPO's step in closed form against a general solver."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import NonlinearConstraint, minimize

from gym_stepwise_routing.agents.ccpo.trust_region import TrustRegionStep, solve_step


def solve(hessian: np.ndarray, g: np.ndarray, b: np.ndarray, violation: float, radius: float):
    """Apply the closed form to explicit vectors; return the step and its kind."""
    along_g, along_b = np.linalg.solve(hessian, g), np.linalg.solve(hessian, b)
    step = solve_step(q=g @ along_g, r=g @ along_b, s=b @ along_b, violation=violation, radius=radius)
    return step.objective * along_g - step.constraint * along_b, step.kind


def reference(hessian: np.ndarray, g: np.ndarray, b: np.ndarray, violation: float, radius: float) -> np.ndarray:
    """Maximise g.x by SLSQP, or b.x's decrease where the constraint cannot be met."""
    inside = NonlinearConstraint(lambda x: 0.5 * x @ hessian @ x, -np.inf, radius, jac=lambda x: hessian @ x)
    lowest = violation - np.sqrt(2 * radius * (b @ np.linalg.solve(hessian, b)))
    if lowest > 0:
        goal, constraints = b, [inside]
    else:
        goal, constraints = -g, [inside, {"type": "ineq", "fun": lambda x: -violation - b @ x, "jac": lambda _: -b}]
    start = -1e-3 * b
    result = minimize(
        lambda x: goal @ x,
        start,
        jac=lambda _: goal,
        constraints=constraints,
        method="SLSQP",
        options={"ftol": 1e-10, "maxiter": 500},
    )
    assert result.success, result.message
    return result.x


def random_problem(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, float]:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(2, 6))
    root = rng.normal(size=(size, size))
    g, b = rng.normal(size=(2, size))
    return root @ root.T + 0.5 * np.eye(size), g, b, float(rng.normal(scale=0.3)), 0.1


@pytest.mark.parametrize("seed", range(60))
def test_agrees_with_a_general_solver(seed: int) -> None:
    hessian, g, b, violation, radius = random_problem(seed)
    step, kind = solve(hessian, g, b, violation, radius)
    expected = reference(hessian, g, b, violation, radius)
    assert 0.5 * step @ hessian @ step <= radius * (1 + 1e-9)
    if kind == "recovery":
        assert b @ step == pytest.approx(b @ expected, abs=1e-5)
    else:
        assert violation + b @ step <= 1e-9
        assert g @ step == pytest.approx(g @ expected, abs=1e-4)


def test_random_problems_cover_every_case() -> None:
    kinds = {solve(*random_problem(seed))[1] for seed in range(60)}
    assert kinds == {"unconstrained", "constrained", "recovery"}


def test_without_a_constraint_gradient_it_is_the_trpo_step() -> None:
    step = solve_step(q=4.0, r=0.0, s=0.0, violation=5.0, radius=0.02)
    assert step == TrustRegionStep(0.1, 0.0, "unconstrained")


def test_objective_along_the_constraint_stops_at_its_boundary() -> None:
    b = np.array([1.0, 0.0])
    step, kind = solve(np.eye(2), 3.0 * b, b, -0.1, 0.5)
    assert kind == "constrained"
    np.testing.assert_allclose(step, [0.1, 0.0], atol=1e-9)


def test_no_objective_still_repairs_a_violation() -> None:
    b = np.array([0.0, 2.0])
    step, kind = solve(np.eye(2), np.zeros(2), b, 0.2, 0.5)
    assert kind == "constrained"
    np.testing.assert_allclose(step, [0.0, -0.1], atol=1e-9)


def test_recovery_goes_straight_down_the_constraint() -> None:
    step, kind = solve(np.eye(2), np.array([1.0, 0.0]), np.array([0.0, 1.0]), 10.0, 0.5)
    assert kind == "recovery"
    np.testing.assert_allclose(step, [0.0, -1.0])
