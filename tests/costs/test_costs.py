"""Cost units: weights by hand, and no model is ever priced at 0 for want of a figure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fake_sources import fake_pool

from gym_stepwise_routing.costs.ledger import KINDS
from gym_stepwise_routing.costs.models import Latency, Model, ModelPool, Price
from gym_stepwise_routing.costs.units import COST_UNITS, available_units, cost_of, cost_weights, reported_units
from gym_stepwise_routing.errors import PriceError
from gym_stepwise_routing.storage.strict_json import decode, to_json


def test_weights_of_every_unit():
    pool = fake_pool(3, verifier=False)
    sizes = (1.0, 3.0, 5.0)
    columns = dict.fromkeys(KINDS, 0.0)
    by_hand = {
        "large_tokens": lambda s: columns if s < 5 else columns | {"kept": 1, "discarded": 1, "probe": 1},
        "large_calls": lambda s: columns if s < 5 else columns | {"calls": 1},
        "flops": lambda s: columns | dict.fromkeys(("prefill", "kept", "discarded", "probe", "verifier"), 2e9 * s),
        "dollars": lambda s: {
            "calls": 0.0,
            "prefill": 2e-6 * s,
            "cached": 0.5e-6 * s,
            "kept": 7e-6 * s,
            "discarded": 7e-6 * s,
            "probe": 7e-6 * s,
            "verifier": 2e-6 * s,
        },
        "latency": lambda s: {
            "calls": 0.1 * s,
            "prefill": 1e-4 * s,
            "cached": 0.0,
            "kept": 1e-2 * s,
            "discarded": 1e-2 * s,
            "probe": 1e-2 * s,
            "verifier": 1e-4 * s,
        },
    }
    assert set(by_hand) == set(COST_UNITS)
    for unit, row in by_hand.items():
        np.testing.assert_allclose(cost_weights(unit, pool), [list(row(size).values()) for size in sizes], rtol=1e-12)


@pytest.mark.parametrize(
    ("unit", "message"),
    [
        ("flops", "cost_unit='flops': model 'closed' has no parameter count"),
        ("dollars", "cost_unit='dollars': model 'closed' has no price"),
        ("latency", "cost_unit='latency': model 'closed' has no measured latency"),
    ],
)
@pytest.mark.parametrize("as_verifier", [False, True])
def test_a_model_without_the_figure_is_an_error(unit, message, as_verifier):
    known, closed = fake_pool(2, verifier=False).models, Model("closed")
    pool = ModelPool(known, verifier=closed) if as_verifier else ModelPool([*known, closed])
    with pytest.raises(PriceError, match=f"{message}; allowed: 'large_tokens'"):
        cost_weights(unit, pool)
    assert available_units(pool) == ("large_tokens", "large_calls")
    assert reported_units(pool, "large_tokens") == ("large_tokens",)
    assert reported_units(pool, "large_calls") == ("large_tokens", "large_calls")


def test_unknown_unit():
    with pytest.raises(ValueError, match="cost_unit='euros' is not known; allowed: 'flops', 'large_tokens'"):
        cost_weights("euros", fake_pool(2, verifier=False))


def test_cost_of_any_batch_shape():
    pool = fake_pool(2, verifier=True)
    ledger = np.arange(2 * 4 * 3 * len(KINDS)).reshape(2, 4, 3, len(KINDS))
    cost = cost_of(ledger, "flops", pool)
    assert cost.shape == (2, 4)
    assert cost[1, 2] == (ledger[1, 2] * cost_weights("flops", pool)).sum()


@pytest.mark.parametrize("figure", [-1.0, float("nan"), float("inf")])
def test_prices_and_latencies_are_finite_and_not_negative(figure):
    with pytest.raises(ValueError, match=r"Price: output=.*allowed: a finite number >= 0"):
        Price(input=0, cached_input=0, output=figure, date="2026-01-01", source="")
    with pytest.raises(ValueError, match=r"Latency: decode=.*allowed: a finite number >= 0"):
        Latency(prefill=0, decode=figure, overhead=0, source="")


def test_a_limit_that_is_not_stated_is_not_written_so_that_hashes_of_older_files_stay():
    price = Price(input=1, cached_input=0.5, output=2, date="2026-01-01", source="made up")
    limited = replace(price, up_to=200_000)
    assert "up_to" not in to_json(Model("m", price=price))["price"]
    assert to_json(Model("m", price=limited))["price"]["up_to"] == 200_000
    for each in (price, limited):
        assert decode(Price, to_json(each), "a test") == each
    with pytest.raises(ValueError, match="up_to=0; allowed: an integer >= 1"):
        replace(price, up_to=0)
