"""What the comparison of trained and handcrafted routers found, as a page and a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.costs.units import CostUnit
from gym_stepwise_routing.reporting import Page, Table, span_text
from gym_stepwise_routing.reporting.figures import BLACK, BLUE, ORANGE, new_figure, save_figure
from studies.agents.sweeps import BUDGETS, MODES, PEERS
from studies.options import described

__all__ = ["TEST", "UNSEEN", "Line", "Point", "draw", "page_of"]

TEST, UNSEEN = "test", "calibration and test"


@dataclass(frozen=True, slots=True)
class Line:
    """One router in one mode; differences are to the best router without RL on the very problems."""

    mode: str
    problems: str
    router: str
    trained: bool
    seeds: int
    apgr: float
    low: float
    high: float
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    in_sample: float

    def cells(self) -> tuple[str, ...]:
        """As a row of a table."""
        against = (self.difference, self.difference_low, self.difference_high)
        gain = "-" if None in against else span_text(*against, signed=True)  # type: ignore[arg-type]
        interval = span_text(self.apgr, self.low, self.high)
        return self.router, str(self.seeds or "-"), interval, gain, f"{self.in_sample:.3f}"


@dataclass(frozen=True, slots=True)
class Point:
    """One point of the analysis: APGR under a circumstance, mean and standard deviation over seeds."""

    what: str
    value: str
    mean: float
    deviation: float


def page_of(
    lines: Sequence[Line],
    points: Sequence[Point],
    ceilings: dict[str, float | None],
    bank: Bank,
    unit: CostUnit,
    seeds: int,
    resamples: int,
    name: str,
    command: str,
) -> Page:
    """The page of the study."""
    columns = ("router", "seeds", "APGR [95 %]", "minus the best rule [95 %]", "APGR, train")
    tables = [
        Table(
            f"Mode {mode}, {problems} problems",
            columns,
            tuple(line.cells() for line in lines if (line.mode, line.problems) == (mode, problems)),
        )
        for problems in (TEST, UNSEEN)
        for mode in MODES
    ]
    tables.append(
        Table(
            "Analysis: learning curves (APGR on unseen problems), and LagrangianPPO in mode route (on test)",
            ("circumstance", "value", "APGR", "standard deviation over seeds"),
            tuple((p.what, p.value, f"{p.mean:.3f}", f"{p.deviation:.3f}") for p in points),
        )
    )
    tables.append(
        Table(
            "The oracle, which knows every outcome",
            ("mode", "APGR, test"),
            tuple((mode, "undefined" if top is None else f"{top:.3f}") for mode, top in ceilings.items()),
        )
    )
    return Page(
        title="Trained routers against rules and what is fitted without RL",
        command=command,
        setting=(
            described(bank, unit),
            f"{seeds} training seeds, shipped hyperparameters; {resamples:,} bootstrap resamples over problems and "
            "seeds, paired; the best rule is chosen on the very problems of the comparison, in its favour, among the "
            f"rules that are fitted to nothing and {' and '.join(PEERS)}. The constants are played without drafts.",
            "exact, lagrangian_ppo and maskable_ppo: sweep over 101 thresholds of one policy; all_budgets: sweep over "
            f"{len(BUDGETS)} budgets shown. APGR .5 is what mixing the two constants per problem at random gives.",
        ),
        tables=tuple(tables),
        figure=f"{name}.png",
        numbers={
            "lines": list(lines),
            "analysis": list(points),
            "oracle_apgr": ceilings,
        },
    )


def draw(lines: Sequence[Line], points: Sequence[Point], path: Path) -> None:
    """The figure of the study."""
    figure, panels = new_figure(len(MODES) + 1)
    for axes, mode in zip(panels, MODES, strict=False):
        here = [line for line in lines if (line.mode, line.problems) == (mode, TEST)][::-1]
        for y, line in enumerate(here):
            error = [[line.apgr - line.low], [line.high - line.apgr]]
            axes.errorbar(line.apgr, y, xerr=error, fmt="o", ms=4, color=ORANGE if line.trained else BLUE)
        axes.set_yticks(range(len(here)), [line.router for line in here], fontsize=7)
        axes.axvline(0.5, color=BLACK, lw=0.8, ls="--")
        axes.set(title=mode, xlabel="APGR on test problems")
    last = panels[-1]
    curves = [point.what for point in points if point.what.endswith("train problems")]
    for what in dict.fromkeys(curves):
        curve = [point for point in points if point.what == what]
        last.errorbar(
            [int(p.value) for p in curve],
            [p.mean for p in curve],
            [p.deviation for p in curve],
            fmt="o-",
            ms=4,
            label=what.split(":")[0],
        )
    last.legend(fontsize=7)
    last.set(title="learning curves", xlabel="train problems", ylabel="APGR on unseen problems")
    save_figure(figure, path)
