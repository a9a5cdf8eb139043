"""``python -m studies.demo``: train, calibrate, compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

__all__ = ["demo"]


def demo(
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("runs/demo"),
    seeds: Annotated[int, typer.Option(min=1, help="Number of training seeds.")] = 3,
) -> None:
    """Train a constrained router on recorded traces, calibrate it, and compare it with baselines on test problems."""
    from gym_stepwise_routing.agents.training import hyperparameters
    from gym_stepwise_routing.reporting.terminal import rich_table
    from studies.demo.demo import AGENT, run_demo

    console = Console()
    columns = (TextColumn("{task.description:24}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    total = hyperparameters(AGENT).total_timesteps

    def announce(line: str) -> None:
        console.print(escape(line), highlight=False)

    with Progress(*columns, console=console) as bars:
        tasks: dict[str, TaskID] = {}

        def advance(stage: str, steps: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.advance(tasks[stage], steps)

        page = run_demo(out, seeds=range(seeds), progress=advance, announce=announce)
    console.print(f"\n[bold]{page.heading}[/bold]")
    console.print(f"{escape(page.lead)}\n", highlight=False)
    for line in page.setting:
        console.print(f"- {escape(line)}", highlight=False)
    for table in page.tables:
        console.print(rich_table(table))
    shown = escape(str(out))
    console.print(f"Page: {shown}/demo.html; TensorBoard: tensorboard --logdir {shown}/tensorboard")


if __name__ == "__main__":
    typer.run(demo)
