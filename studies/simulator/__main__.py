"""``python -m studies.simulator``: a simulator preset's distance to measurements, its optima, and regrets to them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from gym_stepwise_routing.costs.units import COST_UNITS, CostUnit
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.reporting.pages import write_page
from gym_stepwise_routing.types import MODES, SPLITS, Mode

if TYPE_CHECKING:
    from gym_stepwise_routing.planning.optimal_frontier import Frontier
    from gym_stepwise_routing.planning.planner import Information, Planner
    from gym_stepwise_routing.sources.simulator import SimulatorSource
    from studies.regret.regret import Regret

__all__ = ["simulate"]
_GRIDS: dict[Information, tuple[int, int]] = {
    "length": (16, 500),
    "confidence": (16, 500),
    "score": (12, 150),
    "both": (4, 20),
}
"""Resolution of the grid of beliefs, and episodes that measure each optimum. The work grows with the square of the
number of things that a step may show."""


def simulate(
    preset: Annotated[str, typer.Option(help="Simulator preset.")],
    figure: Annotated[bool, typer.Option("--figure", help="Published curve and ours: a picture and a table.")] = False,
    frontier: Annotated[bool, typer.Option("--frontier", help="Optimal accuracy at every cost.")] = False,
    regret: Annotated[bool, typer.Option("--regret", help="Regret of all routers to the optimum.")] = False,
    agent: Annotated[list[str] | None, typer.Option(help="With --regret: an agent to train as well; repeat.")] = None,
    budget: Annotated[
        float | None,
        typer.Option(help="With --regret: mean cost that routers keep to, always-largest costs 1. [default: 0.5]"),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="With --regret: seeds of problems, fits and training. [default: 1]")
    ] = None,
    against: Annotated[str, typer.Option(help="Bank that is compared with the simulator, router by router.")] = "",
    mode: Annotated[str, typer.Option(help=f"One of {', '.join(MODES)}.")] = "regenerate",
    cost_unit: Annotated[
        str, typer.Option(help=f"One of {', '.join(COST_UNITS)}; optima are found soonest in large_tokens.")
    ] = "large_tokens",
    problems: Annotated[int, typer.Option(help="Simulated problems in each split.")] = 2000,
    information: Annotated[
        list[str] | None,
        typer.Option(
            help="With --frontier or --regret: what the optimum knows, besides that of full information; repeat. "
            "[default: all that routers see here; both, confidence and score, with --regret alone]"
        ),
    ] = None,
    resolution: Annotated[
        int | None,
        typer.Option(
            help="With --frontier or --regret: of the planner's grid of beliefs. "
            "[default: 16; 12 with verifier scores, 4 with confidence as well]"
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(help="With --frontier or --regret: of the optimum's upper bound, in accuracy. [default: 0.0005]"),
    ] = None,
    episodes: Annotated[
        int | None,
        typer.Option(
            help="With --frontier or --regret: of each optimum. [default: 500; 150 with verifier scores, 20 with "
            "confidence as well; 100,000 where reading is paid for]"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of episodes and fits.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for tables and figures.")] = Path("runs/simulate"),
) -> None:
    """How close a simulator preset is to measurements, and what is optimal in it: all of it SIMULATED."""
    from gym_stepwise_routing.sources.simulator import SimulatorSource

    console = Console()
    try:
        check_choice("mode", mode, MODES)
        check_choice("cost_unit", cost_unit, COST_UNITS)
        planned = frontier or regret
        _check_options(
            ("agent", agent, regret, "--regret"),
            ("budget", budget, regret, "--regret"),
            ("seeds", seeds, regret, "--regret"),
            ("information", information, planned, "--frontier or --regret"),
            ("resolution", resolution, planned, "--frontier or --regret"),
            ("tolerance", tolerance, planned, "--frontier or --regret"),
            ("episodes", episodes, planned, "--frontier or --regret"),
        )
        for name, value, least in (
            ("seed", seed, 0),
            ("seeds", seeds, 1),
            ("resolution", resolution, 1),
            ("episodes", episodes, 2),
        ):
            if value is not None and value < least:
                raise ValueError(f"{name}={value!r}; allowed: an integer >= {least}")
        if budget is not None and not (math.isfinite(budget) and budget > 0):
            raise ValueError(f"budget={budget!r}; allowed: a finite number > 0")
        if tolerance is not None and not (math.isfinite(tolerance) and tolerance > 0):
            raise ValueError(f"tolerance={tolerance!r}; allowed: a finite number > 0")
        source = SimulatorSource(preset, problems=problems)
        out.mkdir(parents=True, exist_ok=True)
        if figure:
            _figure(console, source, out)
        if against:
            _against(console, source, against, out, seed=seed)
        if planned:
            from gym_stepwise_routing.agents.agent import AGENTS
            from studies.regret.report import draw_frontiers

            for name in agent or ():
                check_choice("agent", name, AGENTS)
            task = _Task(
                information=_information(source, information, both=regret),
                chosen=bool(information),
                source=source,
                mode=mode,  # type: ignore[arg-type]
                unit=cost_unit,  # type: ignore[arg-type]
                resolution=resolution,
                tolerance=5e-4 if tolerance is None else tolerance,
                episodes=episodes,
                seed=seed,
                problems=problems,
                budget=0.5 if budget is None else budget,
            )
            frontiers = _frontiers(console, task, out)
            rows = _regrets(console, task, frontiers, agent or (), seeds or 1, out) if regret else ()
            draw_frontiers(task.title, frontiers, rows, out / f"{task.stem}-frontier.png")
            console.print(f"wrote {out / task.stem}-*", highlight=False)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _check_options(*options: tuple[str, object, bool, str]) -> None:
    """Refuse options that would be ignored: name, value (None if not given), whether it has an effect, with what."""
    for name, value, used, needs in options:
        if value not in (None, []) and not used:
            raise ValueError(f"{name}={value!r} has no effect here; allowed: with {needs}")


def _figure(console: Console, source: SimulatorSource, out: Path) -> None:
    from studies.regret.report import draw_curve, fidelity_page
    from studies.simulator.fidelity import measure_fidelity

    fidelity = measure_fidelity(source)
    name = f"{source.name}-curve"
    draw_curve(source.name, fidelity, out / f"{name}.png")
    command = f"python -m studies.simulator --preset {source.name} --figure"
    write_page(fidelity_page(source.name, command, fidelity), out, name)
    console.print(f"wrote {out / name}.md and .png", highlight=False)


def _against(console: Console, source: SimulatorSource, bank: str, out: Path, *, seed: int) -> None:
    from gym_stepwise_routing.sources.recorded import BankSource
    from studies.regret.report import bank_page
    from studies.simulator.against_bank import compare_with_bank

    recorded = BankSource(bank)
    for split in SPLITS:
        rows = compare_with_bank(source, recorded, splits=(split,), seed=seed)
        name = f"{source.name}-against-{recorded.name}-{split}"
        options = f"--preset {source.name} --against {bank} --problems {source.size} --seed {seed}"
        command = f"python -m studies.simulator {options}"
        write_page(bank_page(f"{source.name} and {recorded.name}, {split} split", command, rows), out, name)
        console.print(f"wrote {out / name}.md", highlight=False)


@dataclass(frozen=True, slots=True)
class _Task:
    """What is planned, and how well."""

    information: tuple[Information, ...]
    chosen: bool
    source: SimulatorSource
    mode: Mode
    unit: CostUnit
    resolution: int | None
    tolerance: float
    episodes: int | None
    seed: int
    problems: int
    budget: float

    @property
    def title(self) -> str:
        return f"{self.source.name}, mode {self.mode}, cost in {self.unit}"

    @property
    def stem(self) -> str:
        return f"{self.source.name}-{self.mode}-{self.unit}"

    def resolution_of(self, information: Information) -> int | None:
        """Of the grid of beliefs; None with full information, which has no grid."""
        if information == "full":
            return None
        return self.resolution or _GRIDS[information][0]

    def episodes_of(self, planner: Planner) -> int | None:
        """That measure each optimum; None: as many as the planner has by itself."""
        return _GRIDS[planner.information][1] if self.episodes is None and planner.measurable else self.episodes

    def command(self, *more: str) -> str:
        parts = ["python -m studies.simulator", f"--preset {self.source.name}", f"--mode {self.mode}"]
        parts += [f"--cost-unit {self.unit}", f"--tolerance {self.tolerance:g}"]
        parts += [f"--information {name}" for name in self.information if self.chosen and name != "full"]
        parts += [] if self.resolution is None else [f"--resolution {self.resolution}"]
        parts += [] if self.episodes is None else [f"--episodes {self.episodes}"]
        return " ".join([*parts, f"--seed {self.seed}", *more])


def _information(source: SimulatorSource, chosen: Sequence[str] | None, *, both: bool) -> tuple[Information, ...]:
    """What the optima know: ``full``, and what was chosen or, else, all that routers see (``both``: as said)."""
    from gym_stepwise_routing.planning.planner import INFORMATION

    for name in chosen or ():
        check_choice("information", name, INFORMATION)
    scored, figures = bool(source.process.scored.any()), bool(source.process.confidence.shape[2])
    shown = ["confidence" if figures else "length", *(["score"] if scored else [])]
    shown += ["both"] if both and scored and figures else []
    return tuple(name for name in INFORMATION if name in ("full", *(chosen or shown)))


def _frontiers(console: Console, task: _Task, out: Path) -> dict[Information, Frontier]:
    from gym_stepwise_routing.planning.planner import Planner
    from studies.regret.report import frontier_page

    frontiers: dict[Information, Frontier] = {}
    for information in task.information:
        begin = time.perf_counter()
        planner = Planner(
            task.source,
            mode=task.mode,
            cost_unit=task.unit,
            information=information,
            resolution=task.resolution_of(information) or 1,
        )
        frontiers[information] = found = planner.bounded_frontier(
            tolerance=task.tolerance, episodes=task.episodes_of(planner), seed=task.seed
        )
        console.print(
            f"information {information}: {len(found.lines)} optima, bounds {100 * found.gap:.2f} points apart, "
            f"{time.perf_counter() - begin:.0f} s",
            highlight=False,
        )
    page = frontier_page(task.title, task.command("--frontier"), frontiers, _grids(task, frontiers))
    write_page(page, out, f"{task.stem}-frontier")
    return frontiers


def _grids(task: _Task, frontiers: Iterable[Information]) -> dict[Information, int]:
    """Resolution of the grid of beliefs that was used, where there is one."""
    return {name: size for name in frontiers if (size := task.resolution_of(name)) is not None}


def _regrets(
    console: Console,
    task: _Task,
    frontiers: dict[Information, Frontier],
    agents: Sequence[str],
    seeds: int,
    out: Path,
) -> tuple[Regret, ...]:
    from gym_stepwise_routing.planning.cost_tables import StepCosts
    from gym_stepwise_routing.sources.simulator import SimulatorSource
    from studies.regret.contestants import NotPlayed, Outcome, agent_outcomes, baseline_outcomes
    from studies.regret.regret import regrets
    from studies.regret.report import regret_page

    normaliser = StepCosts.of(task.source, task.unit).normaliser
    outcomes: list[Outcome] = []
    not_played: list[NotPlayed] = []
    with console.status("") as status:
        for seed in range(task.seed, task.seed + seeds):
            source = SimulatorSource(task.source.parameters, problems=task.problems, seed=seed)
            game: dict[str, Any] = {
                "budget": task.budget,
                "mode": task.mode,
                "cost_unit": task.unit,
                "normaliser": normaliser,
                "seed": seed,
                "progress": lambda name, seed=seed: status.update(f"seed {seed}: {name}"),
            }
            for found in baseline_outcomes(source, **game):
                if isinstance(found, NotPlayed):
                    not_played.append(found)
                else:
                    outcomes.append(found)
            if agents:
                outcomes += agent_outcomes(agents, source, **game)
    rows = regrets(outcomes, frontiers)
    options = [
        f"--regret --budget {task.budget:g} --problems {task.problems} --seeds {seeds}",
        *(f"--agent {agent}" for agent in agents),
    ]
    page = regret_page(
        task.title,
        task.command(*options),
        rows,
        frontiers,
        task.budget,
        grids=_grids(task, frontiers),
        not_played=not_played,
    )
    write_page(page, out, f"{task.stem}-regret")
    return rows


if __name__ == "__main__":
    typer.run(simulate)
