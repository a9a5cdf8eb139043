"""P-values against exact enumeration, and the table of certifiable errors."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from gym_stepwise_routing.calibration import (
    certifiable_errors,
    exact_p_value,
    hoeffding_bentkus_p_value,
    p_value,
    required_n,
)
from gym_stepwise_routing.calibration.targets import Accuracy
from gym_stepwise_routing.evaluation.p_values import MOST_ITEMS, Method
from gym_stepwise_routing.evaluation.risk_control import Certified, Risk, certify


def binomial_cdf(k: int, n: int, alpha: Fraction) -> Fraction:
    return sum((math.comb(n, i) * alpha**i * (1 - alpha) ** (n - i) for i in range(k + 1)), Fraction(0))


class TestExact:
    @pytest.mark.parametrize("n", [1, 2, 5, 12])
    @pytest.mark.parametrize("alpha", [Fraction(1, 20), Fraction(1, 10), Fraction(1, 2), Fraction(9, 10)])
    def test_equals_enumeration(self, n: int, alpha: Fraction):
        expected = [float(binomial_cdf(k, n, alpha)) for k in range(n + 1)]
        np.testing.assert_allclose(exact_p_value(np.arange(n + 1), n, float(alpha)), expected, rtol=1e-12)

    @pytest.mark.parametrize("n", [1, 3, 8])
    @pytest.mark.parametrize(("alpha", "risk"), [(0.05, 0.05), (0.05, 0.2), (0.2, 0.2), (0.2, 0.21), (0.2, 0.5)])
    def test_super_uniform_over_all_outcomes(self, n: int, alpha: float, risk: float):
        outcomes = np.array(list(itertools.product([0, 1], repeat=n)))
        probability = np.prod(np.where(outcomes == 1, risk, 1 - risk), axis=1)
        p = exact_p_value(outcomes.sum(axis=1), n, alpha)
        for u in p:
            assert probability[p <= u].sum() <= u + 1e-12

    def test_attained_at_the_boundary(self):
        # The exact test wastes nothing: at u = P(Bin <= k) the probability of p <= u is u itself.
        p = exact_p_value(np.arange(11), 10, 0.2)
        probability = np.array([math.comb(10, k) * 0.2**k * 0.8 ** (10 - k) for k in range(11)])
        np.testing.assert_allclose([probability[p <= u].sum() for u in p], p)


@pytest.mark.parametrize("method", ["exact", "ltt"])
def test_a_count_gives_one_verdict_as_errors_and_as_right_answers(method: Method):
    """Counts stay whole: 1 - 482 / 500 is a hair more than 18 / 500, which a ceiling would make 19 errors."""
    n, delta = 500, 0.1
    assert math.ceil(n * (1 - 482 / n)) == 19
    verdicts = []
    for errors in range(n + 1):
        wrong = np.arange(n) < errors
        right = ~wrong
        as_error_rate = Risk(losses=wrong[None, :], alpha=0.05, method=method)
        as_accuracy = Risk(losses=1.0 - right[None, :], alpha=Accuracy(0.95).alpha, method=method)
        np.testing.assert_allclose(as_accuracy.p_values(), as_error_rate.p_values(), rtol=1e-9)
        pair = {isinstance(certify([risk], delta=delta), Certified) for risk in (as_error_rate, as_accuracy)}
        assert len(pair) == 1, errors
        verdicts.append(pair.pop())
    assert sum(verdicts) == {"exact": 19, "ltt": 17}[method]  # 0 to 18 errors are certified, or 0 to 16
    if method == "exact":
        assert certifiable_errors(n, 0.05, delta) == certifiable_errors(n, Accuracy(0.95).alpha, delta) == 18


class TestHoeffdingBentkus:
    def test_by_hand(self):
        # n = 10, no loss: h1(0, a) = -ln(1 - a), so both parts are powers of 1 - a; Hoeffding's is the smaller.
        assert hoeffding_bentkus_p_value(0, 10, 0.3) == pytest.approx(0.7**10)
        # n = 10, R = .1, alpha = .3.
        hoeffding = math.exp(-10 * (0.1 * math.log(0.1 / 0.3) + 0.9 * math.log(0.9 / 0.7)))
        bentkus = math.e * (0.7**10 + 10 * 0.3 * 0.7**9)
        assert hoeffding_bentkus_p_value(1, 10, 0.3) == pytest.approx(min(hoeffding, bentkus))
        # A fractional sum is rounded up for Bentkus only.
        partial = math.exp(-10 * (0.05 * math.log(0.05 / 0.3) + 0.95 * math.log(0.95 / 0.7)))
        assert hoeffding_bentkus_p_value(0.5, 10, 0.3) == pytest.approx(min(partial, bentkus))

    def test_bentkus_is_the_smaller_part_with_many_items(self):
        n, k, alpha = 1000, 35, 0.05
        bentkus = math.e * float(binomial_cdf(k, n, Fraction(1, 20)))
        assert hoeffding_bentkus_p_value(k, n, alpha) == pytest.approx(bentkus)

    def test_is_one_at_or_above_alpha(self):
        assert hoeffding_bentkus_p_value(3, 10, 0.3) == 1.0
        assert hoeffding_bentkus_p_value(10, 10, 0.3) == 1.0

    @pytest.mark.parametrize("n", [1, 2, 6, 15])
    @pytest.mark.parametrize("alpha", [0.1, 0.3, 0.5])
    @pytest.mark.parametrize("upper", [1.0, 2.5])
    @pytest.mark.parametrize("middle", [0.0, 0.5, 1.0])
    def test_super_uniform_over_all_outcomes_of_three_valued_losses(
        self, n: int, alpha: float, upper: float, middle: float
    ):
        # Losses 0, 1/2 and 1 (times upper) with mean alpha: ``middle`` of the mean sits on the value 1/2.
        weights = {0.5: 2 * middle * alpha, 1.0: (1 - middle) * alpha}
        weights[0.0] = 1 - sum(weights.values())
        assert min(weights.values()) >= 0
        totals, probability = [], []
        for half in range(n + 1):
            for one in range(n + 1 - half):
                zero = n - half - one
                ways = math.factorial(n) // (math.factorial(half) * math.factorial(one) * math.factorial(zero))
                totals.append(upper * (0.5 * half + one))
                probability.append(ways * weights[0.5] ** half * weights[1.0] ** one * weights[0.0] ** zero)
        assert sum(probability) == pytest.approx(1.0)
        p = hoeffding_bentkus_p_value(totals, n, alpha * upper, upper=upper)
        for u in p:
            assert np.array(probability)[p <= u].sum() <= u + 1e-12

    def test_never_below_the_exact_one(self):
        for n, alpha in itertools.product([1, 10, 100, 1000], [0.05, 0.1, 0.5]):
            errors = np.arange(n + 1)
            assert (hoeffding_bentkus_p_value(errors, n, alpha) >= exact_p_value(errors, n, alpha) - 1e-12).all()

    def test_scale_does_not_matter(self):
        np.testing.assert_allclose(
            hoeffding_bentkus_p_value(np.arange(5) * 4.0, 20, 1.2, upper=4.0),
            hoeffding_bentkus_p_value(np.arange(5), 20, 0.3),
        )


class TestSampleSizes:
    @pytest.mark.parametrize(
        ("n", "alpha", "errors"),
        [
            (100, 0.05, 1),
            (200, 0.05, 5),
            (500, 0.05, 18),
            (1000, 0.05, 40),
            (100, 0.10, 5),
            (200, 0.10, 14),
            (500, 0.10, 40),
            (1000, 0.10, 87),
            (44, 0.05, None),
            (45, 0.05, 0),
        ],
    )
    def test_certifiable_errors_at_delta_a_tenth(self, n: int, alpha: float, errors: int | None):
        assert certifiable_errors(n, alpha, 0.1) == errors
        kept = -1 if errors is None else errors
        assert (
            binomial_cdf(kept, n, Fraction(str(alpha)))
            <= Fraction(1, 10)
            < binomial_cdf(kept + 1, n, Fraction(str(alpha)))
        )

    def test_required_n_without_errors_solves_the_power(self):
        assert required_n(0.05, 0.1) == 45 == math.ceil(math.log(0.1) / math.log(0.95))
        assert required_n(0.05, 0.1, method="ltt") == 45

    @pytest.mark.parametrize(
        ("risk", "method"), [(0.0213, "exact"), (0.0213, "ltt"), (0.0387, "exact"), (0.0387, "ltt")]
    )
    def test_required_n_is_the_fewest(self, risk: float, method: str):
        n = required_n(0.05, 0.1, risk=risk, method=method)
        assert n is not None

        def p(items: int) -> float:
            total = math.ceil(items * risk) if method == "exact" else items * risk
            return float(p_value(total, items, 0.05, method=method))

        assert p(n) <= 0.1
        assert all(p(fewer) > 0.1 for fewer in range(1, n))

    def test_required_n_above_a_number(self):
        assert required_n(0.05, 0.1, more_than=100) == 101

    def test_no_number_of_items_helps(self):
        assert required_n(0.05, 0.1, risk=0.05) is None
        assert required_n(0.05, 0.1, risk=0.2, method="ltt") is None

    def test_more_than_the_most(self):
        assert required_n(0.05, 0.1, more_than=MOST_ITEMS) is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: exact_p_value(1, 10, 0.0), "alpha=0"),
        (lambda: exact_p_value(1, 10, 1.0), "alpha=1"),
        (lambda: exact_p_value(11, 10, 0.1), "sum of 10 losses"),
        (lambda: exact_p_value(-1, 10, 0.1), "sum of 10 losses"),
        (lambda: exact_p_value(math.nan, 10, 0.1), "sum of 10 losses"),
        (lambda: exact_p_value(1.5, 10, 0.1), "whole numbers"),
        (lambda: exact_p_value(0, 0, 0.1), "n=0"),
        (lambda: hoeffding_bentkus_p_value(1, 10, 2.0, upper=2.0), "strictly between 0 and 2"),
        (lambda: hoeffding_bentkus_p_value(1, 10, 0.5, upper=math.inf), "finite"),
        (lambda: p_value(1, 10, 0.5, method="exakt"), "allowed: 'exact', 'ltt'"),
        (lambda: p_value(1, 10, 0.5, upper=2.0), r"upper=2\.0"),
        (lambda: certifiable_errors(10, 0.1, 1.5), r"delta=1\.5"),
        (lambda: required_n(0.1, 0.0), r"delta=0\.0"),
        (lambda: required_n(0.1, 0.1, risk=1.1), r"risk=1\.1"),
    ],
)
def test_bad_input_is_named(call: Callable[[], object], message: str):
    with pytest.raises(ValueError, match=message):
        call()
