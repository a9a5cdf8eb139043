"""What stepwise play is billed by APIs with other prefix caches than the ideal one: ``python -m studies.billing``.

A calculation: the recorded steps of a bank, at the prices of two models of a provider. The ledger's requests are also
priced one by one by ``genai-prices``, and both have to agree.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import genai_prices
import numpy as np
import typer

from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.baselines import AlwaysLargest, EveryOther, FirstKLarge
from gym_stepwise_routing.costs.ledger import CACHED, DISCARDED, KEPT, PREFILL
from gym_stepwise_routing.costs.models import IDEAL_CACHING, Caching, ModelPool
from gym_stepwise_routing.costs.units import cost_of
from gym_stepwise_routing.evaluation.evaluate import Evaluation, play
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.generators.prices import api_price
from gym_stepwise_routing.reporting import Page, Table, write_page
from gym_stepwise_routing.routers.base import Predicts
from gym_stepwise_routing.sources.cached import cached_by
from gym_stepwise_routing.sources.recorded import BankSource
from studies.options import DEFAULT, BankOption, OutOption, command_of, described, page_name

__all__ = ["CACHINGS", "PAIRS", "main"]

COMMAND = "python -m studies.billing"
CACHINGS = {
    "ideal": IDEAL_CACHING,
    "blocks of 128, from 1,024 tokens": Caching(block=128, smallest=1024),
    "none": Caching(smallest=10**9),
}
"""Ideal; OpenAI's, by its guide to prompt caching; and none at all."""


PROVIDER = "openai"
PAIRS = (("gpt-4o-mini", "gpt-4o"), ("gpt-5-mini", "gpt-5"))
"""Small and large model; cached input costs half of fresh input with the first two, a tenth with the others."""


@dataclass(frozen=True, slots=True)
class Bill:
    """What a router costs under a caching: dollars a thousand problems, and relative to the ideal caching."""

    models: tuple[str, str]
    router: str
    caching: str
    dollars: float
    ratio: float
    cached: float
    """Share of the input tokens that the caches serve."""


def routers(horizon: int) -> dict[str, Predicts]:
    """Whose bills are compared."""
    return {
        "always-largest, step by step": AlwaysLargest(),
        "first three steps large": FirstKLarge(min(3, horizon)),
        "one large, one small": EveryOther(1),
    }


def priced(bank: Bank, models: tuple[str, str]) -> BankSource:
    """The bank with the prices of two models of the provider.

    Raises:
        ValueError: another number of models in the bank.
    """
    source = BankSource(bank)
    if len(source.pool) != len(models):
        raise ValueError(f"bank={bank.name!r} with {len(source.pool)} models; allowed: {len(models)}")
    prices = [api_price(PROVIDER, model) for model in models]
    source.pool = ModelPool([replace(m, price=p) for m, p in zip(source.pool.models, prices, strict=True)])
    return source


def listed(played: Evaluation, models: tuple[str, str]) -> float:
    """Dollars by ``genai-prices`` of what a ledger counts, model by model; right where no price has tiers."""
    total = 0.0
    for model, row in zip(models, played.ledger.sum(axis=0), strict=False):
        usage = genai_prices.Usage(
            input_tokens=int(row[PREFILL] + row[CACHED]),
            cache_read_tokens=int(row[CACHED]),
            output_tokens=int(row[[KEPT, DISCARDED]].sum()),
        )
        total += float(genai_prices.calc_price(usage, model, provider_id=PROVIDER).total_price)
    return total


def bills(source: BankSource, models: tuple[str, str]) -> list[Bill]:
    """Every router under every caching, on the test problems.

    Raises:
        ValueError: the ledger's dollars are not those of ``genai-prices``.
    """
    found = []
    for name, router in routers(source.horizon).items():
        ideal = 0.0
        for caching, rule in CACHINGS.items():
            game = Game(cached_by(source, rule), split="test", cost_unit="dollars")
            played = play(router, game)
            dollars = float(cost_of(played.ledger, "dollars", game.source.pool).sum())
            if not np.isclose(dollars, by_list := listed(played, models), rtol=1e-9):
                raise ValueError(f"{name}, {caching}: {dollars} dollars by the ledger, {by_list} by genai-prices")
            ideal = ideal or dollars
            inputs = played.ledger[:, :, [PREFILL, CACHED]].sum(axis=(0, 1))
            share = float(inputs[1] / inputs.sum())
            found.append(Bill(models, name, caching, 1000 * dollars / len(played), dollars / ideal, share))
    return found


def main(bank: BankOption = DEFAULT, out: OutOption = Path("docs/results/baselines")) -> None:
    """Price recorded play under several caches and write a page."""
    out.mkdir(parents=True, exist_ok=True)
    opened = Bank.open(bank)
    sources = {models: priced(opened, models) for models in PAIRS}
    found = [bill for models, source in sources.items() for bill in bills(source, models)]
    dates = {model.price.date for source in sources.values() for model in source.pool if model.price is not None}
    columns = ("router", "caching", "$ / 1,000 problems", "times ideal", "of the input cached")
    tables = [
        Table(
            f"Prices of {' and '.join(models)}",
            columns,
            tuple(
                (b.router, b.caching, f"{b.dollars:.2f}", f"{b.ratio:.2f}", f"{b.cached:.0%}")
                for b in found
                if b.models == models
            ),
        )
        for models in PAIRS
    ]
    page = Page(
        title="What stepwise play is billed",
        command=command_of(COMMAND, main, bank=bank),
        setting=(
            described(opened, "dollars"),
            f"A calculation, no bill: steps and token counts of the bank's models, prices of {PROVIDER}'s "
            f"(genai-prices {metadata.version('genai-prices')}, {', '.join(sorted(dates))}). Test problems, mode "
            "route. The dollars of every ledger agree with genai-prices.",
        ),
        tables=tuple(tables),
        numbers=found,
        simulated=opened.manifest.simulated,
    )
    write_page(page, out, page_name("billing", opened.name))


if __name__ == "__main__":
    typer.run(main)
