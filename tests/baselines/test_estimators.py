"""The estimators against scikit-learn and against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from gym_stepwise_routing.baselines.estimators import OutcomeRegression, SoftClassifier


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(400, 4)) * [1, 5, 0.1, 1] + [0, 3, 0, 1]
    target = features @ [1.0, 0.2, 4.0, 0.0] + rng.normal(size=400)
    return features, target, rng.uniform(0.5, 2, 400), np.repeat(np.arange(40), 10)


def test_ridge_is_scikit_learns_on_standardised_features(data):
    features, target, weight, groups = data
    share = weight / weight.mean()
    centre = np.average(features, axis=0, weights=weight)
    scaled = (features - centre) / np.sqrt(np.average((features - centre) ** 2, axis=0, weights=weight))
    expected = Ridge(10.0).fit(scaled, target, share).predict(scaled)
    found = OutcomeRegression([10.0]).fit(features, target, weight, groups).predict(features)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_noise_gets_a_larger_penalty_than_signal(data):
    features, target, weight, groups = data
    noise = np.random.default_rng(1).normal(size=len(target))
    penalties = [0.1, 10_000.0]
    assert OutcomeRegression(penalties).fit(features, target, weight, groups).penalty == 0.1
    assert OutcomeRegression(penalties).fit(features, noise, weight, groups).penalty == 10_000.0


def test_the_penalty_is_chosen_on_whole_groups():
    """Features that only tell the groups apart explain nothing outside of their group."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 30)
    target = rng.normal(size=20)[groups] + 0.1 * rng.normal(size=600)
    identity = np.eye(20)[groups]
    chosen = OutcomeRegression([0.1, 10_000.0]).fit(identity, target, np.ones(600), groups).penalty
    assert chosen == 10_000.0


def test_constant_features_and_few_groups_are_fine():
    features = np.column_stack([np.ones(6), np.arange(6.0)])
    fitted = OutcomeRegression([1.0, 7.0]).fit(features, np.arange(6.0), np.ones(6), np.arange(6))
    assert fitted.penalty == 7.0
    assert np.isfinite(fitted.predict(features)).all()


def test_soft_labels_are_probabilities():
    """With one binary feature and hardly any penalty the fit is the mean label of each value."""
    feature = np.repeat([0.0, 1.0], 500)[:, None]
    label = np.where(feature[:, 0] > 0, 0.7, 0.2)
    fitted = SoftClassifier([1e-4]).fit(feature, label, np.ones(1000), np.arange(1000))
    np.testing.assert_allclose(fitted.predict(np.array([[0.0], [1.0]])), [0.2, 0.7], atol=0.01)
    assert fitted.parameters == 2


def test_weights_count_as_copies():
    rng = np.random.default_rng(0)
    features, label = rng.normal(size=(60, 2)), rng.random(60)
    copies = rng.integers(1, 4, 60)
    weighted = SoftClassifier([1.0]).fit(features, label, copies.astype(float), np.arange(60))
    again = np.repeat(np.arange(60), copies)
    copied = SoftClassifier([60 / len(again)]).fit(features[again], label[again], np.ones(len(again)), again)
    np.testing.assert_allclose(weighted.predict(features), copied.predict(features), atol=0.02)


def test_labels_all_alike_are_refused():
    with pytest.raises(ValueError, match="label is the same everywhere"):
        SoftClassifier().fit(np.zeros((4, 1)), np.ones(4), np.ones(4), np.arange(4))
