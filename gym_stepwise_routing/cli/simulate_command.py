"""``stepwise-routing simulate``: a simulator preset, where its numbers come from, and its trees as a bank."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

__all__ = ["simulate"]

_DEPTH = 5


def simulate(
    preset: Annotated[str, typer.Option(help="Simulator preset.")],
    bank: Annotated[Path | None, typer.Option(help="Folder to export a simulated bank to.")] = None,
    problems: Annotated[int, typer.Option(help="Simulated problems in each split.")] = 2000,
    depth: Annotated[
        int | None, typer.Option(help="With --bank: horizon of the exported bank. [default: 5, or the preset's]")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the exported trees.")] = 0,
) -> None:
    """Show where a simulator preset's numbers come from, and export simulated trees as a bank."""
    from gym_stepwise_routing.sources.simulator import SimulatorSource, load_preset
    from gym_stepwise_routing.sources.simulator.to_bank import export_bank

    console = Console()
    try:
        if depth is not None and bank is None:
            raise ValueError(f"depth={depth!r} has no effect here; allowed: with --bank")
        source = SimulatorSource(preset, problems=problems)
        shown = load_preset(preset)
        title = f"SIMULATED: {shown.parameters.name}, where its numbers come from"
        table = Table(title=title, title_justify="left")
        for name in ("number", "basis", "origin"):
            table.add_column(name, overflow="fold")
        for name, origin in shown.origins.items():
            table.add_row(name, origin.basis, origin.text)
        console.print(table)
        if bank is not None:
            exported = export_bank(
                source, bank, depth=min(_DEPTH, source.horizon) if depth is None else depth, seed=seed
            )
            console.print(f"wrote {bank} (simulated: true, {len(exported.nodes):,} nodes)", highlight=False)
    except (ValueError, OSError) as error:
        raise typer.BadParameter(str(error)) from None
