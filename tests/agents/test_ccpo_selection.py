"""The set C(o) and the choice within it, hard and softened."""

from __future__ import annotations

import numpy as np
import pytest
import torch as th

from gym_stepwise_routing.agents.ccpo.action_sets import hard_choice, soft_log_probabilities

SCORES = th.tensor([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.34, 0.33, 0.33]])
ALL = th.ones(3, 3, dtype=th.bool)


def choose(kappa: float, selection: str, *, allowed: th.Tensor = ALL, deterministic: bool = True) -> list[int]:
    return hard_choice(
        SCORES,
        allowed,
        th.tensor(kappa),
        selection=selection,
        deterministic=deterministic,  # type: ignore[arg-type]
    ).tolist()


def soft(kappa: float, selection: str, *, allowed: th.Tensor = ALL, softness: float = 1e-4) -> th.Tensor:
    return soft_log_probabilities(
        SCORES,
        allowed,
        th.tensor(kappa),
        softness=softness,
        selection=selection,  # type: ignore[arg-type]
    ).exp()


@pytest.mark.parametrize(
    ("kappa", "expected"), [(0.0, [2, 2, 2]), (0.25, [1, 2, 2]), (0.4, [0, 2, 0]), (0.8, [0, 0, 0])]
)
def test_largest_admitted_action(kappa: float, expected: list[int]) -> None:
    assert choose(kappa, "largest") == expected
    np.testing.assert_allclose(soft(kappa, "largest").numpy(), np.eye(3)[expected], atol=1e-4)


def test_uniform_shares_the_set() -> None:
    np.testing.assert_allclose(soft(0.25, "uniform").numpy(), [[0.5, 0.5, 0], [0, 0, 1], [1 / 3] * 3], atol=1e-4)
    th.manual_seed(0)
    drawn = np.array([choose(0.25, "uniform", deterministic=False) for _ in range(600)])
    assert set(drawn[:, 0]) == {0, 1}
    assert set(drawn[:, 1]) == {2}
    np.testing.assert_allclose(np.bincount(drawn[:, 2]) / 600, 1 / 3, atol=0.07)


def test_empty_set_falls_back() -> None:
    assert choose(0.8, "uniform", deterministic=False) == [0, 2, 0]
    assert choose(0.8, "largest") == [0, 0, 0]
    np.testing.assert_allclose(soft(0.8, "uniform", softness=1e-3).numpy(), np.eye(3)[[0, 2, 0]], atol=1e-3)


@pytest.mark.parametrize("selection", ["largest", "uniform"])
@pytest.mark.parametrize("kappa", [0.0, 0.3, 0.9])
def test_masked_actions_are_never_chosen(selection: str, kappa: float) -> None:
    allowed = th.tensor([[False, True, True], [True, True, False], [False, True, False]])
    probabilities = soft(kappa, selection, allowed=allowed, softness=0.05)
    assert float(probabilities[~allowed].max()) == 0.0
    np.testing.assert_allclose(probabilities.sum(dim=1), 1.0, rtol=1e-5)
    actions = th.tensor(choose(kappa, selection, allowed=allowed, deterministic=False))
    assert bool(allowed.gather(1, actions[:, None]).all())


@pytest.mark.parametrize("selection", ["largest", "uniform"])
def test_soft_probabilities_sum_to_one_and_carry_gradients(selection: str) -> None:
    logits = th.randn(5, 4, generator=th.Generator().manual_seed(0), requires_grad=True)
    log_probabilities = soft_log_probabilities(
        logits.softmax(1),
        th.ones(5, 4, dtype=th.bool),
        th.tensor(0.25),
        softness=0.01,
        selection=selection,  # type: ignore[arg-type]
    )
    np.testing.assert_allclose(log_probabilities.exp().sum(dim=1).detach(), 1.0, rtol=1e-5)
    log_probabilities.exp()[:, -1].sum().backward()
    assert logits.grad is not None
    assert bool(th.isfinite(logits.grad).all())
    assert float(logits.grad.abs().max()) > 0.0


def test_extreme_margins_stay_finite() -> None:
    for selection in ("largest", "uniform"):
        log_probabilities = soft_log_probabilities(
            th.tensor([[1.0, 0.0], [0.0, 1.0]]),
            ALL[:2, :2],
            th.tensor(0.5),
            softness=1e-3,
            selection=selection,  # type: ignore[arg-type]
        )
        assert bool(th.isfinite(log_probabilities).all())
