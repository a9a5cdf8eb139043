"""Areas under the ROC curve against counting pairs, and what the labels mean."""

from __future__ import annotations

import numpy as np
import pytest
from fake_sources import TreeSource, Untabulated

from gym_stepwise_routing.baselines import ConfidenceThreshold
from gym_stepwise_routing.baselines.experience import experience, uniform_values
from gym_stepwise_routing.comparison.signals import Signal, auroc, query_signal, step_signal
from gym_stepwise_routing.game.game import Game

STEPS = ("progress", "confidence")


def pairs(signal):
    """Area by counting weighted pairs."""
    above = weight = 0.0
    for i in np.flatnonzero(signal.label):
        for j in np.flatnonzero(~signal.label):
            w = signal.weight[i] * signal.weight[j]
            weight += w
            above += w * (float(signal.score[i] > signal.score[j]) + 0.5 * float(signal.score[i] == signal.score[j]))
    return above / weight


@pytest.mark.parametrize("seed", range(3))
def test_area_is_the_share_of_ordered_pairs(seed):
    rng = np.random.default_rng(seed)
    signal = Signal(rng.integers(0, 6, 60) / 5, rng.random(60) < 0.4, rng.random(60), rng.integers(0, 12, 60))
    found = auroc(signal, resamples=300)
    assert found.estimate == pytest.approx(pairs(signal))
    assert found.low < found.estimate < found.high
    assert found.n == 12


def test_areas_at_the_ends():
    label = np.array([True, True, False, False])
    ones, groups = np.ones(4), np.arange(4)
    assert auroc(Signal(label.astype(float), label, ones, groups)).estimate == 1
    assert auroc(Signal(1.0 - label, label, ones, groups)).estimate == 0
    assert auroc(Signal(np.zeros(4), label, ones, groups)).estimate == 0.5
    assert auroc(Signal(np.zeros(4), np.ones(4, dtype=bool), ones, groups)) is None


@pytest.mark.parametrize("mode", ["route", "regenerate"])
def test_steps_count_as_helped_where_the_large_model_raises_the_chance(mode):
    game = Game(TreeSource(3, problems=30), mode=mode, observation=STEPS)
    signal = step_signal(ConfidenceThreshold("p_min"), game)
    known = experience(game)
    value = uniform_values(known, known.right)
    rows = np.flatnonzero(~known.ended)
    np.testing.assert_array_equal(signal.label, value[known.child[rows, 1]] > value[known.child[rows, 0]] + 1e-12)
    later = step_signal(ConfidenceThreshold("p_min"), game, after=1)
    assert len(later.label) == (known.depth[rows] > 0).sum()
    assert step_signal(ConfidenceThreshold("p_min"), game, after=99) is None


def test_questions_are_judged_by_whole_traces():
    source = TreeSource(3, problems=30)
    game = Game(source, mode="route", observation=STEPS)
    signal = query_signal(ConfidenceThreshold("p_min"), game)
    assert len(signal.label) == len(game.problems) == 10
    for problem, needed in zip(game.problems, signal.label, strict=True):
        right = []
        for action in (0, 1):
            row = int(np.flatnonzero((source.problem == problem) & (source.depth == 0))[0])
            while not source.terminal[row] and source.child[row, action] >= 0:
                row = source.child[row, action]
            right.append(bool(source.correct[row]))
        assert needed == (right[1] and not right[0])


def test_a_random_source_has_no_labels():
    game = Game(Untabulated(TreeSource(0, problems=9)), mode="route", observation=STEPS)
    assert step_signal(ConfidenceThreshold("p_min"), game) is None
    assert query_signal(ConfidenceThreshold("p_min"), game) is None
