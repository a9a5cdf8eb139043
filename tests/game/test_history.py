"""Running aggregates by hand; their agreement with a plain account over random traces is in test_rules."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from fake_sources import TreeSource

from gym_stepwise_routing.game.trace_statistics import TRACKED, confidence_features, empty_history, remember
from gym_stepwise_routing.types import CONFIDENCE


def steps(confidence: dict[str, float], score: float, model: int, tokens: int):
    state = TreeSource(verifier=True).start(np.array([0]), np.random.default_rng(0))
    figures = [confidence.get(name, np.nan) for name in CONFIDENCE]
    return replace(
        state,
        confidence=np.array([figures], dtype=np.float32),
        score=np.array([score], dtype=np.float32),
        model=np.array([model]),
        tokens=np.array([tokens]),
    )


def test_two_steps_by_hand():
    first = steps({"logprob_mean": np.log(0.8), "entropy_mean": 0.5, "margin_first": 0.9}, 0.7, 0, 12)
    second = steps({"logprob_mean": np.log(0.6), "logprob_min": np.log(0.1), "entropy_mean": 0.2}, 0.5, 1, 8)
    history = remember(remember(empty_history(1, 2), first), second)
    assert TRACKED == ("p_mean", "p_min", "entropy_mean", "margin_first")
    np.testing.assert_allclose(history.worst[0], [0.6, 0.1, 0.5, 0.9], rtol=1e-6)
    np.testing.assert_allclose(history.total[0], [1.4, 0.1, 0.7, 0.9], rtol=1e-6)
    np.testing.assert_array_equal(history.known[0], [2, 1, 2, 1])
    np.testing.assert_array_equal(history.steps[0], [1, 1])
    assert history.tokens[0] == 20
    np.testing.assert_allclose([history.score_min[0], history.score_product[0]], [0.5, 0.35], rtol=1e-6)


def test_a_step_without_figures_changes_counts_only():
    known = remember(empty_history(1, 2), steps({"logprob_mean": -0.1, "margin_first": 0.4}, 0.6, 0, 5))
    after = remember(known, steps({}, np.nan, 1, 1))
    for name in ("worst", "total", "known", "score_min", "score_product"):
        np.testing.assert_array_equal(getattr(after, name), getattr(known, name))
    assert (after.tokens[0], after.steps[0].tolist()) == (6, [1, 1])


def test_logprobs_become_probabilities_and_missing_stays_missing():
    features = confidence_features(steps({"logprob_min": np.log(0.25), "entropy_max": 2.0}, np.nan, 0, 1).confidence)[0]
    assert features[CONFIDENCE.index("logprob_min")] == np.float32(0.25)
    assert features[CONFIDENCE.index("entropy_max")] == 2
    assert np.isnan(features[CONFIDENCE.index("logprob_mean")])
