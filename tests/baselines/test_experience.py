"""What learned routers are fitted on, against recursion by hand."""

from __future__ import annotations

import numpy as np
import pytest
from fake_sources import TreeSource, Untabulated
from hypothesis import given, settings
from hypothesis import strategies as st

from gym_stepwise_routing.baselines.experience import experience, folds, join, path_values, reach, uniform_values
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.types import MODES


def trees(seed=0, gaps=0.1, models=2, mode="route"):
    game = Game(
        TreeSource(seed, problems=9, horizon=3, gaps=gaps, models=models),
        mode=mode,
        observation=["progress", "confidence"],
        normaliser=1e12,
    )
    return experience(game)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), models=st.integers(2, 3), mode=st.sampled_from(MODES))
def test_values_are_those_of_recursion(seed, models, mode):
    known = trees(seed, models=models, mode=mode)
    leaf = known.right - 0.3 * known.cost
    actions = np.random.default_rng(seed).integers(models, size=len(known))
    guess = np.linspace(0, 1, len(known))

    def uniform(row):
        if known.ended[row]:
            return leaf[row]
        return np.mean([uniform(child) for child in known.child[row] if child >= 0])

    def along(row):
        if known.ended[row]:
            return leaf[row]
        child = known.child[row, actions[row]]
        return guess[row] if child < 0 else along(child)

    rows = range(len(known))
    np.testing.assert_allclose(uniform_values(known, leaf), [uniform(row) for row in rows], atol=1e-12)
    np.testing.assert_allclose(path_values(known, actions, leaf, guess), [along(row) for row in rows], atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), models=st.integers(2, 3))
def test_reach_is_a_distribution_over_the_ends_of_each_problem(seed, models):
    known = trees(seed, models=models)
    ends = np.bincount(known.problem, reach(known) * known.ended)
    np.testing.assert_allclose(ends, 1.0)


def test_sampled_episodes_are_paths_of_the_same_game():
    source = Untabulated(TreeSource(3, problems=6))
    game = Game(source, observation=["progress"], cost_unit="flops", normaliser=1e12)
    known = experience(game, episodes=50, seed=1)
    played = known.child >= 0
    assert (played.sum(axis=1) == ~known.ended).all()
    assert (known.depth == 0).sum() == 50
    for row, action in np.argwhere(played):
        child = known.child[row, action]
        assert known.depth[child] == known.depth[row] + 1
        assert known.problem[child] == known.problem[row]
        assert known.cost[child] > known.cost[row]
    np.testing.assert_array_equal(reach(known), 1.0)


def test_taking_some_states_forgets_children_outside():
    known = trees()
    rows = np.flatnonzero(known.problem == 1)
    part = known.take(rows)
    assert len(part) == len(rows)
    leaf = known.right
    np.testing.assert_allclose(uniform_values(part, leaf[rows]), uniform_values(known, leaf)[rows])
    roots = known.take(np.flatnonzero(known.depth == 0))
    assert (roots.child == -1).all()


def test_joined_parts_keep_their_values_and_their_problems_apart():
    first, second = trees(1), trees(2)
    both = join([first, second])
    assert len(np.unique(both.problem)) == 6
    expected = [uniform_values(part, part.right) for part in (first, second)]
    np.testing.assert_allclose(uniform_values(both, both.right), np.concatenate(expected))


def test_folds_keep_groups_whole_and_are_even():
    groups = np.repeat(np.arange(13), 4)
    fold = folds(groups, 5, seed=2)
    assert all(len(set(fold[groups == group])) == 1 for group in range(13))
    assert set(np.bincount(fold[::4])) == {2, 3}
    with pytest.raises(ValueError, match=r"folds=14; allowed: 2 to the number of problems, 13"):
        folds(groups, 14)
