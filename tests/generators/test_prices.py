"""Prices of closed models."""

from __future__ import annotations

import sys

import pytest

from gym_stepwise_routing.costs.models import Price
from gym_stepwise_routing.errors import PriceError
from gym_stepwise_routing.generators.generator import GeneratorInfo
from gym_stepwise_routing.generators.prices import api_price
from gym_stepwise_routing.generators.specs import GeneratorSpec, pool_model


def test_a_known_model_has_a_dated_price() -> None:
    pytest.importorskip("genai_prices")
    price = api_price("openai", "gpt-4o-mini")
    assert (price.input, price.cached_input, price.output) == (0.15, 0.075, 0.6)
    assert price.source.startswith("genai-prices ")
    assert len(price.date) == 10


def test_an_unknown_model_is_an_error_never_free() -> None:
    pytest.importorskip("genai_prices")
    with pytest.raises(PriceError, match="no such entry"):
        api_price("openai", "no-such-model-at-all")
    with pytest.raises(PriceError, match="no such entry"):
        api_price("nobody", "gpt-4o-mini")


def test_the_error_of_an_old_model_asks_for_a_stated_price_with_its_date() -> None:
    pytest.importorskip("genai_prices")
    with pytest.raises(PriceError, match=r"a price of your own with the day it was read \(price: .*date, source"):
        api_price("anthropic", "claude-instant-1")


def test_a_tiered_price_says_up_to_where_it_holds() -> None:
    """Above the limit the library prices all tokens of a request anew; cached ones count towards it."""
    genai_prices = pytest.importorskip("genai_prices")
    price = api_price("google", "gemini-2.5-pro")
    assert price.up_to == 200_000
    assert api_price("openai", "gpt-4o-mini").up_to is None

    def listed(fresh: int, cached: int) -> float:
        usage = genai_prices.Usage(input_tokens=fresh + cached, cache_read_tokens=cached, output_tokens=1000)
        return float(genai_prices.calc_price(usage, "gemini-2.5-pro", provider_id="google").total_price)

    def ours(fresh: int, cached: int) -> float:
        return 1e-6 * (fresh * price.input + cached * price.cached_input + 1000 * price.output)

    for fresh, cached in ((200_000, 0), (150_000, 50_000), (1, 199_999)):
        assert ours(fresh, cached) == pytest.approx(listed(fresh, cached), rel=1e-9)
    for fresh, cached in ((200_001, 0), (150_001, 50_000), (1, 200_000)):
        assert listed(fresh, cached) > 1.4 * ours(fresh, cached)


def test_cached_tokens_without_a_price_of_their_own_are_not_free() -> None:
    pytest.importorskip("genai_prices")
    price = api_price("openai", "gpt-4")
    assert price.cached_input == price.input > 0


def test_the_pool_takes_a_stated_price() -> None:
    info = GeneratorInfo("openai 3", "text-davinci-003", None, None, None, 8, None)
    stated = Price(input=20.0, cached_input=20.0, output=20.0, date="2023-06-01", source="the provider's page")
    spec = GeneratorSpec(backend="openai", model="text-davinci-003", price=stated)
    assert pool_model(spec, "davinci", info).price == stated


def test_the_pool_takes_the_price_of_its_provider() -> None:
    pytest.importorskip("genai_prices")
    info = GeneratorInfo("openai 3", "gpt-4o-mini", None, None, None, 8, None)
    spec = GeneratorSpec.parse("openai:gpt-4o-mini,provider=openai")
    model = pool_model(spec, "mini", info)
    assert model.price is not None
    assert model.price.output == 0.6
    assert pool_model(GeneratorSpec.parse("openai:gpt-4o-mini"), "mini", info).price is None


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices.data_snapshot", None)
    with pytest.raises(ImportError, match=r"gym-stepwise-routing\[llm\]"):
        api_price("openai", "gpt-4o-mini")
