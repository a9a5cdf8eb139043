"""What pools of two models could save at most, and what routers have reached of it: ``python -m studies.pools``.

Reads the comparisons that ``python -m studies.baselines.pages`` has written, and plays the single models on the same
test problems.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from gym_stepwise_routing.baselines.constant import AlwaysLargest, AlwaysSmallest
from gym_stepwise_routing.evaluation.evaluate import play
from gym_stepwise_routing.evaluation.pool_value import PoolValue, pool_value
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.reporting import Page, Table, span_text, write_page
from gym_stepwise_routing.routers.families import GROUPS, ROUTERS
from gym_stepwise_routing.sources import resolve
from studies.baselines.pages import SETTINGS, Setting
from studies.options import OutOption

__all__ = ["PoolRow", "main", "measured"]

COMMAND = "python -m studies.pools"
KEEP = 0.95
REFERENCES = (GROUPS[0], GROUPS[-1])
"""Groups of routers that need no skill, or that know the future: constants and bounds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRow:
    """A pool on a page of comparisons.

    Attributes:
        page: name of that page.
        models: smaller and larger model.
        unit: cost unit.
        n: test problems.
        small: share that the smaller model solves alone.
        large: share that the larger one solves.
        both: share that both solve.
        small_cost: mean cost of the smaller one, in multiples of the larger one's.
        value: what an oracle could do by these figures.
        exact: what an oracle that knows each problem's own costs saves at most at the same accuracy.
        router: the router that saves most of those whose setting keeps the accuracy on test, None if none does.
        saved: its saving, with the limits of its interval.
        routers: how many routers it is the best of.
    """

    page: str
    models: tuple[str, ...]
    unit: str
    n: int
    small: float
    large: float
    both: float
    small_cost: float
    value: PoolValue
    exact: float
    router: str | None
    saved: tuple[float, float, float] | None
    routers: int


def exact_saving(right: np.ndarray, cost: np.ndarray, keep: float) -> float:
    """Saving of the cheapest choice of one model a problem that keeps the accuracy.

    Args:
        right: ``bool[2, n]``, smaller model first.
        cost: ``float64[2, n]``.
        keep: share of the larger model's accuracy.
    """
    wanted = int(np.ceil(keep * right[1].sum() - 1e-9))
    missing = max(0, wanted - int(right[0].sum()))
    extra = np.sort((cost[1] - cost[0])[right[1] & ~right[0]])
    return float(1 - (cost[0].sum() + extra[:missing].sum()) / cost[1].sum())


def reached(rows: list[dict[str, Any]], wanted: float) -> tuple[str | None, tuple[float, float, float] | None, int]:
    """The most saving router whose chosen setting has the accuracy wanted, its saving, and how many were looked at."""
    groups = {name: ROUTERS.get(name).group for name in ROUTERS}
    played = [row for row in rows if row.get("chosen") and groups.get(row["name"]) not in REFERENCES]
    kept = [row for row in played if row["chosen"]["accuracy"][0] >= wanted]
    if not kept:
        return None, None, len(played)
    best = min(kept, key=lambda row: row["chosen"]["cost"][0])
    estimate, low, high = best["chosen"]["cost"]
    return best["name"], (1 - estimate, 1 - high, 1 - low), len(played)


def measured(setting: Setting, folder: Path) -> PoolRow | None:
    """The row of a page, None where its pool has more than two models.

    Raises:
        FileNotFoundError: the page has not been written.
    """
    source = resolve(setting.source)
    if len(source.pool) != 2:
        return None
    mode = "route" if "route" in source.modes else setting.mode
    game = Game(source, split="test", mode=mode, cost_unit=setting.cost_unit)
    small, large = play(AlwaysSmallest(), game), play(AlwaysLargest(), game)
    right, cost = np.stack([small.right, large.right]), np.stack([small.cost, large.cost])
    shares = [float(share) for share in (*right.mean(axis=1), right.all(axis=0).mean())]
    told = json.loads((folder / f"{setting.name}.json").read_text(encoding="utf-8"))
    router, saved, routers = reached(told["results"]["rows"], KEEP * large.accuracy)
    small_cost = float(cost[0].sum() / cost[1].sum())
    return PoolRow(
        page=setting.name,
        models=source.pool.names,
        unit=setting.cost_unit,
        n=len(small),
        small=shares[0],
        large=shares[1],
        both=shares[2],
        small_cost=small_cost,
        value=pool_value(*shares, small_cost=small_cost, keep=KEEP),
        exact=exact_saving(right, cost, KEEP),
        router=router,
        saved=saved,
        routers=routers,
    )


def pools_table(rows: list[PoolRow]) -> Table:
    """What the calculator is asked, and what it says."""
    columns = (
        *("page", "unit", "n", "smaller right", "larger right", "both right", "smaller's cost", "some model right"),
        *(f"oracle saves at {KEEP:.0%}", "the same, problem by problem"),
    )
    lines = [
        (
            *(f"[{row.page}](baselines/{row.page}.md)", row.unit, str(row.n)),
            *(f"{share:.3f}" for share in (row.small, row.large, row.both, row.small_cost, row.value.accuracy)),
            *(f"{row.value.saving:.3f}", f"{row.exact:.3f}"),
        )
        for row in rows
    ]
    return Table("Pools", columns, tuple(lines))


def reached_table(rows: list[PoolRow]) -> Table:
    """What routers have reached of it."""
    columns = ("page", "best router", "best of", "saves", "share of the oracle's saving")
    lines = []
    for row in rows:
        link = f"[{row.page}](baselines/{row.page}.md)"
        if row.saved is None or row.router is None:
            lines.append((link, "none keeps the accuracy", str(row.routers), "-", "-"))
        else:
            share = tuple(saved / row.exact for saved in row.saved)
            lines.append((link, row.router, str(row.routers), span_text(*row.saved), span_text(*share)))
    return Table("What routers have reached", columns, tuple(lines))


def main(
    pages: Annotated[Path, typer.Option(help="Folder of the comparisons.")] = Path("docs/results/baselines"),
    out: OutOption = Path("docs/results"),
) -> None:
    """Compare what pools could save with what routers save, and write a page."""
    rows = [row for setting in SETTINGS if not resolve(setting.source).simulated and (row := measured(setting, pages))]
    page = Page(
        title="What pools could pay, and what routers have reached",
        command=COMMAND,
        setting=(
            f"Test problems of the bundled banks with two models. {KEEP:.0%} of always-largest's accuracy is kept.",
            "The oracle picks a model for each whole problem and knows who will be right. It is asked by the formula "
            "of the calculator, and problem by problem, with each problem's own costs.",
            "Settings of routers were chosen on calibration problems, without a promise. Intervals are those of the "
            "router's cost (95 %, bootstrap over problems); the oracle's saving is taken as it is.",
        ),
        notes=(
            "The calculator is on [What a pool pays](../howto/pool.md). The best router of many flatters itself, and "
            "it is picked here among those that kept the accuracy on these very problems. A router that decides step "
            "by step may reach more than an oracle of whole answers, since it mixes models inside an answer.",
        ),
        tables=(pools_table(rows), reached_table(rows)),
        numbers=rows,
    )
    write_page(page, out, "pools")


if __name__ == "__main__":
    typer.run(main)
