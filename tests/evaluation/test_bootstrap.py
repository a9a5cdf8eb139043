"""The bootstrap against scipy, against a slow reference, and in the cases whose answer is known."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from scipy import stats

from gym_stepwise_routing.evaluation import bootstrap, curves, metrics
from gym_stepwise_routing.evaluation.bootstrap import (
    bootstrap_curve_differences,
    bootstrap_curves,
    bootstrap_difference,
    bootstrap_mean,
    resampled_means,
)
from gym_stepwise_routing.evaluation.outcomes import AnchorOutcomes, SweepOutcomes

METRICS = {
    "apgr": curves.apgr,
    "aiq": curves.aiq,
    "cpt": partial(curves.cpt, x=0.5),
    "accuracy_at": partial(curves.accuracy_at, budget=0.6),
    "cost_at": partial(curves.cost_at, share=0.8),
    "cost_save": curves.cost_save,
}


def simulate(seed: int, *, n: int = 200, points: int = 5, seeds: int | None = None) -> SweepOutcomes:
    """A sweep whose accuracy rises from about .4 to .8 while its cost rises from .2 to 1."""
    rng = np.random.default_rng(seed)
    level = np.linspace(0.0, 1.0, points)[:, None]
    shape = (points, n) if seeds is None else (seeds, points, n)
    return SweepOutcomes(
        right=rng.random(shape) < 0.4 + 0.4 * np.sqrt(level), cost=(0.2 + 0.8 * level) * rng.uniform(0.5, 1.5, shape)
    )


def simulate_anchors(seed: int, *, n: int = 200) -> AnchorOutcomes:
    rng = np.random.default_rng(seed)
    return AnchorOutcomes(
        right_small=rng.random(n) < 0.4,
        cost_small=0.2 * rng.uniform(0.5, 1.5, n),
        right_large=rng.random(n) < 0.8,
        cost_large=rng.uniform(0.5, 1.5, n),
    )


def constant(n: int = 50, *, right_small: bool = False) -> AnchorOutcomes:
    return AnchorOutcomes(
        right_small=np.full(n, right_small), cost_small=np.zeros(n), right_large=np.ones(n), cost_large=np.ones(n)
    )


def scipy_interval(data: tuple[np.ndarray, ...], statistic: Callable[..., float]) -> tuple[float, float]:
    result = stats.bootstrap(
        data,
        statistic,
        paired=len(data) > 1,
        vectorized=False,
        n_resamples=10_000,
        method="percentile",
        rng=np.random.default_rng(7),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def monte_carlo_error(standard_error: float, resamples: int = 10_000) -> float:
    """Four standard errors of the difference of two independent estimates of the 2.5 % quantile of a normal."""
    density = stats.norm.pdf(stats.norm.ppf(0.025)) / standard_error
    return float(4.0 * math.sqrt(2.0 * 0.025 * 0.975 / resamples) / density)


class TestAgainstScipy:
    def test_mean(self):
        values = np.random.default_rng(1).gamma(2.0, size=150)
        found = bootstrap_mean(values)
        low, high = scipy_interval((values,), np.mean)
        tolerance = monte_carlo_error(values.std() / math.sqrt(150))
        assert found.estimate == pytest.approx(values.mean())
        assert found.low == pytest.approx(low, abs=tolerance)
        assert found.high == pytest.approx(high, abs=tolerance)
        assert (found.n, found.resamples, found.level, found.undefined) == (150, 10_000, 0.95, 0)

    def test_half_right_is_symmetric_and_errors_mirror_right_answers(self):
        """Resampled means tie with the estimate often; a bias correction that counts ties as above moves both ends."""
        right = np.repeat([1.0, 0.0], 10)
        found, errors = bootstrap_mean(right), bootstrap_mean(1 - right)
        assert (found.low, found.high) == pytest.approx((0.3, 0.7))
        assert (errors.low, errors.high) == pytest.approx((1 - found.high, 1 - found.low))
        easy = np.repeat([1.0, 0.0], [18, 2])
        found, errors = bootstrap_mean(easy), bootstrap_mean(1 - easy)
        assert (errors.low, errors.high) == pytest.approx((1 - found.high, 1 - found.low))

    def test_paired_difference(self):
        rng = np.random.default_rng(2)
        first = rng.normal(size=150)
        second = first + 0.1 * rng.normal(size=150)
        found = bootstrap_difference(first, second)
        low, high = scipy_interval((first, second), lambda x, y: x.mean() - y.mean())
        tolerance = monte_carlo_error((first - second).std() / math.sqrt(150))
        assert found.estimate == pytest.approx(first.mean() - second.mean())
        assert found.low == pytest.approx(low, abs=tolerance)
        assert found.high == pytest.approx(high, abs=tolerance)

    def test_apgr(self):
        sweep, anchors = simulate(3), simulate_anchors(3)
        found = bootstrap_curves(sweep, anchors, {"apgr": curves.apgr})["apgr"]
        assert found is not None
        rows = np.concatenate([anchors.rows(), np.asarray(sweep.right, dtype=float), sweep.cost])

        def slow(*columns: np.ndarray) -> float:
            return scalar_metrics(np.array([column.mean() for column in columns]), ["apgr"])["apgr"]

        result = stats.bootstrap(
            tuple(rows),
            slow,
            paired=True,
            vectorized=False,
            n_resamples=2_000,
            method="percentile",
            rng=np.random.default_rng(7),
        )
        tolerance = monte_carlo_error(float(result.standard_error), 2_000)
        assert found.estimate == pytest.approx(slow(*rows))
        assert found.low == pytest.approx(result.confidence_interval.low, abs=tolerance)
        assert found.high == pytest.approx(result.confidence_interval.high, abs=tolerance)


def scalar_metrics(means: np.ndarray, names: list[str]) -> dict[str, float | None]:
    """The metrics of one resample by the scalar functions; ``means`` as ``bootstrap`` stacks its rows."""
    anchors = metrics.Anchors(
        accuracy_small=means[0], cost_small=means[1], accuracy_large=means[2], cost_large=means[3]
    )
    accuracies, costs = means[4:].reshape(2, -1)
    functions: dict[str, Callable[..., float | None]] = {
        "apgr": metrics.apgr,
        "aiq": metrics.aiq,
        "cpt": partial(metrics.cpt, x=0.5),
        "accuracy_at": partial(metrics.accuracy_at, budget=0.6),
        "cost_at": partial(metrics.cost_at, share=0.8),
        "cost_save": metrics.cost_save,
    }
    return {name: functions[name](costs, accuracies, anchors) for name in names}


@pytest.mark.parametrize("name", METRICS)
def test_batched_metrics_equal_the_scalar_ones(name: str):
    rng = np.random.default_rng(4)
    # Coarse values make ties, undefined anchors and unreached targets common.
    means = rng.integers(0, 5, size=(14, 400)) / 4
    anchors = metrics.Anchors(
        accuracy_small=means[0], cost_small=means[1], accuracy_large=means[2], cost_large=means[3]
    )
    batched = METRICS[name](curves.Curves(accuracies=means[4:9], costs=means[9:], anchors=anchors))
    expected = [scalar_metrics(column, [name])[name] for column in means.T]
    assert 0 < expected.count(None) < 400
    for found, scalar in zip(batched, expected, strict=True):
        if scalar is None:
            assert not np.isfinite(found)
        else:
            assert found == pytest.approx(scalar, abs=1e-12)


class TestPairing:
    def test_a_router_against_itself(self):
        values = np.random.default_rng(5).random(100)
        found = bootstrap_difference(values, values)
        assert (found.estimate, found.low, found.high) == (0.0, 0.0, 0.0)
        sweep = simulate(5)
        compared = {name: METRICS[name] for name in ("apgr", "aiq", "accuracy_at")}
        for interval in bootstrap_curve_differences(sweep, sweep, simulate_anchors(5), compared).values():
            assert interval is not None
            assert (interval.estimate, interval.low, interval.high) == (0.0, 0.0, 0.0)

    def test_a_constant_advantage_on_every_problem_is_certain(self):
        values = np.random.default_rng(6).random(100)
        found = bootstrap_difference(values + 0.25, values)
        assert found.low == pytest.approx(0.25)
        assert found.high == pytest.approx(0.25)

    def test_sweeps_of_different_sizes_and_seeds(self):
        better = SweepOutcomes(right=np.ones((3, 2, 200)), cost=np.full((3, 2, 200), 0.3))
        interval = bootstrap_curve_differences(better, simulate(8), simulate_anchors(8), METRICS)["apgr"]
        assert interval is not None
        assert 0.0 < interval.low < interval.estimate < interval.high


class TestSeeds:
    def test_only_the_seeds_vary(self):
        # Each seed's value is the same on every problem, so only the draw of seeds moves the mean.
        levels = np.array([0.2, 0.5, 0.6, 0.9])
        found = bootstrap_mean(np.repeat(levels[:, None], 50, axis=1), resamples=20_000)
        means = [np.mean(draw) for draw in np.stack(np.meshgrid(*[levels] * 4)).reshape(4, -1).T]
        assert found.estimate == pytest.approx(0.55)
        assert found.low == pytest.approx(np.quantile(means, 0.025), abs=0.03)
        assert found.high == pytest.approx(np.quantile(means, 0.975), abs=0.03)

    def test_equal_seeds_add_nothing(self):
        values = np.random.default_rng(9).random(100)
        one, three = bootstrap_mean(values), bootstrap_mean(np.stack([values] * 3))
        assert (one.low, one.high) == (pytest.approx(three.low), pytest.approx(three.high))

    def test_curves_average_the_metric_over_seeds(self):
        sweep, anchors = simulate(10, seeds=3), simulate_anchors(10)
        all_seeds = bootstrap_curves(sweep, anchors, {"apgr": curves.apgr})["apgr"]
        singles = [
            bootstrap_curves(
                SweepOutcomes(right=np.asarray(sweep.right)[s], cost=np.asarray(sweep.cost)[s]),
                anchors,
                {"apgr": curves.apgr},
            )["apgr"]
            for s in range(3)
        ]
        assert all_seeds is not None
        assert all_seeds.estimate == pytest.approx(np.mean([one.estimate for one in singles if one is not None]))


class TestUndefinedAndUnreached:
    def test_unreached_in_some_resamples_gives_an_infinite_limit(self):
        # One threshold that recovers half the gap in about half of the resamples.
        sweep = SweepOutcomes(right=(np.arange(50) % 2 == 0)[None], cost=np.full((1, 50), 0.3))
        interval = bootstrap_curves(sweep, constant(), {"cpt": partial(curves.cpt, x=0.5)})["cpt"]
        assert interval is not None
        assert interval.estimate == pytest.approx(0.3)
        assert (interval.low, interval.high, interval.undefined) == (pytest.approx(0.3), math.inf, 0)
        assert (interval.estimate, interval.low, interval.high) == (pytest.approx(0.3), pytest.approx(0.3), math.inf)

    def test_undefined_on_the_data(self):
        sweep = SweepOutcomes(right=np.ones((1, 50)), cost=np.ones((1, 50)))
        assert bootstrap_curves(sweep, constant(right_small=True), {"apgr": curves.apgr}) == {"apgr": None}

    def test_undefined_resamples_are_counted(self):
        # The anchors differ on one problem of 50, which a resample misses with probability .98**50 = .364.
        anchors = AnchorOutcomes(
            right_small=np.zeros(50), cost_small=np.zeros(50), right_large=np.arange(50) == 0, cost_large=np.ones(50)
        )
        sweep = SweepOutcomes(right=np.zeros((1, 50)), cost=np.full((1, 50), 0.5))
        interval = bootstrap_curves(sweep, anchors, {"apgr": curves.apgr})["apgr"]
        assert interval is not None
        assert interval.undefined == pytest.approx(0.98**50 * 10_000, abs=250)
        assert interval.estimate == interval.low == interval.high == pytest.approx(0.25)

    def test_both_unreached_have_no_difference(self):
        sweep = SweepOutcomes(right=np.zeros((1, 50)), cost=np.full((1, 50), 0.3))
        cpt = {"cpt": partial(curves.cpt, x=0.5)}
        assert bootstrap_curve_differences(sweep, sweep, constant(), cpt) == {"cpt": None}


def test_coverage_of_the_mean():
    rng = np.random.default_rng(11)
    samples = rng.random((400, 200)) < 0.7
    intervals = [bootstrap_mean(sample, resamples=500, rng=rng) for sample in samples]
    covered = sum(interval.low <= 0.7 <= interval.high for interval in intervals)
    # Four standard errors around .94, the exact coverage being a little under the nominal .95 at n = 200.
    assert covered / 400 == pytest.approx(0.94, abs=0.045)


def test_same_seed_same_interval():
    values = np.random.default_rng(12).random(60)
    assert bootstrap_mean(values, rng=3) == bootstrap_mean(values, rng=np.random.default_rng(3))
    assert bootstrap_mean(values, rng=3) != bootstrap_mean(values, rng=4)


def test_an_interval_does_not_depend_on_the_other_metrics():
    sweep, anchors = simulate(13, seeds=3), simulate_anchors(13)
    alone = bootstrap_curves(sweep, anchors, {"cost_save": curves.cost_save}, resamples=500)
    assert bootstrap_curves(sweep, anchors, METRICS, resamples=500)["cost_save"] == alone["cost_save"]


def test_level_widens_the_interval():
    values = np.random.default_rng(14).random(60)
    narrow, wide = bootstrap_mean(values, level=0.5), bootstrap_mean(values, level=0.99)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_imports_without_scipy():
    code = "import sys; sys.modules['scipy'] = None; import gym_stepwise_routing.evaluation.bootstrap"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap_mean([]), "values has shape"),
        (lambda: bootstrap_mean([1.0]), ">= 2 problems"),
        (lambda: bootstrap_mean([1.0, np.nan]), "not finite"),
        (lambda: bootstrap_mean([1.0, 2.0], resamples=99), "resamples=99"),
        (lambda: bootstrap_mean([1.0, 2.0], level=1.0), r"level=1\.0"),
        (lambda: bootstrap_difference([1.0, 2.0], [1.0, 2.0, 3.0]), "2 and 3 problems"),
        (lambda: bootstrap_curves(simulate(0, n=20), constant(), METRICS), "50 and 20 problems"),
        (lambda: SweepOutcomes(right=np.ones((2, 5)), cost=np.ones((3, 5))).rows(), "must be equal"),
        (lambda: SweepOutcomes(right=2 * np.ones((2, 5)), cost=np.ones((2, 5))).rows(), "right holds values outside"),
        (lambda: SweepOutcomes(right=np.ones((2, 5)), cost=-np.ones((2, 5))).rows(), "cost holds values outside"),
        (
            lambda: AnchorOutcomes(
                right_small=np.ones(3), cost_small=np.ones(3), right_large=np.ones(3), cost_large=np.ones(4)
            ).rows(),
            "as many",
        ),
    ],
)
def test_bad_input_is_named(call: Callable[[], object], message: str):
    with pytest.raises(ValueError, match=message):
        call()


def test_every_problem_is_drawn_as_often_as_every_other():
    means = resampled_means(np.eye(20), 4000, np.random.default_rng(0))
    shares = means.mean(axis=1)  # of a problem among the draws: 0.05, standard error 0.0008
    np.testing.assert_allclose(shares, 0.05, atol=0.004)


def test_resamples_that_are_kept_are_those_that_would_be_drawn(monkeypatch):
    rows = np.random.default_rng(3).random((2, 300))
    runs = []
    for kept in (2**23, 0):
        monkeypatch.setattr(bootstrap, "_KEPT", kept)
        rng = np.random.default_rng(7)
        runs.append([resampled_means(rows, 500, rng), resampled_means(rows[::-1], 500, rng), rng.random(3)])
        again = np.random.default_rng(7)
        runs[-1] += [resampled_means(rows, 500, again), again.random(3)]
    for kept, drawn in zip(*runs, strict=True):
        np.testing.assert_array_equal(kept, drawn)
    np.testing.assert_array_equal(runs[0][0], runs[0][3])
    assert (runs[0][0] != runs[0][1][::-1]).any()
