"""Query-level routers: classifier on counts, cascades of whole answers, embeddings."""

from __future__ import annotations

import numpy as np
import pytest
from fake_sources import TreeSource
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from gym_stepwise_routing.baselines import AlwaysModel
from gym_stepwise_routing.baselines.cascade import FrugalJudge, SelfJudge, answers, tried
from gym_stepwise_routing.baselines.query_classifier import QueryClassifier
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.evaluation.evaluate import play
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.types import DEFAULT_BLOCKS


def hard_questions(seed=0, problems=300):
    """Whole answers: the large model is always right, the small one where the question has few words."""
    source = TreeSource(seed, problems=problems, horizon=1)
    words = source.question[:, 1]
    source.terminal[source.depth == 1] = True
    source.child[source.depth == 1] = -1
    easy = words[source.problem] < 100
    source.correct = (source.depth == 1) & ((source.model == 1) | easy)
    return source


def test_the_classifier_finds_what_makes_questions_hard():
    source = hard_questions()
    train, test = (Game(source, split=split, observation=["question"]) for split in ("train", "test"))
    router = QueryClassifier().fit(train)
    evaluation = play(router, test)
    hard = source.question[test.problems, 1] >= 100
    assert (evaluation.decisions[:, 0] == hard).mean() > 0.9


def test_the_decision_holds_for_the_whole_trace():
    source = TreeSource(1, problems=90, horizon=3)
    router = QueryClassifier().fit(Game(source, observation=["question"]))
    router.threshold = 0.25
    decisions = play(router, Game(source, split="test", observation=["question"])).decisions
    for row in decisions:
        assert len(set(row[row >= 0])) == 1
    assert set(decisions[:, 0]) == {0, 1}


def test_what_the_classifier_needs():
    with pytest.raises(NotApplicableError, match="a query-level router drafts nothing"):
        QueryClassifier().fit(Game(TreeSource(0), mode="regenerate", observation=["question"]))
    with pytest.raises(NotApplicableError, match="feature 'question_tokens' is not observed"):
        QueryClassifier().fit(Game(TreeSource(0), observation=["progress"]))
    unread = TreeSource(0)
    unread.question[:] = np.nan
    with pytest.raises(NotApplicableError, match="has no counts over its questions"):
        QueryClassifier().fit(Game(unread, observation=["question"]))
    alike = TreeSource(0)
    alike.correct[:] = False
    with pytest.raises(NotApplicableError, match="a classifier needs both kinds"):
        QueryClassifier().fit(Game(alike, observation=["question"]))


def test_answers_are_those_of_the_models_alone():
    game = Game(TreeSource(2, problems=30, models=3), observation=DEFAULT_BLOCKS)
    for model in range(3):
        seen, right = answers(game, model)
        np.testing.assert_array_equal(right, play(AlwaysModel(model), game).right)
        share = seen[:, game.spec.feature_names.index(f"share_{model}")]
        np.testing.assert_array_equal(share, 1.0)


@given(
    st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=3),
    st.floats(0, 1.1),
)
def test_the_first_answer_that_is_trusted_enough_is_kept(approvals, threshold):
    approvals = [np.array(each) for each in approvals]
    kept = tried(approvals, threshold)
    for problem in range(3):
        trusted = [model for model, each in enumerate(approvals) if 1 - each[problem] < threshold]
        assert kept[problem] == (trusted[0] if trusted else len(approvals))


def test_the_frugal_judge_learns_which_answers_are_right():
    source = TreeSource(3, problems=300, horizon=1)
    answered = source.depth == 1
    source.terminal[answered] = True
    source.child[answered] = -1
    source.correct = answered & (source.confidence[:, 1] > -3)
    game = Game(source, observation=DEFAULT_BLOCKS)
    judge = FrugalJudge().fit(game)
    seen, right = answers(Game(source, split="test", observation=DEFAULT_BLOCKS), 0)
    assert ((judge.approval(seen) > 0.5) == right).mean() > 0.8
    (held_out,) = judge.fitted_approvals
    trained_on, train_right = answers(game, 0)
    assert ((held_out > 0.5) == train_right).mean() > 0.8
    assert np.abs(held_out - judge.approval(trained_on)).max() > 1e-3
    source.correct[:] = False
    with pytest.raises(NotApplicableError, match="0 of 100 train answers are right"):
        FrugalJudge().fit(Game(source, observation=DEFAULT_BLOCKS))


def test_the_self_judge_trusts_what_the_writer_was_sure_of():
    source = TreeSource(4, problems=30)
    game = Game(source, observation=DEFAULT_BLOCKS)
    judge = SelfJudge().fit(game)
    seen, _ = answers(game, 0)
    column = game.spec.feature_names.index("mean_p_mean")
    np.testing.assert_allclose(judge.approval(seen), seen[:, column], rtol=1e-6)
    np.testing.assert_array_equal(judge.fitted_approvals[0], judge.approval(seen))
    source.confidence[:, :2] = np.nan  # entropies alone are no self-verification
    with pytest.raises(NotApplicableError, match="'fake-tree' has no mean_p_mean of any answer"):
        SelfJudge().fit(Game(source, observation=DEFAULT_BLOCKS))


def test_a_scorer_that_can_only_remember_is_not_trusted_on_train():
    """Right answers are unrelated to all figures: out of fold the scorer must not seem to know them."""
    source = TreeSource(5, problems=150, horizon=1)
    answered = source.depth == 1
    source.terminal[answered] = True
    source.child[answered] = -1
    source.correct = answered & (np.random.default_rng(0).random(len(answered)) < 0.5)
    game = Game(source, observation=DEFAULT_BLOCKS)
    judge = FrugalJudge().fit(game)
    seen, right = answers(game, 0)
    assert roc_auc_score(right, judge.fitted_approvals[0]) < roc_auc_score(right, judge.approval(seen)) - 0.05
