"""Lengths on a lattice: same mean, and spread or gathered as the bound needs."""

from __future__ import annotations

import numpy as np
import pytest

from gym_stepwise_routing.planning.lattice import _gathered, _spread

LENGTHS = np.sort(np.random.default_rng(0).lognormal(3.5, 0.7, 500).astype(np.int64) + 1)


@pytest.mark.parametrize("spacing", [1, 3, 8, 50])
def test_spread_keeps_the_mean_and_grows_in_convex_order(spacing):
    chances = _spread(LENGTHS, spacing)
    points = np.arange(len(chances)) * spacing
    assert chances.sum() == pytest.approx(1)
    assert chances @ points == pytest.approx(LENGTHS.mean())
    for kink in (10, 25, 60, 120):
        assert chances @ np.maximum(points - kink, 0) >= np.maximum(LENGTHS - kink, 0).mean() - 1e-9


@pytest.mark.parametrize("spacing", [1, 3, 8, 50])
def test_gathered_shrinks_in_convex_order_but_for_rounding_up(spacing):
    chances = _gathered(LENGTHS, spacing)
    points = np.arange(len(chances)) * spacing
    assert chances.sum() == pytest.approx(1)
    assert LENGTHS.mean() - 1e-9 <= chances @ points <= LENGTHS.mean() + spacing
    for level in (10, 25, 60, 120):  # falling convex functions: what rounding up lowers further
        assert chances @ np.maximum(level - points, 0) <= np.maximum(level - LENGTHS, 0).mean() + 1e-9


def test_a_spacing_of_one_is_exact():
    exact = np.bincount(LENGTHS) / len(LENGTHS)
    for chances in (_spread(LENGTHS, 1), _gathered(LENGTHS, 1)):
        np.testing.assert_allclose(chances[: len(exact)], exact, atol=1e-12)
