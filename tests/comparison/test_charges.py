"""Whoever asks for a probe, a verifier, a rating, a draft or a second answer pays for it, at every setting."""

from __future__ import annotations

import numpy as np
import pytest
from fake_sources import TreeSource

from gym_stepwise_routing.baselines.cascade import FrugalJudge
from gym_stepwise_routing.baselines.constant import AlwaysLargest, AlwaysSmallest
from gym_stepwise_routing.baselines.glimp import GlimpRouter
from gym_stepwise_routing.baselines.spec_reason import SpecReason
from gym_stepwise_routing.baselines.verifier_threshold import RSD, TrimThreshold, VerifierThreshold
from gym_stepwise_routing.comparison.arena import Arena
from gym_stepwise_routing.comparison.cascades import Cascade
from gym_stepwise_routing.costs.ledger import DISCARDED, PROBE, VERIFIER
from gym_stepwise_routing.evaluation.evaluate import play
from gym_stepwise_routing.routers.base import ALWAYS_LARGEST, ALWAYS_SMALLEST, ThresholdRouter


def arena(mode):
    return Arena(TreeSource(10, problems=60, verifier=True), mode=mode, cost_unit="flops")


@pytest.mark.parametrize("mode", ["route", "escalate"])
def test_a_probe_is_charged_where_the_small_model_does_not_go_on(mode):
    where = arena(mode)
    plain = play(AlwaysLargest(), where.game("test", ("progress",)))
    probing = play(ThresholdRouter(GlimpRouter(), ALWAYS_LARGEST), where.game("test", ("progress", "probe")))
    np.testing.assert_array_equal(plain.right, probing.right)
    assert plain.ledger[:, 0, PROBE].sum() == 0
    assert probing.ledger[:, 0, PROBE].sum() > 0
    for unit in ("flops", "dollars", "latency"):
        assert probing.costs[unit].sum() > plain.costs[unit].sum()


@pytest.mark.parametrize(
    ("mode", "router"),
    [
        ("route", VerifierThreshold("score_min")),
        ("regenerate", TrimThreshold()),
        ("regenerate", SpecReason(7)),
        ("regenerate", RSD()),
    ],
)
@pytest.mark.parametrize(
    ("threshold", "constant"), [(ALWAYS_LARGEST, AlwaysLargest()), (ALWAYS_SMALLEST, AlwaysSmallest())]
)
def test_a_verifier_is_charged_whatever_it_says(mode, router, threshold, constant):
    where = arena(mode)
    plain = play(constant, where.game("test", ("progress",)))
    judged = play(ThresholdRouter(router, threshold), where.game("test", ("progress", "verifier")))
    np.testing.assert_array_equal(plain.right, judged.right)
    assert plain.ledger[..., VERIFIER].sum() == 0
    assert judged.ledger[:, -1, VERIFIER].sum() > 0
    for unit in ("flops", "dollars", "latency"):
        assert judged.costs[unit].sum() > plain.costs[unit].sum()


def test_drafts_that_are_thrown_away_are_charged():
    where = arena("regenerate")
    rewritten = play(AlwaysLargest(), where.game("test", ("progress",)))
    assert rewritten.ledger[:, 0, DISCARDED].sum() > 0
    assert rewritten.mean_cost > where.reference("test").anchors.cost_large


def test_a_cascade_pays_for_every_answer_that_it_tried():
    where = arena("route")
    cascade = Cascade(where, FrugalJudge())
    small, large = where.reference("test").models
    strictest = cascade.points("test")
    np.testing.assert_allclose(strictest.cost[0], small.cost + large.cost)
    np.testing.assert_allclose(strictest.cost[-1], small.cost)
