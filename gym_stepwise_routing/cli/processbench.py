"""``stepwise-routing processbench``: does a text verifier find the first wrong step?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

__all__ = ["processbench"]


def processbench(
    file: Annotated[Path, typer.Argument(help="One of ProcessBench's JSON files.")],
    encoder: Annotated[str, typer.Option(help="Local folder or hub name of a text encoder.")],
    layers: Annotated[int, typer.Option(help="Topmost layers that are fine-tuned; 0: the head alone.")] = 2,
    epochs: Annotated[int, typer.Option(help="Passes over the labelled steps.")] = 2,
    seed: Annotated[int, typer.Option(help="Seed of training.")] = 0,
) -> None:
    """F1 on ProcessBench by cross-fitting over problems, beside guesses that do not read the solution."""
    from gym_stepwise_routing.baselines.verifiers.processbench import cross_fitted, majority, read_processbench
    from gym_stepwise_routing.baselines.verifiers.text import TextVerifier

    try:
        solutions = read_processbench(file)
        verifier = TextVerifier(encoder, layers=layers, epochs=epochs, seed=seed)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(str(error)) from None
    rows = {f"guess: {name}": score for name, score in majority(solutions, solutions).items()}
    rows[verifier.name] = cross_fitted(solutions, verifier)
    table = Table("judge", "with an error", "without", "F1", title=f"{file.name}, n = {len(solutions)}")
    for name, score in rows.items():
        table.add_row(name, f"{score.with_error:.3f}", f"{score.without_error:.3f}", f"{score.f1:.3f}")
    Console().print(table)
