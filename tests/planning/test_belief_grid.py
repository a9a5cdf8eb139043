"""The grid of beliefs: interpolation is a convex combination, exact on the grid, and bounds convex functions."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from gym_stepwise_routing.planning.belief_grid import BeliefGrid


@pytest.mark.parametrize(("states", "resolution"), [(2, 7), (3, 5), (4, 9), (6, 4)])
def test_interpolation_reproduces_the_belief(states, resolution):
    grid = BeliefGrid(states, resolution)
    assert len(grid) == comb(resolution + states - 1, states - 1) == len(np.unique(grid.points, axis=0))
    beliefs = np.random.default_rng(0).dirichlet(np.full(states, 0.5), size=2000)
    points, weights = grid.locate(beliefs)
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    np.testing.assert_allclose((grid.points[points] * weights[..., None]).sum(axis=1), beliefs, atol=1e-12)


def test_grid_points_are_their_own_neighbours():
    grid = BeliefGrid(4, 6)
    points, weights = grid.locate(grid.points)
    assert (points[np.arange(len(grid)), weights.argmax(axis=1)] == np.arange(len(grid))).all()
    np.testing.assert_allclose(weights.max(axis=1), 1)


def test_neighbours_are_close():
    grid = BeliefGrid(4, 6)
    beliefs = np.random.default_rng(1).dirichlet(np.ones(4), size=500)
    points, weights = grid.locate(beliefs)
    far = abs(grid.points[points] - beliefs[:, None]).max(axis=2)
    assert far[weights > 0].max() <= 1 / 6 + 1e-9


def test_convex_functions_are_bounded_from_above():
    grid = BeliefGrid(3, 8)
    rng = np.random.default_rng(2)
    planes = rng.normal(size=(5, 3))
    beliefs = rng.dirichlet(np.ones(3), size=1000)
    points, weights = grid.locate(beliefs)
    interpolated = ((grid.points @ planes.T).max(axis=1)[points] * weights).sum(axis=1)
    exact = (beliefs @ planes.T).max(axis=1)
    assert (interpolated >= exact - 1e-12).all()
    assert (interpolated > exact + 1e-6).any()


def test_bad_sizes():
    with pytest.raises(ValueError, match="states=1"):
        BeliefGrid(1, 5)
    with pytest.raises(ValueError, match="resolution=0"):
        BeliefGrid(4, 0)
