"""The router contract: scores, thresholds, binding."""

from __future__ import annotations

import numpy as np
import pytest
from fake_sources import TreeSource
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gym_stepwise_routing.baselines import AlwaysLargest
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.base import (
    ALWAYS_LARGEST,
    ALWAYS_SMALLEST,
    Predicts,
    Replay,
    Scores,
    ScoringRouter,
    ThresholdRouter,
    bind,
    columns_of,
    decide,
    name_of,
)


class Fixed(ScoringRouter):
    """Scores given in advance."""

    name = "fixed"

    def __init__(self, values, threshold=0.5):
        super().__init__(threshold)
        self.values = np.asarray(values)

    def scores(self, observation):
        return self.values


@pytest.mark.parametrize(
    ("threshold", "actions"), [(0.0, [2, 2, 2]), (0.3, [2, 2, 0]), (0.5, [1, 2, 0]), (0.9, [0, 1, 0]), (1.0, [0, 1, 0])]
)
def test_actions_count_the_columns_that_reach_the_threshold(threshold, actions):
    scores = np.array([[0.8, 0.3], [1.0, 0.7], [0.0, 0.0]])
    assert decide(scores, threshold, 3).tolist() == actions


def test_one_column_decides_between_the_smallest_and_the_largest():
    assert decide(np.array([0.2, 0.9]), 0.5, 4).tolist() == [0, 3]


def test_a_threshold_for_each_row():
    assert decide(np.array([0.5, 0.5]), np.array([0.4, 0.6]), 2).tolist() == [1, 0]


@given(arrays(np.float32, (7, 3), elements=st.floats(0, 1, width=32)), st.floats(0, 1.5), st.floats(0, 1.5))
def test_a_higher_threshold_never_asks_for_a_larger_model(scores, one, other):
    low, high = sorted((one, other))
    assert (decide(scores, low, 4) >= decide(scores, high, 4)).all()
    assert (decide(scores, ALWAYS_LARGEST, 4) == 3).all()
    assert (decide(scores, ALWAYS_SMALLEST, 4) == 0).all()


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.zeros((2, 3)), r"scores of shape \(2, 3\); allowed: \[B\] or \[B, 1\]"),
        (np.array([0.5, 1.1]), "scores from 0.5 to 1.1; allowed: 0 to 1"),
        (np.array([0.5, -0.1]), "scores from -0.1 to 0.5; allowed: 0 to 1"),
        (np.array([0.5, np.nan]), "scores from nan to nan; allowed: 0 to 1"),
    ],
)
def test_bad_scores(scores, message):
    with pytest.raises(ValueError, match=message):
        decide(scores, 0.5, 2)


@pytest.mark.parametrize("threshold", [-0.1, float("nan")])
def test_bad_thresholds(threshold):
    with pytest.raises(ValueError, match=r"threshold=.*; allowed: >= 0"):
        Fixed([0.5], threshold)


def test_a_threshold_router_replaces_the_threshold_of_its_base():
    spec = Game(TreeSource(models=3)).spec
    base = Fixed([0.3, 0.6])
    router = ThresholdRouter(base, threshold=0.2)
    router.bind(spec)
    assert base.models == 3
    assert router.predict(np.zeros((2, 1)))[0].tolist() == [2, 2]
    assert base.predict(np.zeros((2, 1)))[0].tolist() == [0, 2]
    assert router.name == "fixed"
    assert isinstance(router, Predicts)
    assert isinstance(router, Scores)


def test_a_threshold_router_needs_scores():
    with pytest.raises(ValueError, match=r"base=Replay has no scores\(observation\); allowed: a router that has"):
        ThresholdRouter(Replay(np.zeros((1, 1), dtype=np.int8)))


def test_replay_counts_its_steps():
    router = Replay(np.array([[1, 0], [0, -1]]))
    first, state = router.predict(np.zeros((2, 1)))
    second, _ = router.predict(np.zeros((2, 1)), state)
    assert (first.tolist(), second.tolist()) == ([1, 0], [0, 0])


def test_columns_by_name():
    spec = Game(TreeSource(), observation=["progress", "ledger"]).spec
    assert columns_of(spec, "spent", "depth") == [spec.feature_names.index("spent"), 0]
    with pytest.raises(
        NotApplicableError, match=r"feature 'p_min' is not observed; the observation has \['ledger', 'pro"
    ):
        columns_of(spec, "p_min")


def test_names_and_binding_of_anything_that_predicts():
    class Plain:
        def predict(self, observation, state=None, episode_start=None, deterministic=False):
            return np.zeros(len(observation), dtype=np.int64), None

    bind(Plain(), Game(TreeSource()).spec)  # nothing to bind
    assert name_of(Plain()) == "Plain"
    assert isinstance(Plain(), Predicts)


def test_a_router_that_is_bound_to_no_game_says_so():
    with pytest.raises(ValueError, match=r"bind\(env\.unwrapped\.routing_spec\)"):
        AlwaysLargest().predict(np.zeros((1, 3), np.float32))
