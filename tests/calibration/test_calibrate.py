"""The calibration wrapper on the bundled bank: certificates, refusals and bad input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from gym_stepwise_routing.baselines import AlwaysLargest, AlwaysSmallest, ConfidenceThreshold, FirstKLarge
from gym_stepwise_routing.calibration import Accuracy, CostLimit, RelativeAccuracy, calibrate
from gym_stepwise_routing.evaluation.evaluate import play, sweep
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.base import ALWAYS_SMALLEST, ScoringRouter, ThresholdRouter, columns_of
from gym_stepwise_routing.sources.simulator import SimulatorSource


def game(split="calibration", **arguments):
    return Game("gsm8k-qwen2.5-coder", split=split, mode="regenerate", cost_unit="large_tokens", **arguments)


def test_exact_certificate_is_the_cheapest_prefix_of_accepted_thresholds():
    calibration = game()
    router = calibrate(ConfidenceThreshold("p_min"), calibration, target=RelativeAccuracy(0.7), delta=0.2)
    outcome = sweep(ConfidenceThreshold("p_min"), calibration, np.linspace(0, 1, 201))
    solved = outcome.right[0]
    errors = (~outcome.right[:, solved]).sum(axis=1)
    p_values = stats.binom.cdf(errors, solved.sum(), 0.3)
    accepted = int(np.argmax(p_values > 0.2))  # rows before the first failure
    cheapest = int(np.argmin(outcome.cost.mean(axis=1)[:accepted]))
    certificate = router.certificate
    assert certificate.certified
    assert certificate.threshold == pytest.approx(outcome.thresholds[cheapest])
    assert certificate.n == (int(solved.sum()),)
    assert certificate.risk[0] == pytest.approx(errors[cheapest] / solved.sum())
    assert certificate.k == (errors[cheapest],)
    assert certificate.split_hash == calibration.split_hash != game("train").split_hash
    assert play(router, game("test")).mean_cost < play(AlwaysLargest(), game("test")).mean_cost


def test_cannot_certify_is_an_answer_with_the_items_needed():
    certificate = calibrate(ConfidenceThreshold("p_min"), game(), target=RelativeAccuracy(0.999), delta=0.1).certificate
    assert not certificate.certified
    assert certificate.threshold == 0
    assert certificate.items_needed == 2302  # the least n with 0.999^n <= 0.1
    assert "2302" in certificate.promise


def test_empirical_is_never_called_certified():
    router = calibrate(ConfidenceThreshold("p_min"), game(), target=RelativeAccuracy(0.9), method="empirical")
    assert not router.certificate.certified
    assert router.certificate.delta is None
    assert router.certificate.risk[0] <= 0.1 + 1e-12
    assert router.certificate.threshold > 0


def test_cost_limit_alone_takes_the_most_accurate_threshold_within_it():
    rule, grid = ConfidenceThreshold("p_min"), np.append(np.linspace(0, 1, 201), 2.0)
    router = calibrate(rule, game(), target=CostLimit(0.5), method="empirical", thresholds=grid)
    outcome = sweep(rule, game(), grid)
    unit = game().normaliser / game("train").normaliser  # a limit is in units of always-largest on the train split
    affordable = outcome.cost.mean(axis=1) * unit <= 0.5
    best = outcome.right.mean(axis=1)[affordable].max()
    assert play(router, game()).accuracy == pytest.approx(best)
    assert play(router, game()).mean_cost * unit <= 0.5


def test_the_safest_threshold_for_a_cost_limit_alone_is_always_smallest():
    """Scores of exactly 1 exist, such as that of a margin of 0: the threshold 1 lets them pass."""
    rule, target = ConfidenceThreshold("margin_min"), CostLimit(0.1)
    at_one = play(ThresholdRouter(rule, 1.0), game())
    assert at_one.mean_cost > 0.1
    certificate = calibrate(rule, game(), target=target, method="empirical").certificate
    assert certificate.threshold == ALWAYS_SMALLEST
    assert certificate.risk == (play(AlwaysSmallest(), game()).mean_cost,) == (0.0,)
    with pytest.raises(ValueError, match=r"thresholds end at 1; allowed.* include one above 1"):
        calibrate(rule, game(), target=target, method="empirical", thresholds=np.linspace(0, 1, 11))
    own = np.append(np.linspace(0, 1, 11), 2.0)
    assert calibrate(rule, game(), target=target, method="empirical", thresholds=own).certificate.threshold == 2


def test_accuracy_and_cost_are_promised_together():
    targets = (RelativeAccuracy(0.3), CostLimit(0.95, upper=4.0))
    certificate = calibrate(ConfidenceThreshold("p_min"), game(), target=targets, delta=0.4, method="ltt").certificate
    assert len(certificate.alpha) == len(certificate.n) == len(certificate.risk) == 2
    assert certificate.n[0] < certificate.n[1]  # only problems that always-largest solves count for the first
    assert certificate.certified
    assert certificate.risk[0] <= 0.7
    assert certificate.risk[1] <= 0.95


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"delta": 0}, "delta=0"),
        ({"delta": float("nan")}, "delta=nan"),
        ({"method": "magic"}, "method='magic'"),
        ({"target": ()}, "target=()"),
        ({"thresholds": [0.5, 0.7]}, "include 0"),
        ({"target": CostLimit(0.5)}, "method='exact'"),
        ({"target": CostLimit(0.5), "method": "ltt"}, "upper=None"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(").replace(")", r"\)")):
        calibrate(ConfidenceThreshold("p_min"), game(), **{"target": RelativeAccuracy(0.9), **arguments})


@pytest.mark.parametrize("bad", [0, 1, -0.1, 1.5, float("nan")])
@pytest.mark.parametrize("target", [RelativeAccuracy, Accuracy])
def test_bad_shares(target, bad):
    with pytest.raises(ValueError, match="between 0 and 1"):
        target(bad)


@pytest.mark.parametrize("arguments", [(0,), (-1,), (float("inf"),), (0.5, 0.4), (0.5, float("inf"))])
def test_bad_cost_limits(arguments):
    with pytest.raises(ValueError, match="CostLimit"):
        CostLimit(*arguments)


class MostWantMiddle(ScoringRouter):
    """For three models: the less sure a step was, the larger; the largest is wanted half as much as the middle one."""

    name = "most-want-middle"

    def bind(self, spec):
        super().bind(spec)
        (self._column,) = columns_of(spec, "p_min")

    def scores(self, observation):
        wanted = 1 - observation[:, self._column]
        return np.stack([wanted, wanted / 2], axis=1)


def test_three_models_share_one_threshold():
    three = Game(SimulatorSource("math-qwen2.5-3", problems=2500), split="calibration", cost_unit="large_tokens")
    ends = [play(router, three).accuracy for router in (AlwaysSmallest(), AlwaysLargest())]
    floor = float(np.mean(ends))
    router = calibrate(MostWantMiddle(), three, target=Accuracy(floor), thresholds=np.linspace(0, 0.5, 6))
    assert router.certificate.certified
    assert router.certificate.threshold > 0
    again = play(router, three, seed=1)
    assert set(np.unique(again.decisions[again.decisions >= 0])) == {0, 1, 2}
    assert again.accuracy >= floor - 0.04  # other steps and answers: two samples of 2,500


@pytest.mark.parametrize("target", [RelativeAccuracy(0.9), (CostLimit(0.5, upper=4.0), RelativeAccuracy(0.9))])
def test_relative_accuracy_is_refused_where_a_hard_budget_cuts_always_largest_off(target):
    """Always-largest within the budget solves less, so that a share of *that* would be promised."""
    cut_off = game(budget=0.7, hard_budget=True)
    assert play(AlwaysLargest(), cut_off).accuracy < play(AlwaysLargest(), game()).accuracy - 0.1
    with pytest.raises(ValueError, match=r"RelativeAccuracy\(share=0\.9\) with hard_budget=True"):
        calibrate(ConfidenceThreshold("p_min"), cut_off, target=target, method="ltt")
    calibrate(ConfidenceThreshold("p_min"), cut_off, target=Accuracy(0.2))
    calibrate(ConfidenceThreshold("p_min"), game(budget=0.7), target=RelativeAccuracy(0.9))


def test_the_last_step_overshoots_a_hard_budget_which_alone_bounds_no_cost():
    cut_off = game(budget=0.7, hard_budget=True)
    table = cut_off.table
    steps = np.where(table.child >= 0, table.cost[table.child] - table.cost[:, None], 0.0)
    unit = cut_off.normaliser / game("train").normaliser  # budgets are in the game's units, losses in those of train
    bound = (0.7 + float(steps.max())) * unit
    arguments = {"method": "ltt", "delta": 0.5}
    with pytest.raises(ValueError, match=r"losses must lie in \[0, upper=0\.7\]; they reach from .* to 2\.7"):
        calibrate(ConfidenceThreshold("p_min"), cut_off, target=CostLimit(0.6, upper=0.7), **arguments)
    for threshold in (0, 0.3, 2):
        assert play(ThresholdRouter(ConfidenceThreshold("p_min"), threshold), cut_off).cost.max() * unit <= bound
    calibrate(ConfidenceThreshold("p_min"), cut_off, target=CostLimit(0.6, upper=bound), **arguments)


def test_the_test_split_is_refused():
    with pytest.raises(ValueError, match="shares 400 problems with 'test'"):
        calibrate(ConfidenceThreshold("p_min"), game("test"), target=RelativeAccuracy(0.9))


def test_a_router_without_scores_is_refused():
    with pytest.raises(ValueError, match="has no scores"):
        calibrate(FirstKLarge(2), game(), target=RelativeAccuracy(0.9))
