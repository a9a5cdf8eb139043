"""The verifier on recorded figures: what it sees, that train scores are out of fold, and that it knows something."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.baselines.verifiers.features import FEATURE_VERIFIER, feature_verifier, step_features
from gym_stepwise_routing.errors import NotApplicableError


@pytest.fixture(scope="module")
def bank():
    return Bank.open("gsm8k-qwen2.5-coder")


@pytest.fixture(scope="module")
def scored(bank):
    return feature_verifier(bank)


def inverted(bank, problem):
    """The bank with every ending of one problem graded the other way round."""
    correct = bank.correct.copy()
    rows = (bank.nodes.problem == problem) & bank.terminal
    correct[rows] = ~correct[rows]
    return replace(bank, nodes=replace(bank.nodes, correct=correct))


def test_running_figures_are_those_of_the_trace(bank):
    features = step_features(bank)
    models = len(bank.pool)
    for row in np.random.default_rng(0).choice(np.flatnonzero(bank.depth == 4), 20):
        trace, node = [], int(row)
        while bank.depth[node] > 0:
            trace.append(node)
            node = int(bank.nodes.parent[node])
        figures = np.exp(bank.confidence[trace, 1])
        known = np.isfinite(figures)
        worst, entropy, mean = features[row, -3:]
        assert worst == pytest.approx(np.min(figures[known], initial=1.0), rel=1e-5)
        assert entropy == pytest.approx(np.max(bank.confidence[trace, 2][known], initial=0.0), rel=1e-5)
        if known.any():
            assert mean == pytest.approx(np.exp(bank.confidence[trace, 0])[known].mean(), rel=1e-5)
        assert np.expm1(features[row, 2]) == pytest.approx(bank.tokens[trace].sum())
        assert features[row, 3 : 3 + models].argmax() == bank.model[row]


def test_scores_of_a_train_problem_do_not_know_its_outcomes(bank, scored):
    problem = bank.split_problems("train")[3]
    rows = (bank.nodes.problem == problem) & (bank.depth > 0)
    others = np.isin(bank.nodes.problem, bank.split_problems("train")) & (bank.depth > 0) & ~rows
    changed = feature_verifier(inverted(bank, problem))
    np.testing.assert_allclose(changed.score[rows], scored.score[rows], atol=1e-6)
    assert not np.allclose(changed.score[others], scored.score[others], atol=1e-6)


@pytest.mark.parametrize("split", ["calibration", "test"])
def test_scores_do_not_know_other_splits(bank, scored, split):
    changed = feature_verifier(inverted(bank, bank.split_problems(split)[0]))
    np.testing.assert_array_equal(changed.score, scored.score)


def test_it_knows_more_than_chance_on_test(bank, scored):
    ends = np.isin(bank.nodes.problem, bank.split_problems("test")) & bank.terminal
    assert roc_auc_score(bank.correct[ends], scored.score[ends]) > 0.6
    verifier = scored.pool.verifier
    assert verifier.name == FEATURE_VERIFIER
    assert verifier.parameters == step_features(bank).shape[1] + 1


def test_what_it_needs(bank):
    alike = replace(bank, nodes=replace(bank.nodes, correct=np.zeros_like(bank.correct)))
    with pytest.raises(NotApplicableError, match="end alike"):
        feature_verifier(alike)
