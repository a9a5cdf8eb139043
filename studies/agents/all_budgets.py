"""One policy for all budgets against one run per budget: ``python -m studies.agents.all_budgets``.

Policies draw their actions; on a bank their accuracy and cost are computed exactly, problem by problem.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

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
from studies.agents.study_tables import Page, Table, command_of, new_figure, save_figure, write_page
from studies.agents.sweeps import DEFAULT, METRIC, anchors_of, apgr, games_of, page_name, stack

__all__ = ["main"]

COMMAND = "python -m studies.agents.all_budgets"
BUDGETS = (0.1, 0.3, 0.5, 0.7, 0.9)
SPLITS = ("train", "test")


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
        return (self.split, f"{self.budget:g}", self.kind, f"{self.accuracy:.3f}", f"{self.cost:.3f}")


def main(
    bank: Annotated[str, typer.Option(help="Bundled bank, or folder of a bank.")] = DEFAULT,
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("docs/results/agents"),
    seeds: Annotated[int, typer.Option(min=3, help="Training seeds.")] = 5,
    resamples: Annotated[int, typer.Option(min=1000, help="Bootstrap resamples.")] = 10_000,
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
    worst = {
        kind: max(p.violation for p in points if p.kind == kind and p.split == "train") for kind in ("all", "each")
    }
    return Page(
        title="One policy for all budgets, and one run per budget",
        command=command,
        setting=(
            f"{'SIMULATED: ' if bank.manifest.simulated else ''}bank {bank.name}, content {bank.hash[:12]}; mode "
            "route, cost: tokens of the larger model, 1 is always-largest; trained on the train split.",
            f"{seeds} seeds; actions are drawn, accuracy and cost are exact expectations on the recorded trees. After "
            "training, budgets are met on the train split: all by choosing the budget to show, each by a tilt.",
            f"all: AllBudgetsPPO, one run, {np.mean(seconds['all']):.0f} s on this machine (shared with others); each: "
            f"LagrangianPPO, {len(BUDGETS)} runs, {np.mean(seconds['each']):.0f} s.",
        ),
        tables=(
            Table(
                "APGR of the five points",
                ("split", "all", "each", "all minus each [95 %]"),
                tuple((s, f"{values[f'{s}, all']:.3f}", f"{values[f'{s}, each']:.3f}", str(gaps[s])) for s in SPLITS),
            ),
            Table("Points", ("split", "budget", "kind", "accuracy", "cost"), tuple(p.cells() for p in points)),
        ),
        findings=(
            *(f"{s}: APGR of one policy for all budgets minus one run per budget: {gaps[s]}." for s in SPLITS),
            "Highest mean cost above a budget, on the train split: "
            f"{worst['all']:+.4f} for all budgets, {worst['each']:+.4f} for one run per budget.",
        ),
        figure=f"{name}.png",
        numbers={
            "points": [asdict(point) for point in points],
            "apgr": values,
            "difference": {split: None if gap is None else asdict(gap) for split, gap in gaps.items()},
            "seconds": seconds,
        },
    )


def _draw(points: Sequence[Point], path: Path) -> None:
    figure, panels = new_figure(len(SPLITS))
    for axes, split in zip(panels, SPLITS, strict=True):
        for kind, colour in (("all", "#D55E00"), ("each", "#0072B2")):
            here = [p for p in points if (p.split, p.kind) == (split, kind)]
            axes.plot([p.cost for p in here], [p.accuracy for p in here], "o-", ms=4, color=colour, label=kind)
            for p in here:
                axes.axvline(p.budget, color="black", lw=0.4, ls=":")
        axes.set(title=f"{split} problems", xlabel="mean cost (dotted: the budgets)", ylabel="accuracy")
    panels[0].legend(fontsize=8)
    save_figure(figure, path)


if __name__ == "__main__":
    typer.run(main)
