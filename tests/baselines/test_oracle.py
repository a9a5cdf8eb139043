"""The oracle against brute force over all paths, and its known answer on the bundled bank."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from bank_files import published
from fake_sources import TreeSource, Untabulated
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import ReferencePlay

from gym_stepwise_routing.baselines import oracle, oracle_paths
from gym_stepwise_routing.costs.units import COST_UNITS, cost_weights
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.types import MODES


def brute_force(source, problem: int, mode: str, weights, horizon: int) -> tuple[float, float]:
    """Cost of the cheapest right path and of the cheapest path, by trying every sequence of models."""
    right, anyhow = [np.inf], []
    sequences = itertools.product(range(len(source.pool)), repeat=horizon)
    if mode == "restart":  # never back
        sequences = itertools.combinations_with_replacement(range(len(source.pool)), horizon)
    for actions in sequences:
        reference = ReferencePlay(source, problem, mode=mode, probing=False, scoring=True)
        for action in actions:
            if not any(reference.mask()):
                break
            if not reference.mask()[action]:
                break
            reference.step(action)
        if not any(reference.mask()):
            anyhow.append(reference.cost(weights))
            if source.correct[reference.node]:
                right.append(reference.cost(weights))
    return min(right), min(anyhow)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    models=st.integers(2, 3),
    mode=st.sampled_from(MODES),
    unit=st.sampled_from(COST_UNITS.names()),
)
def test_oracle_equals_brute_force(seed, models, mode, unit):
    source = TreeSource(seed, models=models, problems=9, horizon=3, verifier=True, gaps=0.1)
    game = Game(source, mode=mode, cost_unit=unit, observation=["progress", "verifier"], normaliser=1.0)
    weights = cost_weights(unit, source.pool)
    paths, played = oracle_paths(game), oracle(game)
    for position, problem in enumerate(game.problems.tolist()):
        right, anyhow = brute_force(source, problem, mode, weights, game.rules.longest)
        assert paths.right[position] == pytest.approx(right, rel=1e-12)
        assert paths.any[position] == pytest.approx(anyhow, rel=1e-12)
        assert played.right[position] == np.isfinite(right)
        assert played.cost[position] == pytest.approx(right if np.isfinite(right) else anyhow, rel=1e-12)
    np.testing.assert_array_equal(played.decisions, paths.decisions)
    assert played.router == "oracle"


def test_known_answer_of_the_published_recording(shared_dir, tmp_path):
    """The recording's README: accuracy 0.690 with 20.7 large tokens, the fewest on a right path, 0 where none is."""
    bank = published(shared_dir, tmp_path)
    games = [Game(bank, split=split, cost_unit="large_tokens") for split in ("train", "calibration", "test")]
    right = np.concatenate([oracle_paths(game).right * game.normaliser for game in games])
    assert len(right) == 252
    assert f"{np.isfinite(right).mean():.3f} {np.where(np.isfinite(right), right, 0).mean():.1f}" == "0.690 20.7"
    assert np.concatenate([oracle(game).right for game in games]).mean() == np.isfinite(right).mean()


def test_under_a_hard_budget_a_right_path_must_be_affordable():
    free = oracle_paths(Game())
    budget = float(np.median(free.right[np.isfinite(free.right)]))
    game = Game(budget=budget, hard_budget=True)
    bound = oracle_paths(game)
    np.testing.assert_array_equal(bound.right, np.where(free.right <= budget, free.right, np.inf))
    assert oracle(game).accuracy == np.isfinite(bound.right).mean() < np.isfinite(free.right).mean()
    with pytest.raises(ValueError, match=r"budget=\(0.1, 0.2\) is drawn anew each episode; allowed: a number"):
        oracle_paths(Game(budget=(0.1, 0.2), hard_budget=True))


def test_a_random_source_has_no_oracle():
    with pytest.raises(ValueError, match="source 'fake-tree' is random: no path is known before it is played"):
        oracle_paths(Game(Untabulated(TreeSource()), normaliser=1.0))
