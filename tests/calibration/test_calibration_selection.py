"""Fixed-sequence testing and conformal risk control: by hand, and their promises over many random calibration sets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gym_stepwise_routing.calibration import (
    CannotCertify,
    Certified,
    Risk,
    certify,
    control_expectation,
    exact_p_value,
    fixed_sequence,
)


def rows(errors: list[int], n: int) -> np.ndarray:
    """Losses with that many errors in each row."""
    return (np.arange(n)[None, :] < np.array(errors)[:, None]).astype(float)


class TestFixedSequence:
    def test_stops_at_the_first_failure(self):
        assert fixed_sequence([0.01, 0.1, 0.2, 0.01], 0.1) == (0, 1)
        assert fixed_sequence([0.2, 0.0, 0.0], 0.1) == ()
        assert fixed_sequence([0.0, 0.0], 0.1) == (0, 1)

    def test_each_of_several_starts_gets_its_share(self):
        p = [0.06, 0.01, 0.01, 0.06, 0.05, 0.05]
        assert fixed_sequence(p, 0.1, starts=(0, 2, 4)) == (2,)
        assert fixed_sequence(p, 0.1, starts=(1, 4)) == (1, 2, 4, 5)

    def test_nan_is_a_failure(self):
        assert fixed_sequence([0.0, np.nan, 0.0], 0.1) == (0,)

    @pytest.mark.parametrize("starts", [(), (0, 0), (3,), (-1,)])
    def test_bad_starts(self, starts: tuple[int, ...]):
        with pytest.raises(ValueError, match="starts="):
            fixed_sequence([0.0, 0.0, 0.0], 0.1, starts=starts)


class TestCertify:
    def test_accepts_up_to_the_certifiable_errors(self):
        # 18 errors of 500 are the most at alpha = .05, delta = .1; the last row would pass but comes after a failure.
        answer = certify([Risk(losses=rows([0, 10, 18, 19, 3], 500), alpha=0.05)], delta=0.1)
        assert isinstance(answer, Certified)
        assert answer.accepted == (0, 1, 2)
        assert answer.statistics == tuple(exact_p_value([0, 10, 18], 500, 0.05))
        assert (answer.n, answer.delta) == (500, 0.1)

    def test_too_few_items_say_how_many_are_needed(self):
        answer = certify([Risk(losses=rows([0, 1], 30), alpha=0.05)], delta=0.1)
        assert isinstance(answer, CannotCertify)
        assert (answer.n, answer.items_needed) == (30, 45)
        assert "30 items cannot certify risk <= 0.05 at delta=0.1" in answer.reason
        assert "45 items would do" in answer.reason
        assert isinstance(certify([Risk(losses=rows([0, 1], 45), alpha=0.05)], delta=0.1), Certified)

    def test_no_number_of_items_helps_above_the_limit(self):
        answer = certify([Risk(losses=rows([6], 100), alpha=0.05)], delta=0.1)
        assert isinstance(answer, CannotCertify)
        assert answer.items_needed is None
        assert "no number of items would do" in answer.reason

    def test_two_risks_by_the_larger_p_value(self):
        accuracy = Risk(losses=rows([0, 5, 10, 40], 500), alpha=0.05)
        # Cost falls along the sweep: only the last two rows are well below the limit.
        cost = Risk(losses=np.array([[1.0], [0.8], [0.2], [0.1]]) * np.ones((4, 500)), alpha=0.5, method="ltt")
        assert isinstance(certify([accuracy, cost], delta=0.1), CannotCertify)
        answer = certify([accuracy, cost], delta=0.1, starts=(0, 2))
        assert isinstance(answer, Certified)
        assert answer.accepted == (2,)
        assert answer.statistics[0] == max(accuracy.p_values()[2], cost.p_values()[2])

    def test_both_risks_count_for_the_items_needed(self):
        accuracy = Risk(losses=rows([0], 30), alpha=0.05)
        cost = Risk(losses=np.full((1, 30), 0.45), alpha=0.5, method="ltt")
        together = certify([accuracy, cost], delta=0.1)
        alone = certify([cost], delta=0.1)
        assert isinstance(together, CannotCertify)
        assert isinstance(alone, CannotCertify)
        assert together.items_needed == alone.items_needed
        assert together.items_needed is not None
        enough = Risk(losses=np.full((1, together.items_needed), 0.45), alpha=0.5, method="ltt")
        assert isinstance(certify([enough], delta=0.1), Certified)

    def test_a_hopeless_risk_leaves_no_number_of_items(self):
        answer = certify(
            [Risk(losses=rows([0], 30), alpha=0.05), Risk(losses=np.ones((1, 30)), alpha=0.5, method="ltt")], delta=0.1
        )
        assert isinstance(answer, CannotCertify)
        assert answer.items_needed is None


class TestThePromise:
    # Risk rises, dips and rises above alpha along the sweep: not monotone. Rows 3 and 5 break a promise of .1.
    RISKS = np.array([0.0, 0.04, 0.07, 0.11, 0.09, 0.2])
    ALPHA, DELTA, N, DRAWS = 0.1, 0.1, 300, 2000

    def losses(self, seed: int) -> np.ndarray:
        return np.random.default_rng(seed).random((self.DRAWS, self.N)) < self.RISKS[:, None, None]

    @pytest.mark.parametrize("method", ["exact", "ltt"])
    @pytest.mark.parametrize("starts", [(0,), (0, 3)])
    def test_certified_thresholds_break_it_with_probability_at_most_delta(self, method: str, starts: tuple[int, ...]):
        losses = self.losses(1).astype(float)
        broken = accepted = 0
        for draw in range(self.DRAWS):
            answer = certify(
                [Risk(losses=losses[:, draw], alpha=self.ALPHA, method=method)], delta=self.DELTA, starts=starts
            )
            if isinstance(answer, Certified):
                accepted += 1
                broken += bool((self.RISKS[list(answer.accepted)] > self.ALPHA).any())
        assert accepted > 0.5 * self.DRAWS
        assert broken / self.DRAWS <= self.DELTA + 3 * np.sqrt(0.1 * 0.9 / self.DRAWS)

    def test_plain_tuning_breaks_it_more_often(self):
        # Plain tuning takes the cheapest threshold whose mean loss on the calibration items is at most alpha.
        means = self.losses(2)[:4].mean(axis=2)
        chosen = [np.flatnonzero(column <= self.ALPHA)[-1] for column in means.T]
        assert (self.RISKS[chosen] > self.ALPHA).mean() > 2 * self.DELTA

    def test_conformal_risk_control_holds_in_expectation(self):
        # An item may be wrong, right and wrong again along the sweep.
        rng = np.random.default_rng(3)
        n, risks = 60, np.array([0.0, 0.05, 0.03, 0.15, 0.1, 0.4])
        losses = (rng.random((self.DRAWS, len(risks), n + 1)) < risks[:, None]).astype(float)
        losses[:, 0] = 0.0
        realised = []
        for draw in losses:
            answer = control_expectation(draw[:, :n], 0.1)
            assert isinstance(answer, Certified)
            realised.append(draw[answer.accepted[-1], n])
        assert np.mean(realised) <= 0.1 + 3 * np.std(realised) / np.sqrt(self.DRAWS)


class TestConformalRiskControl:
    def test_by_hand(self):
        # n = 9: (errors + 1) / 10 <= .3 for at most 2 errors.
        answer = control_expectation(rows([0, 1, 2, 3, 0], 9), 0.3)
        assert isinstance(answer, Certified)
        assert answer.accepted == (0, 1, 2)
        assert answer.statistics == pytest.approx((0.1, 0.2, 0.3))
        assert answer.delta is None

    def test_the_running_maximum_is_taken_item_by_item(self):
        # One error a row, each on another item: the mean never exceeds 1/9, the running maxima reach 3/9.
        losses = np.eye(9)[:4]
        losses[0] = 0.0
        answer = control_expectation(losses, 0.3)
        assert isinstance(answer, Certified)
        assert answer.accepted == (0, 1, 2)

    def test_bounded_losses(self):
        # Losses up to 2: (total + 2) / 10 <= .5.
        answer = control_expectation(np.array([[0.0] * 9, [0.3] * 9, [0.4] * 9]), 0.5, upper=2.0)
        assert isinstance(answer, Certified)
        assert answer.accepted == (0, 1)

    def test_too_few_items(self):
        answer = control_expectation(rows([0, 0], 18), 0.05)
        assert isinstance(answer, CannotCertify)
        assert answer.items_needed == 19
        assert isinstance(control_expectation(rows([0, 0], 19), 0.05), Certified)

    def test_a_safest_threshold_that_errs_is_refused(self):
        with pytest.raises(ValueError, match=r"above alpha=0\.05"):
            control_expectation(rows([1, 2], 100), 0.05)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Risk(losses=np.zeros((0, 5)), alpha=0.1), "losses has shape"),
        (lambda: Risk(losses=np.zeros((5, 0)), alpha=0.1), "losses has shape"),
        (lambda: Risk(losses=np.zeros(5), alpha=0.1), "losses has shape"),
        (lambda: Risk(losses=np.full((1, 5), 1.5), alpha=0.1, method="ltt"), "reach from 1.5 to 1.5"),
        (lambda: Risk(losses=np.full((1, 5), np.nan), alpha=0.1, method="ltt"), "losses must lie in"),
        (lambda: Risk(losses=np.full((1, 5), 0.5), alpha=0.1), "method='exact' is for losses of 0 and 1"),
        (lambda: Risk(losses=np.zeros((1, 5)), alpha=1.0), "alpha=1"),
        (lambda: Risk(losses=np.zeros((1, 5)), alpha=0.1, method="hoeffding"), "allowed: 'exact', 'ltt'"),
        (lambda: certify([], delta=0.1), "at least one"),
        (
            lambda: certify(
                [Risk(losses=np.zeros((1, 5)), alpha=0.1), Risk(losses=np.zeros((2, 5)), alpha=0.1)], delta=0.1
            ),
            "all at the same thresholds",
        ),
        (lambda: certify([Risk(losses=np.zeros((1, 5)), alpha=0.1)], delta=0.0), "delta=0"),
        (lambda: control_expectation(np.zeros((1, 5)), 0.0), "alpha=0"),
    ],
)
def test_bad_input_is_named(call: Callable[[], object], message: str):
    with pytest.raises(ValueError, match=message):
        call()
