"""The batched rules against a plain Python account of one trace, on random trees and random decisions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fake_sources import TreeSource
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import ReferencePlay

from gym_stepwise_routing.costs.ledger import KINDS
from gym_stepwise_routing.costs.models import ModelPool
from gym_stepwise_routing.costs.units import COST_UNITS
from gym_stepwise_routing.errors import NotApplicableError, PriceError
from gym_stepwise_routing.game.transitions import Rules
from gym_stepwise_routing.types import CONFIDENCE, MODES


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    models=st.integers(2, 4),
    mode=st.sampled_from(MODES),
    unit=st.sampled_from(COST_UNITS.names()),
    probing=st.booleans(),
    scoring=st.booleans(),
    told=st.booleans(),
    gaps=st.sampled_from([0.0, 0.2]),
)
def test_batched_rules_equal_the_plain_reference(seed, models, mode, unit, probing, scoring, told, gaps):
    source = TreeSource(seed, models=models, horizon=4, verifier=scoring, told=told, gaps=gaps)
    blocks = ["progress", "confidence", "aggregates", "ledger", "question", "feedback"]
    blocks += ["probe"] * probing + ["verifier"] * scoring
    rules = Rules(source, mode=mode, observation=blocks, cost_unit=unit)
    names = [feature.name for feature in rules.features]
    rng = np.random.default_rng(seed)
    problems = np.arange(6)
    play = rules.start(problems, rng)
    slow = [ReferencePlay(source, p, mode=mode, probing=probing, scoring=scoring) for p in problems]
    while True:
        masks = rules.masks(play)
        np.testing.assert_array_equal(masks, [reference.mask() for reference in slow])
        ledger = [[[row[kind] for kind in KINDS] for row in reference.ledger] for reference in slow]
        np.testing.assert_array_equal(play.account.ledger, ledger)
        np.testing.assert_allclose(rules.cost(play), [reference.cost(rules.weights) for reference in slow], rtol=1e-12)
        alive = np.flatnonzero(masks.any(axis=1))
        observed = rules.observe(play, normaliser=1.0)
        for row in alive:
            for name, value in slow[row].features().items():
                assert observed[row, names.index(name)] == pytest.approx(value, rel=1e-5, abs=1e-6), name
        if len(alive) == 0:
            break
        actions = np.array([rng.choice(np.flatnonzero(mask)) for mask in masks[alive]])
        play, slow = rules.step(play.take(alive), actions, rng), [slow[row] for row in alive]
        for reference, action in zip(slow, actions, strict=True):
            reference.step(int(action))


def test_a_request_beyond_the_tier_of_a_price_is_refused_cached_tokens_included():
    source = TreeSource(0)
    source.shared_prefix[:] = 10
    problems = np.arange(6)
    asked = source.describe(problems).prompt_tokens[:, 1]

    def play(up_to):
        small, large = source.pool
        source.pool = ModelPool([small, replace(large, price=replace(large.price, up_to=up_to))])
        rules = Rules(source, mode="route", observation=["progress"], cost_unit="flops")
        first = rules.start(problems, np.random.default_rng(0))
        assert (first.account.cached[:, 1] > 0).all()  # so that fresh tokens alone would be within the limit below
        rules.step(first, np.zeros(6, dtype=np.int64), np.random.default_rng(0))  # the other model has no such limit
        rules.step(first, np.ones(6, dtype=np.int64), np.random.default_rng(0))

    play(int(asked.max()))
    longest = int(asked.max()) - 1
    with pytest.raises(PriceError, match=rf"'m1'.* {longest + 1} input tokens.* holds up to {longest} \(made up\)"):
        play(longest)


@pytest.mark.parametrize("told", [True, False])
def test_a_probe_shows_the_smallest_models_first_token_of_the_next_step(told):
    source = TreeSource(3, told=told)
    rules = Rules(source, mode="route", observation=["probe"], cost_unit="flops")
    play = rules.start(np.arange(6), np.random.default_rng(0))
    ahead = source.confidence[source.child[np.arange(6), 0]]
    expected = np.column_stack([ahead[:, 4], ahead[:, 7], np.ones(6)])
    np.testing.assert_array_equal(rules.observe(play, 1.0), expected.astype(np.float32))


def test_a_probe_is_masked_out_with_the_smallest_model():
    source = TreeSource(0, models=3, horizon=4)
    rules = Rules(source, mode="escalate", observation=["probe"], cost_unit="flops")
    rng = np.random.default_rng(0)
    play = rules.step(rules.start(np.arange(6), rng), np.ones(6, dtype=np.int64), rng)
    going = rules.masks(play).any(axis=1)
    assert going.any()
    np.testing.assert_array_equal(rules.observe(play, 1.0), 0)
    before = play.account.ledger[going, 0]
    after = rules.step(play.take(going), np.full(going.sum(), 2), rng).account.ledger[:, 0]
    np.testing.assert_array_equal(after, before)


def test_a_verifier_block_needs_a_verifier():
    with pytest.raises(NotApplicableError, match=r"observation block 'verifier'.*'fake-tree' has no verifier scores"):
        Rules(TreeSource(), mode="route", observation=["verifier"], cost_unit="flops")


@pytest.mark.parametrize("mode", MODES)
def test_at_the_horizon_no_model_goes_on_and_the_last_step_is_shown(mode):
    source = TreeSource(1, problems=30, horizon=4)
    source.horizon = 2  # the trees go on
    rules = Rules(source, mode=mode, observation=["progress", "confidence"], cost_unit="flops")
    rng = np.random.default_rng(0)
    play = rules.start(np.arange(30), rng)
    for _ in range(2):
        alive = np.flatnonzero(rules.masks(play).any(axis=1))
        play = rules.step(play.take(alive), np.zeros(len(alive), dtype=np.int64), rng)
    going = play.take(play.trace.available.any(axis=1))
    assert len(going) > 3
    assert not rules.masks(going).any()
    names = [feature.name for feature in rules.features]
    shown = rules.observe(going, 1.0)
    np.testing.assert_array_equal(shown[:, names.index("depth")], 1.0)
    expected = np.exp(going.trace.confidence[:, CONFIDENCE.index("logprob_mean")])
    np.testing.assert_allclose(shown[:, names.index("p_mean")], expected, rtol=1e-6)
