"""One answer step by step and at once, by hand, and beside the recorded bank's bills."""

from __future__ import annotations

import numpy as np
import pytest

from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.costs.models import IDEAL_CACHING, Caching, Price
from gym_stepwise_routing.costs.stepwise_bill import stepwise_bill
from studies import billing

PRICE = Price(input=2.0, cached_input=0.5, output=10.0, date="2026-01-01", source="made up")
NONE = Caching(smallest=10**9)


def test_by_hand():
    """Requests of 100, 110 and 120 tokens, of which 0, 110 and 120 were read before."""
    bill = stepwise_bill(PRICE, NONE, prompt_tokens=100, steps=3, step_tokens=10)
    assert bill.whole == pytest.approx((100 * 2 + 30 * 10) / 1e6)
    assert bill.stepwise == pytest.approx((330 * 2 + 30 * 10) / 1e6)
    assert bill.ideal == pytest.approx((100 * 2 + 230 * 0.5 + 30 * 10) / 1e6)
    assert bill.times_ideal == pytest.approx(960 / 615)
    assert bill.times_whole == pytest.approx(960 / 500)


def test_a_shared_head_and_blocks():
    """Of 100, 140 and 180 tokens the blocks of what was read before: 64, 128 and 128."""
    bill = stepwise_bill(PRICE, Caching(block=64), prompt_tokens=100, steps=3, step_tokens=40, shared_tokens=70)
    assert bill.stepwise == pytest.approx(((36 + 12 + 52) * 2 + 320 * 0.5 + 1200) / 1e6)
    assert bill.whole == pytest.approx((36 * 2 + 64 * 0.5 + 1200) / 1e6)


def test_a_free_model_costs_nothing():
    free = Price(input=0.0, cached_input=0.0, output=0.0, date="2026-01-01", source="made up")
    bill = stepwise_bill(free, NONE, prompt_tokens=9, steps=2, step_tokens=3)
    assert (bill.stepwise, bill.times_ideal, bill.times_whole) == (0.0, 1.0, 1.0)


def test_the_mean_answer_of_the_bank_is_billed_about_as_its_answers():
    """The bank's bills are means over answers of all lengths; the bill of the mean answer lies near."""
    pytest.importorskip("genai_prices")
    bank, models = Bank.open(billing.DEFAULT), billing.PAIRS[0]
    source = billing.priced(bank, models)
    game = billing.Game(source, split="test", cost_unit="dollars")
    played = billing.play(billing.AlwaysLargest(), game)
    calls, _, _, kept = played.ledger[:, 1, :4].mean(axis=0)
    prompts = source.describe(game.problems)
    bill = stepwise_bill(
        source.pool[1].price,
        NONE,
        prompt_tokens=round(float(prompts.prompt_tokens[:, 1].mean())),
        steps=round(float(calls)),
        step_tokens=round(float(kept / calls)),
        shared_tokens=int(np.min(prompts.shared_prefix[:, 1])),
    )
    (known,) = (
        b.ratio for b in billing.bills(source, models) if b.caching == "none" and b.router.startswith("always-largest")
    )
    assert bill.times_ideal == pytest.approx(known, rel=0.08)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt_tokens": 0}, "prompt_tokens=0; allowed: an integer >= 1"),
        ({"steps": 0}, "steps=0; allowed"),
        ({"step_tokens": -1}, "step_tokens=-1; allowed"),
        ({"shared_tokens": 101}, "shared_tokens=101; allowed: 0 to prompt_tokens=100"),
        ({"steps": 1000}, "a request of 5095 tokens; allowed: up to 1000"),
    ],
)
def test_numbers_out_of_range_are_refused(changes, message):
    short = Price(input=2.0, cached_input=0.5, output=10.0, date="2026-01-01", source="made up", up_to=1000)
    with pytest.raises(ValueError, match=message):
        stepwise_bill(short, IDEAL_CACHING, **{"prompt_tokens": 100, "steps": 3, "step_tokens": 5} | changes)
