"""One policy for all budgets against one run per budget: ``python -m studies.agents.all_budgets``.

Policies draw their actions; on a bank their accuracy and cost are computed exactly, problem by problem.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import typer

from gym_stepwise_routing.agents.limits import budget_to_show, tilt_to_limit, tilted
from gym_stepwise_routing.agents.scores import scored
from gym_stepwise_routing.agents.training import train
from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.evaluation.bootstrap import Interval, bootstrap_curve_differences
from gym_stepwise_routing.evaluation.expectation import expected_outcomes
from gym_stepwise_routing.evaluation.outcomes import SweepOutcomes
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.reporting import Page, Table, interval_text, write_page
from gym_stepwise_routing.reporting.figures import BLACK, BLUE, ORANGE, new_figure, save_figure
from studies.agents.sweeps import METRIC, anchors_of, apgr, games_of, stack
from studies.options import (
    AGENT_PAGES,
    DEFAULT,
    BankOption,
    OutOption,
    ResamplesOption,
    SeedsOption,
    command_of,
    described,
    page_name,
)

__all__ = ["main"]

COMMAND = "python -m studies.agents.all_budgets"
BUDGETS = (0.1, 0.3, 0.5, 0.7, 0.9)
SPLITS = ("train", "test")
COLUMNS = ("split", "budget", "kind", "accuracy", "cost", "cost over budget")


@dataclass(frozen=True, slots=True)
class Point:
    """Mean over seeds at one budget; ``violation`` is that of the mean cost on train, positive where it is above."""

    split: str
    budget: float
    kind: str
    accuracy: float
    cost: float
    violation: float

    def cells(self) -> tuple[str, ...]:
        """As a row of a table."""
        figures = (f"{self.accuracy:.3f}", f"{self.cost:.3f}", f"{self.violation:+.4f}")
        return (self.split, f"{self.budget:g}", self.kind, *figures)


def main(
    bank: BankOption = DEFAULT,
    out: OutOption = AGENT_PAGES,
    seeds: SeedsOption = 5,
    resamples: ResamplesOption = 10_000,
) -> None:
    """Train both kinds and compare APGR, paired by problem."""
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    opened = Bank.open(bank)
    game = GameConfig(opened, cost_unit="large_tokens")
    games = games_of(opened, "route", "large_tokens")
    found: dict[tuple[str, str], list[SweepOutcomes]] = {(s, k): [] for s in SPLITS for k in ("all", "each")}
    seconds: dict[str, list[float]] = {"all": [], "each": []}
    for seed in range(seeds):
        begin = time.perf_counter()
        one = scored(train("all_budgets", seed=seed, game=game))
        middle = time.perf_counter()
        many = [scored(train("lagrangian_ppo", seed=seed, game=game, limit=budget)) for budget in BUDGETS]
        many = [tilted(each, tilt_to_limit(each, games["train"], b)) for each, b in zip(many, BUDGETS, strict=True)]
        to_show = [budget_to_show(one, games["train"], budget) for budget in BUDGETS]
        seconds["all"].append(middle - begin)
        seconds["each"].append(time.perf_counter() - middle)
        for split in SPLITS:
            shown = [expected_outcomes(one, games[split], budget=budget) for budget in to_show]
            found[split, "all"].append(_outcomes(shown))
            found[split, "each"].append(_outcomes([expected_outcomes(each, games[split]) for each in many]))
    both = {key: stack(outcomes) for key, outcomes in found.items()}
    anchors = {split: anchors_of(games[split]) for split in SPLITS}
    values = {f"{split}, {kind}": apgr(both[split, kind], anchors[split]) for split, kind in both}
    gaps = {
        split: bootstrap_curve_differences(
            both[split, "all"], both[split, "each"], anchors[split], METRIC, resamples=resamples
        )["apgr"]
        for split in SPLITS
    }
    points = _points(both)
    name = page_name("all_budgets", opened.name)
    _draw(points, out / f"{name}.png")
    command = command_of(COMMAND, main, bank=bank, seeds=seeds, resamples=resamples)
    write_page(_page(opened, points, values, gaps, seconds, seeds, name, command), out, name)


def _outcomes(shown: Sequence[tuple[np.ndarray, np.ndarray]]) -> SweepOutcomes:
    return SweepOutcomes(right=np.stack([r for r, _ in shown]), cost=np.stack([c for _, c in shown]))


def _points(both: dict[tuple[str, str], SweepOutcomes]) -> list[Point]:
    points = []
    for (split, kind), outcomes in both.items():
        accuracy, cost = (np.asarray(a).mean(axis=(0, 2)) for a in (outcomes.right, outcomes.cost))
        for budget, a, c in zip(BUDGETS, accuracy, cost, strict=True):
            points.append(Point(split, budget, kind, float(a), float(c), float(c - budget)))
    return points


def _page(
    bank: Bank,
    points: Sequence[Point],
    values: dict[str, float],
    gaps: dict[str, Interval | None],
    seconds: dict[str, list[float]],
    seeds: int,
    name: str,
    command: str,
) -> Page:
    gained = [
        (s, f"{values[f'{s}, all']:.3f}", f"{values[f'{s}, each']:.3f}", interval_text(gaps[s], signed=True))
        for s in SPLITS
    ]
    return Page(
        title="One policy for all budgets, and one run per budget",
        command=command,
        setting=(
            described(bank, "large_tokens"),
            "Mode route; 1 is the cost of always-largest; trained on the train split.",
            f"{seeds} seeds; actions are drawn, accuracy and cost are exact expectations on the recorded trees. After "
            "training, budgets are met on the train split: all by choosing the budget to show, each by a tilt.",
            f"all: AllBudgetsPPO, one run, {np.mean(seconds['all']):.0f} s on this machine (shared with others); each: "
            f"LagrangianPPO, {len(BUDGETS)} runs, {np.mean(seconds['each']):.0f} s.",
        ),
        tables=(
            Table("APGR of the five points", ("split", "all", "each", "all minus each [95 %]"), gained),
            Table("Points", COLUMNS, [point.cells() for point in points]),
        ),
        figure=f"{name}.png",
        numbers={
            "points": points,
            "apgr": values,
            "difference": gaps,
            "seconds": seconds,
        },
    )


def _draw(points: Sequence[Point], path: Path) -> None:
    figure, panels = new_figure(len(SPLITS))
    for axes, split in zip(panels, SPLITS, strict=True):
        for kind, colour in (("all", ORANGE), ("each", BLUE)):
            here = [p for p in points if (p.split, p.kind) == (split, kind)]
            axes.plot([p.cost for p in here], [p.accuracy for p in here], "o-", ms=4, color=colour, label=kind)
            for p in here:
                axes.axvline(p.budget, color=BLACK, lw=0.4, ls=":")
        axes.set(title=f"{split} problems", xlabel="mean cost (dotted: the budgets)", ylabel="accuracy")
    panels[0].legend(fontsize=8)
    save_figure(figure, path)


if __name__ == "__main__":
    typer.run(main)
