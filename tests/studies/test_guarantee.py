"""The guarantee, on thousands of random calibration sets of real problems and of a world with a known risk."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from gym_stepwise_routing.baselines import ConfidenceThreshold
from gym_stepwise_routing.calibration import CannotCertify, Risk, certify, control_expectation
from gym_stepwise_routing.evaluation.evaluate import Sweep, sweep, threshold_grid
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.base import ScoringRouter, columns_of
from studies.guarantee import choose, halves, resampled
from studies.shares import Share

DELTA = 0.1
REPETITIONS = 1000


class LaterIsSmaller(ScoringRouter):
    """First steps large, and the sooner small the surer the last step was: a sweep with many steps on real traces."""

    name = "later-is-smaller"

    def bind(self, spec):
        super().bind(spec)
        self._columns = columns_of(spec, "depth", "p_min", "question_tokens")

    def scores(self, observation):
        depth, least, tokens = observation[:, self._columns].T
        return np.clip(0.9 - depth - 0.1 * least + tokens - 0.4, 0, 1)


@pytest.fixture(scope="module")
def played():
    """Every recorded problem: nothing was fitted to any of them."""
    games = [Game(split=split, cost_unit="large_tokens") for split in ("train", "calibration", "test")]
    grid = threshold_grid(LaterIsSmaller(), games[0])
    parts = [sweep(LaterIsSmaller(), game, grid) for game in games]
    return Sweep("rule", grid, np.hstack([p.right for p in parts]), np.hstack([p.cost for p in parts]))


@pytest.mark.parametrize("method", ["exact", "ltt"])
@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.2, 0.3])
@pytest.mark.parametrize("n", [100, 400])
def test_certified_thresholds_keep_the_promise(played, method, alpha, n):
    found = resampled(played, n=n, alpha=alpha, delta=DELTA, method=method, repetitions=REPETITIONS)
    assert found.violations.low <= DELTA, str(found.violations)


def test_the_test_has_power(played):
    """Some violations occur at some level, certificates are not all always-largest, and plain tuning fails."""
    exact = [
        resampled(played, n=400, alpha=alpha, delta=DELTA, method="exact", repetitions=REPETITIONS)
        for alpha in (0.1, 0.2, 0.3)
    ]
    assert max(found.violations.rate for found in exact) > 0.01
    assert all(found.rows.mean() > 0 for found in exact)
    plain = [
        resampled(played, n=400, alpha=alpha, delta=DELTA, method="empirical", repetitions=REPETITIONS)
        for alpha in (0.1, 0.2, 0.3)
    ]
    assert max(found.violations.low for found in plain) > 2 * DELTA


def test_crc_keeps_its_weaker_promise_in_expectation(played):
    for alpha in (0.1, 0.2, 0.3):
        found = resampled(played, n=200, alpha=alpha, delta=DELTA, method="crc", repetitions=REPETITIONS)
        standard_error = found.risk.std() / np.sqrt(REPETITIONS)
        assert found.risk.mean() <= alpha + 3 * standard_error


def test_a_step_just_above_alpha_is_taken_with_probability_close_to_delta():
    """Where the promise is tightest: one threshold whose risk is alpha plus next to nothing."""
    problems, alpha, n = 1000, 0.1, 300
    right = np.ones((2, problems), dtype=bool)
    right[1, : int(alpha * problems) + 1] = False
    toy = Sweep("toy", np.array([0.0, 1.0]), right, np.array([np.ones(problems), np.zeros(problems)]))
    found = resampled(toy, n=n, alpha=alpha, delta=DELTA, method="exact", repetitions=5_000)
    k = int(stats.binom.ppf(DELTA, n, alpha)) - 1
    expected = stats.binom.cdf(k, n, 0.101)
    assert found.violations.low <= expected <= found.violations.high
    assert found.violations.rate > 0.05


def test_drift_breaks_the_promise(played):
    """Only problems that always-smallest fails: the certificate does not cover them, and says so nowhere else."""
    hard = np.where(played.right[-1], 0.05, 1.0)
    broken = [
        resampled(played, n=400, alpha=alpha, delta=DELTA, method="exact", repetitions=1000, drift=hard).violations.low
        for alpha in (0.1, 0.2, 0.3)
    ]
    assert max(broken) > DELTA


def test_random_halves(played):
    found = halves(played, alpha=0.2, delta=DELTA, method="exact", repetitions=1000)
    assert found.rows.shape == found.risk.shape == (1000,)
    assert found.risk.mean() <= 0.2
    assert ((found.cost > 0) & (found.cost < 2)).all()


@pytest.mark.parametrize("method", ["exact", "ltt", "crc", "empirical"])
def test_the_vectorised_choice_is_the_one_of_calibrate(played, method):
    """Sample by sample, against the functions that calibrate() itself calls."""
    rng = np.random.default_rng(1)
    losses = (~played.right & played.right[0]).astype(float)
    for _ in range(25):
        counts = rng.multinomial(150, np.full(losses.shape[1], 1 / losses.shape[1]))
        alpha = float(rng.uniform(0.03, 0.4))
        items = np.repeat(np.arange(losses.shape[1]), counts)
        kept = items[played.right[0, items]]
        sample, cost = losses[:, kept], played.cost[:, items].sum(axis=1)
        shown = np.maximum.accumulate(sample, axis=0) if method == "crc" else sample
        row, accepted = choose(
            shown.sum(axis=1)[None], np.array([len(kept)]), cost[None], alpha=alpha, delta=DELTA, method=method
        )
        if method in ("exact", "ltt"):
            answer = certify([Risk(losses=sample, alpha=alpha, method=method)], delta=DELTA)
        elif method == "crc":
            answer = control_expectation(sample, alpha)
        else:
            answer = np.flatnonzero(sample.mean(axis=1) <= alpha)
        if isinstance(answer, CannotCertify):
            expected = None
        elif method == "crc":
            expected = answer.accepted[-1]
        else:
            rows = np.array(answer.accepted) if method != "empirical" else answer
            expected = rows[np.argmin(cost[rows])]
        assert accepted[0] == (expected is not None)
        assert row[0] == (0 if expected is None else expected)


def test_no_item_that_counts_certifies_nothing():
    toy = Sweep("toy", np.array([0.0, 1.0]), np.array([[True] + [False] * 99, [False] * 100]), np.ones((2, 100)))
    found = resampled(toy, n=1, alpha=0.5, delta=DELTA, method="empirical", repetitions=200)
    assert not found.certified.all()
    assert (found.rows == 0).all()


def test_violations_interval():
    violations = Share.of(np.array([True] * 3 + [False] * 97))
    assert violations.rate == 0.03
    assert violations.low < 0.03 < violations.high
    assert str(violations).startswith("0.030 [")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 0}, "alpha=0"),
        ({"delta": 1}, "delta=1"),
        ({"method": "magic"}, "method='magic'"),
        ({"n": 0}, "n=0"),
        ({"repetitions": 0}, "repetitions=0"),
    ],
)
def test_bad_arguments(played, arguments, message):
    good = {"n": 10, "alpha": 0.1, "delta": 0.1, "method": "exact", "repetitions": 10}
    with pytest.raises(ValueError, match=message):
        resampled(played, **{**good, **arguments})


def test_sweeps_without_always_largest_or_without_anything_to_keep_are_refused():
    game = Game(split="calibration")
    with pytest.raises(ValueError, match="include 0"):
        resampled(sweep(ConfidenceThreshold(), game, [0.5]), n=9, alpha=0.1, delta=0.1, method="exact", repetitions=9)
    hopeless = Sweep("toy", np.array([0.0, 1.0]), np.zeros((2, 5), dtype=bool), np.ones((2, 5)))
    with pytest.raises(ValueError, match="solves none of 5"):
        halves(hopeless, alpha=0.1, delta=0.1, method="exact", repetitions=9)
