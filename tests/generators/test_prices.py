"""Prices of closed models."""

from __future__ import annotations

import sys

import pytest

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
