"""Prices of closed models, from the table that the ``genai-prices`` package carries (its version dates the table)."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from gym_stepwise_routing.costs.models import Price
from gym_stepwise_routing.errors import PriceError

__all__ = ["api_price"]

_STATE = (
    "allowed: a model of its table, or a price of your own with the day it was read (price: input, cached_input, "
    "output, date, source in a pool file, or costs.models.Price)"
)


def api_price(provider: str, model: str, *, hour: int | None = None) -> Price:
    """What a provider asks for a model today, in US dollars per million tokens.

    Where the price depends on the hour, it is that of ``hour`` (UTC), by default of the present one, for the whole
    bank, and the source names it.

    Where prices have tiers, the lowest tier is taken, and ``up_to`` says up to how many input tokens of a request it
    holds. Where a provider gives no discount on cached input, it costs as much as fresh input.

    Raises:
        ImportError: ``genai-prices`` is missing.
        PriceError: the table has no such provider or model, or no token prices for it; nothing is ever priced at 0.
    """
    try:
        from genai_prices.data_snapshot import get_snapshot
    except ImportError as error:
        raise ImportError("prices by provider need genai-prices: pip install 'gym-stepwise-routing[llm]'") from error
    now = datetime.now(UTC)
    now = now if hour is None else now.replace(hour=hour, minute=0)
    try:
        _, found = get_snapshot().find_provider_model(model, None, provider, None)
    except LookupError as error:
        raise PriceError(
            f"provider={provider!r}, model={model!r}: genai-prices has no such entry ({error}); {_STATE}"
        ) from None
    prices = found.get_prices(now)
    listed = (prices.input_mtok, prices.cache_read_mtok, prices.output_mtok)
    fresh, cached, output = _figures(prices)
    if fresh is None or output is None:
        raise PriceError(
            f"provider={provider!r}, model={model!r}: genai-prices has no price per token for it; {_STATE}"
        )
    hours = {_figures(found.get_prices(now.replace(hour=each))) for each in range(24)}
    at = f", at {now.hour:02}:{now.minute:02} UTC, one of {len(hours)} prices by the hour" if len(hours) > 1 else ""
    return Price(
        input=fresh,
        cached_input=fresh if cached is None else cached,
        output=output,
        date=now.date().isoformat(),
        source=f"genai-prices {metadata.version('genai-prices')}, {provider}/{found.id}{at}",
        up_to=min((tier.start for price in listed for tier in getattr(price, "tiers", ())), default=None),
    )


def _figures(prices: Any) -> tuple[float | None, ...]:
    return tuple(map(_dollars, (prices.input_mtok, prices.cache_read_mtok, prices.output_mtok)))


def _dollars(price: Any) -> float | None:
    """A price, or that of the lowest tier; None where there is none."""
    return None if price is None else float(getattr(price, "base", price))
