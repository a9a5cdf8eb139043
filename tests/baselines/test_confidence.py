"""The confidence rule, on observations made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from fake_sources import TreeSource

from gym_stepwise_routing.baselines import ConfidenceThreshold
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.game.game import Game


def score(figure: str, **features: float) -> float:
    spec = Game(TreeSource(), observation=["progress", "confidence"]).spec
    router = ConfidenceThreshold(figure)
    router.bind(spec)
    observation = np.zeros((1, len(spec.features)), dtype=np.float32)
    for name, value in features.items():
        observation[0, spec.feature_names.index(name)] = value
    return float(router.scores(observation)[0])


def test_scores_by_hand():
    assert score("p_min", p_min=0.3, confidence_known=1) == pytest.approx(0.7)
    assert score("margin_first", margin_first=0.0, confidence_known=1) == 1
    assert score("entropy_mean", entropy_mean=np.log(4), confidence_known=1) == pytest.approx(0.75)


def test_nothing_known_asks_for_nothing():
    assert score("p_min") == 0
    assert score("entropy_mean") == 0


def test_a_missing_figure_among_known_ones_is_no_lack_of_confidence():
    """An API that tells log-probabilities but no margins: the margin of 0 is a gap, not a tie."""
    assert score("margin_min", p_min=0.9, confidence_known=2 / 9) == 0
    assert score("p_min", p_min=0.9, confidence_known=2 / 9) == pytest.approx(0.1)


def test_decisions_under_a_threshold():
    game = Game(TreeSource(models=3), observation=["confidence"])
    router = ConfidenceThreshold("p_mean", threshold=0.4)
    router.bind(game.spec)
    observation = np.zeros((3, len(game.spec.features)), dtype=np.float32)
    observation[:, 0] = [0.5, 0.7, 0.0]
    observation[:, -1] = [1, 1, 0]
    assert router.predict(observation)[0].tolist() == [2, 0, 0]


def test_bad_rules():
    with pytest.raises(ValueError, match="figure='p_max' is not known; allowed: 'p_mean', 'p_min'"):
        ConfidenceThreshold("p_max")
    with pytest.raises(NotApplicableError, match="feature 'p_min' is not observed"):
        ConfidenceThreshold().bind(Game(TreeSource(), observation=["progress"]).spec)
