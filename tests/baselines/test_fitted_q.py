"""Fitted Q and its re-weighted sister on decisions whose best answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from fake_sources import TreeSource
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gym_stepwise_routing.baselines.experience import Experience, experience
from gym_stepwise_routing.baselines.fitted_q import FittedQ, Prepared, advantages
from gym_stepwise_routing.baselines.sacpo import Reweighted
from gym_stepwise_routing.evaluation.evaluate import play
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.base import decide


@pytest.fixture(scope="module")
def one_step():
    """One decision a problem: the small model is right where x < 0, the large one always, at a cost of 1."""
    x = np.linspace(-1, 1, 200)
    n = len(x)
    child = np.full((3 * n, 2), -1)
    child[:n] = np.column_stack([n + np.arange(n), 2 * n + np.arange(n)])
    return Experience(
        observation=np.tile(x >= 0, 3)[:, None].astype(np.float32),
        problem=np.tile(np.arange(n), 3),
        depth=np.repeat([0, 1, 1], n),
        mask=child >= 0,
        child=child,
        cost=np.repeat([0.0, 0.0, 1.0], n),
        right=np.concatenate([np.zeros(n), x < 0, np.ones(n)]).astype(np.float64),
        ended=np.repeat([False, True, True], n),
    )


@pytest.fixture(scope="module")
def game():
    return Game(TreeSource(0, problems=6), observation=["progress"])


@pytest.mark.parametrize("make", [FittedQ, Reweighted])
@pytest.mark.parametrize(("price", "share"), [(0.5, 0.5), (2.0, 0.0)])
def test_the_large_model_writes_where_it_is_worth_its_price(one_step, game, make, price, share):
    router = make(price).fit(game, one_step)
    actions, _ = router.predict(one_step.observation[:200])
    assert actions.mean() == share
    if share == 0.5:
        assert (actions[100:] == 1).all()


def test_later_decisions_are_planned_for(game):
    """Two steps: the first large step is worth its price only if a large second step follows it."""
    child = np.array([[1, 2], [3, 4], [5, 6], *[[-1, -1]] * 4])
    many = 60
    shift = 7 * np.arange(many)[:, None, None]
    children = np.where(child >= 0, child + shift, -1).reshape(-1, 2)
    known = Experience(
        observation=np.tile(np.eye(7, dtype=np.float32), (many, 1)),
        problem=np.repeat(np.arange(many), 7),
        depth=np.tile([0, 1, 1, 2, 2, 2, 2], many),
        mask=children >= 0,
        child=children,
        cost=np.tile([0, 0, 0.3, 0, 0, 0.3, 0.6], many),
        right=np.tile([0.0, 0, 0, 0, 0, 0, 1], many),
        ended=np.tile([False, False, False, True, True, True, True], many),
    )
    eager = FittedQ(1.4, iterations=3).fit(game, known)
    first, second = np.eye(7, dtype=np.float32)[[0]], np.eye(7, dtype=np.float32)[[2]]
    assert eager.predict(first)[0] == [1]
    assert eager.predict(second)[0] == [1]
    assert FittedQ(1.4, iterations=1).fit(game, known).predict(first)[0] == [0]


def test_the_cost_to_come_on_a_random_source_is_what_is_paid():
    """Only the sampled actions have a cost there; what the others would have cost is not nothing."""
    game = Game("gsm8k-like", split="train", cost_unit="large_tokens")
    router = Reweighted(0.0).fit(game)
    paid = play(router, game, seed=1).cost.mean()
    known = experience(game, seed=1)
    first = known.observation[known.depth == 0]
    expected = router._cost_to_come(first)[np.arange(len(first)), router.predict(first)[0]].mean()
    assert expected == pytest.approx(paid, rel=0.1)


def test_a_reweighted_router_shares_its_fit(one_step, game):
    fitted = Reweighted(0.0).fit(game, one_step)
    again = Reweighted(0.5).fit(game, one_step)
    np.testing.assert_allclose(fitted.priced(0.5).scores(one_step.observation), again.scores(one_step.observation))


@given(arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(2, 4)), elements=st.floats(-1, 1, width=16)))
def test_half_is_the_threshold_of_the_best_action(gain):
    scores = advantages(gain, 0.05)
    assert scores.shape == (len(gain), gain.shape[1] - 1)
    assert ((scores >= 0) & (scores <= 1)).all()
    actions = decide(scores, 0.5, gain.shape[1])
    np.testing.assert_array_equal(gain[np.arange(len(gain)), actions], gain.max(axis=1))


@pytest.mark.parametrize(
    ("make", "wrong", "message"),
    [
        (FittedQ, {"price": -1.0}, "price=-1.0; allowed: >= 0"),
        (FittedQ, {"price": 1.0, "iterations": 0}, "iterations=0; allowed: an integer >= 1"),
        (Reweighted, {"price": float("nan")}, "price=nan; allowed: >= 0"),
        (Reweighted, {"price": 1.0, "beta": 0.0}, "beta=0.0; allowed: > 0"),
    ],
)
def test_arguments_out_of_range(make, wrong, message):
    with pytest.raises(ValueError, match=message):
        make(**wrong)


def test_experience_that_is_prepared_gives_the_same_policy_at_every_price():
    game = Game("gsm8k-qwen2.5-coder", split="calibration", cost_unit="large_tokens")
    known = experience(game)
    prepared = Prepared(known)
    gains = []
    for price in (0.2, 0.7):
        router = FittedQ(price).fit(game, prepared)
        gains.append(router.gains(known.observation))
        np.testing.assert_array_equal(gains[-1], FittedQ(price).fit(game, known).gains(known.observation))
    assert (gains[0] != gains[1]).any()
