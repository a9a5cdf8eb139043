"""What the options of a model state of its server: a price, and what the prefix cache serves."""

from __future__ import annotations

from datetime import UTC, datetime

from gym_stepwise_routing.costs.models import Caching, Price

__all__ = ["stated_caching", "stated_price"]


def stated_price(*, listed: bool, **figures: float | None) -> Price | None:
    """The price that options state, None where they state none.

    Args:
        listed: the model has a price already, of a provider or of a pool file.
        figures: ``price_in``, ``price_cached``, ``price_out`` and ``price_cache_write``, None where not stated.

    Raises:
        ValueError: half a price, two prices, or a figure out of its range.
    """
    stated = [name for name, figure in figures.items() if figure is not None]
    if not stated:
        return None
    fresh, cached, output, write = (
        figures[name] for name in ("price_in", "price_cached", "price_out", "price_cache_write")
    )
    if fresh is None or output is None or listed:
        raise ValueError(f"{', '.join(stated)}; allowed: price_in and price_out together, without provider")
    return Price(
        input=fresh,
        cached_input=fresh if cached is None else cached,
        output=output,
        cache_write=write,
        date=datetime.now(UTC).date().isoformat(),
        source="as stated by the options of the model",
    )


def stated_caching(*, block: int, smallest: int, reported: bool) -> Caching:
    """What the prefix cache of a server serves, by the options ``cache_block``, ``cache_smallest``, ``cache_reported``.

    Raises:
        ValueError: a number out of range.
    """
    for name, value, least in (("cache_block", block, 1), ("cache_smallest", smallest, 0)):
        if value < least:
            raise ValueError(f"{name}={value!r}; allowed: an integer >= {least}")
    return Caching(block=block, smallest=smallest, reported=reported)
