"""What the comparison of trained and handcrafted routers found, as a page and a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.costs.units import CostUnit
from studies.agents.study_tables import Page, Table, new_figure, save_figure
from studies.agents.sweeps import BUDGETS, MODES

__all__ = ["TEST", "UNSEEN", "Line", "Point", "draw", "page_of"]

TEST, UNSEEN = "test", "calibration and test"


@dataclass(frozen=True, slots=True)
class Line:
    """One router in one mode; differences are to the best handcrafted router on the very test problems."""

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
        gain = (
            "-"
            if self.difference is None
            else f"{self.difference:+.3f} [{self.difference_low:+.3f}, {self.difference_high:+.3f}]"
        )
        interval = f"{self.apgr:.3f} [{self.low:.3f}, {self.high:.3f}]"
        return self.router, str(self.seeds or "-"), interval, gain, f"{self.in_sample:.3f}"


@dataclass(frozen=True, slots=True)
class Point:
    """One point of the analysis: APGR on test problems under a circumstance, mean and standard deviation over seeds."""

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
            "Analysis: LagrangianPPO in mode route",
            ("circumstance", "value", "APGR, test", "standard deviation over seeds"),
            tuple((p.what, p.value, f"{p.mean:.3f}", f"{p.deviation:.3f}") for p in points),
        )
    )
    counts = {split: len(bank.split_problems(split)) for split in ("train", "calibration", "test")}  # type: ignore[arg-type]
    return Page(
        title="Trained routers against handcrafted ones",
        command=command,
        setting=(
            f"{'SIMULATED: ' if bank.manifest.simulated else ''}bank {bank.name}, content {bank.hash[:12]}: "
            f"{counts['train']} train, {counts['calibration']} calibration and {counts['test']} test problems; "
            f"cost unit {unit}.",
            f"{seeds} training seeds, shipped hyperparameters; {resamples:,} bootstrap resamples over problems and "
            "seeds, paired; the best rule is chosen on the very problems of the comparison, in its favour.",
            "lagrangian_ppo and maskable_ppo: sweep over 101 thresholds of one policy; all_budgets: sweep over "
            f"{len(BUDGETS)} budgets shown. APGR .5 is what mixing the two constants per problem at random gives.",
        ),
        tables=tuple(tables),
        findings=_findings(lines, ceilings),
        figure=f"{name}.png",
        numbers={
            "lines": [asdict(line) for line in lines],
            "analysis": [asdict(point) for point in points],
            "oracle_apgr": ceilings,
        },
    )


def _findings(lines: Sequence[Line], ceilings: dict[str, float | None]) -> tuple[str, ...]:
    sentences = []
    for problems, mode in product((TEST, UNSEEN), MODES):
        here = [line for line in lines if (line.mode, line.problems) == (mode, problems)]
        best = max((line for line in here if line.trained), key=lambda line: line.apgr)
        rule = next(line for line in here if line.difference is None)
        if best.difference is None or best.difference_low is None or best.difference_high is None:
            continue
        verdict = (
            "above it"
            if best.difference_low > 0
            else "below it"
            if best.difference_high < 0
            else "not told apart from it"
        )
        top = ceilings[mode]
        sentences.append(
            f"{mode}, {problems} problems: {best.router} {best.apgr:.3f}, {rule.router} {rule.apgr:.3f}: {verdict} "
            f"({best.difference:+.3f} [{best.difference_low:+.3f}, {best.difference_high:+.3f}]); on the train "
            f"split {best.in_sample:.3f}, the oracle on test {'undefined' if top is None else f'{top:.3f}'}."
        )
    return tuple(sentences)


def draw(lines: Sequence[Line], points: Sequence[Point], path: Path) -> None:
    """The figure of the study."""
    figure, panels = new_figure(len(MODES) + 1, height=4.6)
    for axes, mode in zip(panels, MODES, strict=False):
        here = [line for line in lines if (line.mode, line.problems) == (mode, TEST)][::-1]
        for y, line in enumerate(here):
            error = [[line.apgr - line.low], [line.high - line.apgr]]
            axes.errorbar(line.apgr, y, xerr=error, fmt="o", ms=4, color="#D55E00" if line.trained else "#0072B2")
        axes.set_yticks(range(len(here)), [line.router for line in here], fontsize=7)
        axes.axvline(0.5, color="black", lw=0.8, ls="--")
        axes.set(title=mode, xlabel="APGR on test problems")
    curve = [point for point in points if point.what == "train problems"]
    panels[-1].errorbar(
        [int(p.value) for p in curve],
        [p.mean for p in curve],
        [p.deviation for p in curve],
        fmt="o-",
        ms=4,
        color="#D55E00",
    )
    panels[-1].set(title="lagrangian_ppo, route", xlabel="train problems", ylabel="APGR on test problems")
    save_figure(figure, path)
