"""How often calibrated thresholds break their promise: ``python -m studies.agents.guarantee``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from gym_stepwise_routing.agents.scores import scored
from gym_stepwise_routing.agents.training import train
from gym_stepwise_routing.calibration.certificate import CalibrationMethod
from gym_stepwise_routing.evaluation.evaluate import Sweep, sweep, threshold_grid
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.reporting import Page, Table, span_text, write_page
from gym_stepwise_routing.reporting.figures import BLACK, BLUE, GREEN, ORANGE, PINK, new_figure, save_figure
from gym_stepwise_routing.routers.base import Scores
from studies.guarantee import STUDIED, Repetitions, halves, resampled
from studies.options import AGENT_PAGES, DEFAULT, BankOption, OutOption, command_of, page_name

__all__ = ["main"]

COMMAND = "python -m studies.agents.guarantee"
ALPHAS = (0.05, 0.1, 0.2, 0.3)
SIZES = (100, 200, 500, 1000)
HARD_WEIGHT = 3.0
COLOURS = {"exact": BLUE, "ltt": GREEN, "crc": PINK, "empirical": ORANGE}


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the study: a world, a sample size, a risk level and a method."""

    world: str
    n: int
    alpha: float
    delta: float
    method: CalibrationMethod
    violation_rate: float
    violation_low: float
    violation_high: float
    certified: float
    mean_cost: float
    mean_risk: float

    @classmethod
    def of(cls, world: str, n: int, delta: float, method: CalibrationMethod, found: Repetitions) -> Result:
        """Summarise the repetitions."""
        broken = found.violations
        return cls(
            world=world,
            n=n,
            alpha=found.alpha,
            delta=delta,
            method=method,
            violation_rate=broken.rate,
            violation_low=broken.low,
            violation_high=broken.high,
            certified=float(found.certified.mean()),
            mean_cost=float(found.cost.mean()),
            mean_risk=float(found.risk.mean()),
        )

    def cells(self) -> tuple[str, ...]:
        """As a row of a table."""
        return (
            str(self.n),
            f"{self.alpha:g}",
            self.method,
            span_text(self.violation_rate, self.violation_low, self.violation_high),
            f"{self.certified:.2f}",
            f"{self.mean_risk:.3f}",
            f"{self.mean_cost:.3f}",
        )


NOTE = (
    "What could not be certified promised nothing, and the safest threshold that it plays may be above alpha all the "
    "same: read violations of the drifted world beside the share that was certified. On the other half of the same "
    "problems the measured risk swings about the true one, and exceeds alpha more often than delta allows: the promise "
    "is about the risk, not about what a finite test set shows of it."
)
COLUMNS = ("n", "alpha", "method", "violation rate [95 %]", "certified", "mean risk", "mean cost")


def study(
    played: Sweep, drift: np.ndarray, *, alphas: Sequence[float], delta: float, repetitions: int, relative: bool
) -> list[Result]:
    """All worlds, sample sizes, levels and methods for one router."""
    results = []
    for alpha in alphas:
        # Conformal risk control needs a threshold without losses, which absolute accuracy has not.
        for method in (method for method in STUDIED if relative or method != "crc"):
            for n in SIZES:
                for world, weights in (("same", None), ("drifted", drift)):
                    found = resampled(
                        played,
                        n=n,
                        alpha=alpha,
                        delta=delta,
                        method=method,
                        repetitions=repetitions,
                        drift=weights,
                        relative=relative,
                    )
                    results.append(Result.of(world, n, delta, method, found))
            found = halves(played, alpha=alpha, delta=delta, method=method, repetitions=repetitions, relative=relative)
            results.append(Result.of("other half", played.right.shape[1] // 2, delta, method, found))
    return results


def harder(played: Sweep) -> np.ndarray:
    """Weights of the drifted world: problems that always-smallest fails come three times as often."""
    return np.where(played.right[-1], 1.0, HARD_WEIGHT)


def main(
    bank: BankOption = DEFAULT,
    out: OutOption = AGENT_PAGES,
    repetitions: Annotated[int, typer.Option(min=1000, help="Random calibration sets for each line.")] = 2000,
    delta: Annotated[float, typer.Option(help="Highest tolerated probability of a broken promise.")] = 0.1,
) -> None:
    """Repeat calibration on random samples of the problems that the agent was not trained on."""
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    unit = "large_tokens"
    agent: Scores = scored(train("lagrangian_ppo", seed=0, game=GameConfig(bank, cost_unit=unit), limit=0.5))
    games = {split: Game(bank, split=split, cost_unit=unit) for split in ("train", "calibration", "test")}  # type: ignore[arg-type]
    grid = threshold_grid(agent, games["train"], 25 if games["train"].spec.simulated else 101)
    # The problems of a simulator are drawn anew: one split is world enough.
    world = ("calibration",) if games["test"].spec.simulated else ("calibration", "test")
    parts = [sweep(agent, games[split], grid) for split in world]
    played = Sweep(parts[0].router, grid, np.hstack([p.right for p in parts]), np.hstack([p.cost for p in parts]))
    simulated = games["test"].spec.simulated
    accuracy = float(played.right[0].mean())
    alphas = [round(1 - (1 - alpha) * accuracy, 3) for alpha in ALPHAS] if simulated else ALPHAS
    results = study(played, harder(played), alphas=alphas, delta=delta, repetitions=repetitions, relative=not simulated)
    name = page_name("guarantee", games["test"].spec.source)
    _draw(results, out / f"{name}.png", delta, simulated=simulated)
    command = command_of(COMMAND, main, bank=bank, repetitions=repetitions, delta=delta)
    write_page(_page(results, games["calibration"], played, name, repetitions, delta, command), out, name)


def _page(
    results: Sequence[Result], game: Game, played: Sweep, name: str, repetitions: int, delta: float, command: str
) -> Page:
    problems, solved = played.right.shape[1], int(played.right[0].sum())
    if game.spec.simulated:
        promise = "accuracy of at least .95, .9, .8 and .7 of always-largest's, as an absolute floor"
        counting = "n counts problems. Always-largest would not repeat its own answers: no relative accuracy here."
    else:
        promise = "relative accuracy"
        counting = "n counts problems; those that always-largest does not solve are drawn but do not count."
    tables = []
    for world, heading in (
        ("same", "The world that was calibrated on"),
        ("drifted", "A drifted world: what the promise does not cover"),
        ("other half", "Random halves: calibrated on one, tested on the other"),
    ):
        rows = tuple(r.cells() for r in results if r.world == world)
        tables.append(Table(heading, COLUMNS, rows))
    return Page(
        title="Is the promise kept?",
        command=command,
        setting=(
            f"SIMULATED: preset {game.spec.source}, {problems} problems, of which always-largest solves {solved}."
            if game.spec.simulated
            else f"Bank {game.spec.source}, content {game.source_hash[:12]}, calibration and test problems together: "
            f"{problems}, of which always-largest solves {solved}; no threshold of this study is used elsewhere.",
            f"Router: LagrangianPPO (seed 0, trained on the train split), {len(played.thresholds)} thresholds at the "
            "quantiles of its scores on the train split; mode route, cost: tokens of the larger model.",
            f"Promise: {promise}, risk <= alpha with probability >= {1 - delta:g}; each line {repetitions:,} "
            "random calibration sets; a violation is a true risk above alpha. Cost 1 is always-largest.",
            counting,
            f"Drifted world: problems that always-smallest fails come {HARD_WEIGHT:g} times as often.",
        ),
        notes=(NOTE,),
        tables=tuple(tables),
        figure=f"{name}.png",
        numbers=results,
        simulated=game.spec.simulated,
    )


def _draw(results: Sequence[Result], path: Path, delta: float, *, simulated: bool) -> None:
    worlds = {"same": "same world", "drifted": "drifted world"}
    figure, panels = new_figure(len(worlds), simulated=simulated)
    for axes, (world, title) in zip(panels, worlds.items(), strict=True):
        for shift, method in enumerate(STUDIED):
            lines = [r for r in results if r.world == world and r.method == method]
            if not lines:
                continue
            x = np.arange(len(lines)) + 0.18 * (shift - 1.5)
            rate = np.array([r.violation_rate for r in lines])
            low, high = (np.array([getattr(r, f"violation_{end}") for r in lines]) for end in ("low", "high"))
            axes.errorbar(x, rate, [rate - low, high - rate], fmt="o", ms=3, color=COLOURS[method], label=method)
        axes.axhline(delta, color=BLACK, lw=0.8, ls="--")
        axes.set_xticks(range(len(lines)), [f"{r.alpha:g}\n{r.n}" for r in lines], fontsize=7)
        axes.set(title=title, xlabel="alpha, and problems to calibrate on", ylabel="violation rate", ylim=(-0.02, 1.02))
    panels[0].legend(fontsize=8, title=f"dashed: delta = {delta:g}", title_fontsize=8)
    save_figure(figure, path)


if __name__ == "__main__":
    typer.run(main)
