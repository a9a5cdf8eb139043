"""``stepwise-routing simulate``: a simulator preset, its distance to measurements, and its optima."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from gym_stepwise_routing.accounting import MODES, Mode
from gym_stepwise_routing.costs import COST_UNITS, CostUnit
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.sources.base import SPLITS

if TYPE_CHECKING:
    from gym_stepwise_routing.planning.contestants import Outcome
    from gym_stepwise_routing.planning.frontier import Frontier
    from gym_stepwise_routing.planning.planner import Information
    from gym_stepwise_routing.planning.regret import Regret
    from gym_stepwise_routing.sources.simulator import SimulatorSource
    from gym_stepwise_routing.sources.simulator.presets import Preset

__all__ = ["simulate"]


def simulate(
    preset: Annotated[str, typer.Option(help="Simulator preset.")],
    figure: Annotated[bool, typer.Option("--figure", help="Published curve and ours: a picture and a table.")] = False,
    frontier: Annotated[bool, typer.Option("--frontier", help="Optimal accuracy at every cost.")] = False,
    regret: Annotated[bool, typer.Option("--regret", help="Regret of all routers to the optimum.")] = False,
    agent: Annotated[list[str] | None, typer.Option(help="With --regret: an agent to train as well; repeat.")] = None,
    budget: Annotated[
        float, typer.Option(min=0.0, help="With --regret: mean cost that routers keep to, always-largest costs 1.")
    ] = 0.5,
    seeds: Annotated[int, typer.Option(min=1, help="With --regret: seeds of problems, fits and training.")] = 1,
    against: Annotated[str, typer.Option(help="Bank that is compared with the simulator, router by router.")] = "",
    bank: Annotated[Path | None, typer.Option(help="Folder to export a simulated bank to.")] = None,
    mode: Annotated[str, typer.Option(help=f"One of {', '.join(MODES)}.")] = "regenerate",
    cost_unit: Annotated[
        str, typer.Option(help=f"One of {', '.join(COST_UNITS)}; optima are found soonest in large_tokens.")
    ] = "large_tokens",
    problems: Annotated[int, typer.Option(help="Simulated problems in each split.")] = 2000,
    depth: Annotated[int, typer.Option(help="Horizon of an exported bank.")] = 5,
    resolution: Annotated[
        int | None, typer.Option(help="Of the planner's grid of beliefs; 16 without verifier scores, 8 with them.")
    ] = None,
    tolerance: Annotated[float, typer.Option(help="Of the optimum's upper bound, in accuracy.")] = 1e-3,
    episodes: Annotated[int, typer.Option(help="Episodes that each optimum is played for.")] = 200_000,
    seed: Annotated[int, typer.Option(help="Of episodes and fits.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for tables and figures.")] = Path("runs/simulate"),
) -> None:
    """Show a simulator preset, how close it is to measurements, and what is optimal in it: all of it SIMULATED."""
    from gym_stepwise_routing.sources.simulator import SimulatorSource, load_preset

    console = Console()
    try:
        check_choice("mode", mode, MODES)
        check_choice("cost_unit", cost_unit, COST_UNITS)
        source = SimulatorSource(preset, problems=problems)
        _show_origins(console, load_preset(preset))
        out.mkdir(parents=True, exist_ok=True)
        if figure:
            _figure(console, source, out)
        if against:
            _against(console, source, against, out, seed=seed)
        if frontier or regret:
            from gym_stepwise_routing.planning.contestants import AGENTS
            from gym_stepwise_routing.planning.report import draw_frontiers

            for name in agent or ():
                check_choice("agent", name, AGENTS)
            task = _Task(source, mode, cost_unit, resolution, tolerance, episodes, seed, problems, budget)  # type: ignore[arg-type]
            frontiers = _frontiers(console, task, out)
            rows = _regrets(console, task, frontiers, agent or (), seeds, out) if regret else ()
            draw_frontiers(task.title, frontiers, rows, out / f"{task.stem}-frontier.png")
            console.print(f"wrote {out / task.stem}-*", highlight=False)
        if bank is not None:
            from gym_stepwise_routing.sources.simulator.export import export_bank

            exported = export_bank(source, bank, depth=depth, seed=seed)
            console.print(f"wrote {bank} (simulated: true, {len(exported.nodes):,} nodes)", highlight=False)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _show_origins(console: Console, preset: Preset) -> None:
    title = f"SIMULATED: {preset.parameters.name}, where its numbers come from"
    table = Table(title=title, title_justify="left")
    for name in ("number", "basis", "origin"):
        table.add_column(name, overflow="fold")
    for name, origin in preset.origins.items():
        table.add_row(name, origin.basis, origin.text)
    console.print(table)


def _figure(console: Console, source: SimulatorSource, out: Path) -> None:
    from gym_stepwise_routing.planning.report import draw_curve, fidelity_table, write_text
    from gym_stepwise_routing.sources.simulator.fidelity import measure_fidelity

    fidelity = measure_fidelity(source)
    picture, table = out / f"{source.name}-curve.png", out / f"{source.name}-curve.md"
    draw_curve(source.name, fidelity, picture)
    write_text(table, fidelity_table(source.name, fidelity))
    console.print(f"wrote {picture}\nwrote {table}", highlight=False)


def _against(console: Console, source: SimulatorSource, bank: str, out: Path, *, seed: int) -> None:
    from gym_stepwise_routing.planning.report import bank_table, write_text
    from gym_stepwise_routing.sources.bank import BankSource
    from gym_stepwise_routing.sources.simulator.against_bank import compare_with_bank

    recorded = BankSource(bank)
    for split in SPLITS:
        rows = compare_with_bank(source, recorded, splits=(split,), seed=seed)
        table = out / f"{source.name}-against-{recorded.name}-{split}.md"
        write_text(table, bank_table(f"{source.name} and {recorded.name}, {split} split", rows))
        console.print(f"wrote {table}", highlight=False)


@dataclass(frozen=True, slots=True)
class _Task:
    """What is planned, and how well."""

    source: SimulatorSource
    mode: Mode
    unit: CostUnit
    resolution: int | None
    tolerance: float
    episodes: int
    seed: int
    problems: int
    budget: float

    @property
    def title(self) -> str:
        return f"{self.source.name}, mode {self.mode}, cost in {self.unit}"

    @property
    def stem(self) -> str:
        return f"{self.source.name}-{self.mode}-{self.unit}"

    def command(self, *more: str) -> str:
        parts = ["stepwise-routing simulate", f"--preset {self.source.name}", f"--mode {self.mode}"]
        parts += [f"--cost-unit {self.unit}", f"--tolerance {self.tolerance:g}"]
        parts += [] if self.resolution is None else [f"--resolution {self.resolution}"]
        return " ".join([*parts, f"--episodes {self.episodes}", f"--seed {self.seed}", *more])


def _frontiers(console: Console, task: _Task, out: Path) -> dict[Information, Frontier]:
    from gym_stepwise_routing.planning.planner import Planner
    from gym_stepwise_routing.planning.report import frontier_table, write_text

    process = task.source.process
    shown: list[Information] = ["full", "confidence" if process.confidence.shape[2] else "length"]
    shown += ["score"] if process.scored.any() else []
    frontiers: dict[Information, Frontier] = {}
    for information in shown:
        begin = time.perf_counter()
        planner = Planner(
            task.source,
            mode=task.mode,
            cost_unit=task.unit,
            information=information,
            resolution=task.resolution or (8 if information == "score" else 16),
        )
        frontiers[information] = found = planner.bounded_frontier(
            tolerance=task.tolerance, episodes=task.episodes, seed=task.seed
        )
        console.print(
            f"information {information}: {len(found.lines)} optima, bounds {100 * found.gap:.2f} points apart, "
            f"{time.perf_counter() - begin:.0f} s",
            highlight=False,
        )
    table = frontier_table(task.title, task.command("--frontier"), frontiers)
    write_text(out / f"{task.stem}-frontier.md", table)
    return frontiers


def _regrets(
    console: Console,
    task: _Task,
    frontiers: dict[Information, Frontier],
    agents: Sequence[str],
    seeds: int,
    out: Path,
) -> tuple[Regret, ...]:
    from gym_stepwise_routing.planning.contestants import agent_outcomes, baseline_outcomes
    from gym_stepwise_routing.planning.costs import StepCosts
    from gym_stepwise_routing.planning.regret import regrets
    from gym_stepwise_routing.planning.report import regret_table, write_text
    from gym_stepwise_routing.sources.simulator import SimulatorSource

    normaliser = StepCosts.of(task.source, task.unit).normaliser
    outcomes: list[Outcome] = []
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
            outcomes += baseline_outcomes(source, **game)
            if agents:
                outcomes += agent_outcomes(agents, source, **game)
    rows = regrets(outcomes, frontiers)
    options = [
        f"--regret --budget {task.budget:g} --problems {task.problems} --seeds {seeds}",
        *(f"--agent {agent}" for agent in agents),
    ]
    table = regret_table(task.title, task.command(*options), rows, frontiers, task.budget)
    write_text(out / f"{task.stem}-regret.md", table)
    return rows
