"""``stepwise-routing simulate``: a simulator preset, its distance to measurements, and its optima."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from gym_stepwise_routing.accounting import MODES, Mode
from gym_stepwise_routing.costs import COST_UNITS, CostUnit
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.sources.base import SPLITS

if TYPE_CHECKING:
    from gym_stepwise_routing.planning.frontier import Frontier
    from gym_stepwise_routing.planning.regret import Regret
    from gym_stepwise_routing.sources.simulator import SimulatorSource
    from gym_stepwise_routing.sources.simulator.presets import Preset

__all__ = ["simulate"]


def simulate(
    preset: Annotated[str, typer.Option(help="Simulator preset.")],
    figure: Annotated[bool, typer.Option("--figure", help="Published curve and ours: a picture and a table.")] = False,
    frontier: Annotated[bool, typer.Option("--frontier", help="Optimal accuracy at every cost.")] = False,
    regret: Annotated[bool, typer.Option("--regret", help="Regret of all routers to the optimum.")] = False,
    against: Annotated[str, typer.Option(help="Bank that is compared with the simulator, router by router.")] = "",
    bank: Annotated[Path | None, typer.Option(help="Folder to export a simulated bank to.")] = None,
    mode: Annotated[str, typer.Option(help=f"One of {', '.join(MODES)}.")] = "regenerate",
    cost_unit: Annotated[str, typer.Option(help=f"One of {', '.join(COST_UNITS)}.")] = "flops",
    problems: Annotated[int, typer.Option(help="Simulated problems in each split.")] = 2000,
    depth: Annotated[int, typer.Option(help="Horizon of an exported bank.")] = 5,
    resolution: Annotated[int, typer.Option(help="Of the planner's grid of beliefs.")] = 8,
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
            _optima(
                console,
                source,
                out,
                mode=mode,  # type: ignore[arg-type]
                cost_unit=cost_unit,  # type: ignore[arg-type]
                resolution=resolution,
                episodes=episodes,
                seed=seed,
                compared=regret,
            )
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


def _optima(
    console: Console,
    source: SimulatorSource,
    out: Path,
    *,
    mode: Mode,
    cost_unit: CostUnit,
    resolution: int,
    episodes: int,
    seed: int,
    compared: bool,
) -> None:
    from gym_stepwise_routing.planning.planner import Information, Planner
    from gym_stepwise_routing.planning.regret import regrets
    from gym_stepwise_routing.planning.report import draw_frontiers, frontier_table, regret_table, write_text

    process = source.process
    shown: list[Information] = ["full"]
    shown += ["confidence"] if process.confidence.shape[2] else ["length"]
    shown += ["score"] if process.scored.any() else []
    frontiers: dict[str, Frontier] = {}
    for information in shown:
        planner = Planner(source, mode=mode, cost_unit=cost_unit, information=information, resolution=resolution)
        solved = planner.frontier()
        frontiers[information] = planner.played_frontier(solved, episodes=episodes, seed=seed)
        console.print(f"{information}: {len(solved.solutions)} optima", highlight=False)
    title = f"{source.name}, mode {mode}, cost in {cost_unit}"
    stem = f"{source.name}-{mode}-{cost_unit}"
    write_text(out / f"{stem}-frontier.md", frontier_table(title, frontiers))
    rows: tuple[Regret, ...] = ()
    if compared:
        from gym_stepwise_routing.compare.run import run_comparison

        comparison = run_comparison(source, mode=mode, cost_unit=cost_unit, problems=source.size, seed=seed)
        rows = regrets(
            comparison,
            seen=lambda scores: frontiers["score" if scores else shown[1]],
            full=frontiers["full"],
        )
        write_text(out / f"{stem}-regret.md", regret_table(title, rows))
    draw_frontiers(title, frontiers, rows, out / f"{stem}-frontier.png")
    console.print(f"wrote {out / stem}-*", highlight=False)
