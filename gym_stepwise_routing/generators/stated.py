"""What the options of a model state of its server: a price, and what the prefix cache serves."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gym_stepwise_routing.costs.models import Caching, Price

if TYPE_CHECKING:
    from gym_stepwise_routing.generators.specs import GeneratorSpec

__all__ = ["stated_caching", "stated_price"]


def stated_price(spec: GeneratorSpec) -> Price | None:
    """The price that the options of a model state, None where they state none.

    Raises:
        ValueError: half a price, two prices, or a figure out of its range.
    """
    stated = [
        name
        for name in ("price_in", "price_cached", "price_out", "price_cache_write")
        if getattr(spec, name) is not None
    ]
    if spec.tokens_per_second is not None and not spec.tokens_per_second > 0:
        raise ValueError(f"tokens_per_second={spec.tokens_per_second!r}; allowed: a number > 0")
    if spec.hour is not None and (not 0 <= spec.hour <= 23 or spec.provider is None):
        raise ValueError(f"hour={spec.hour!r}; allowed: 0 to 23, with provider=...")
    if not stated:
        return None
    if spec.price_in is None or spec.price_out is None or spec.provider is not None or spec.price is not None:
        raise ValueError(f"{', '.join(stated)}; allowed: price_in and price_out together, without provider")
    fresh, cached = spec.price_in, spec.price_in if spec.price_cached is None else spec.price_cached
    return Price(
        input=fresh,
        cached_input=cached,
        output=spec.price_out,
        cache_write=spec.price_cache_write,
        date=datetime.now(UTC).date().isoformat(),
        source="as stated by the options of the model",
    )


def stated_caching(spec: GeneratorSpec) -> Caching:
    """What the prefix cache of the model's server serves; ideal if the options say nothing.

    Raises:
        ValueError: a number out of range.
    """
    for name, least in (("cache_block", 1), ("cache_smallest", 0)):
        value = getattr(spec, name)
        if not isinstance(value, int) or value < least:
            raise ValueError(f"{name}={value!r}; allowed: an integer >= {least}")
    return Caching(block=spec.cache_block, smallest=spec.cache_smallest, reported=spec.cache_reported)
