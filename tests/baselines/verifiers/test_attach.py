"""Soft labels against recursion, and what a bank with scores shows and charges."""

from __future__ import annotations

import numpy as np
import pytest

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.baselines.verifiers.attach import node_reach, soft_labels, with_verifier
from gym_stepwise_routing.costs.ledger import VERIFIER
from gym_stepwise_routing.costs.models import Model
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.game.game import Game

BUNDLED = "gsm8k-qwen2.5-coder"


@pytest.fixture(scope="module")
def bank():
    return Bank.open(BUNDLED)


def test_soft_labels_are_means_over_uniform_continuations(bank):
    def recursion(row):
        if bank.terminal[row]:
            return float(bank.correct[row])
        children = [child for child in bank.child[row] if child >= 0]
        return float(np.mean([recursion(child) for child in children]))

    labels = soft_labels(bank)
    for row in np.random.default_rng(0).choice(len(bank.nodes), 200, replace=False):
        assert labels[row] == pytest.approx(recursion(row), abs=1e-12)


def test_reach_sums_to_one_over_the_ends_of_each_problem(bank):
    ends = np.bincount(bank.nodes.problem, node_reach(bank) * bank.terminal)
    np.testing.assert_allclose(ends, 1.0)


def test_scores_are_observed_and_reading_is_charged(bank):
    scores = np.linspace(0, 1, len(bank.nodes))
    scored = with_verifier(bank, Model("judge", parameters=1e6), scores)
    assert scored.hash != bank.hash
    assert scored.pool.verifier.name == "judge"
    assert bank.pool.verifier is None
    game = Game(scored, mode="regenerate", observation=["verifier"])
    table = game.table
    drafted = table.draft >= 0
    column = game.spec.feature_names.index("score")
    np.testing.assert_allclose(table.observation[drafted, column], scores[table.draft[drafted]], atol=1e-6)
    root, kept = 0, table.child[0, 0]
    prompt = scored.problems.prompt_tokens[table.problems[0], -1] - scored.manifest.prompt.shared_prefix_tokens[-1]
    draft = scored.tokens[table.draft[root]]
    assert table.ledger[kept, -1, VERIFIER] == prompt + draft
    with pytest.raises(NotApplicableError, match="has no verifier"):
        Game(bank, mode="regenerate", observation=["verifier"])
    nothing = with_verifier(bank, Model("judge", parameters=1e6), np.full(len(bank.nodes), np.nan))
    with pytest.raises(NotApplicableError, match="has no verifier scores"):
        Game(nothing, mode="regenerate", observation=["verifier"])


def test_scores_that_cannot_be(bank):
    judge = Model("judge", parameters=1.0)
    with pytest.raises(ValueError, match="one for each of the"):
        with_verifier(bank, judge, np.zeros(3))
    with pytest.raises(ValueError, match=r"scores from 0.0 to 1.5; allowed: 0 to 1, or NaN"):
        with_verifier(bank, judge, np.where(np.arange(len(bank.nodes)) == 5, 1.5, 0.0))
    assert np.isnan(with_verifier(bank, judge, np.full(len(bank.nodes), np.nan)).score).all()
