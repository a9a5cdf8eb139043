"""The commands of ``stepwise-routing``, one module each."""

from __future__ import annotations

import typer

from gym_stepwise_routing.cli import bank

__all__ = ["app"]

app = typer.Typer(
    name="stepwise-routing",
    help="Benchmark of stepwise LLM routing: which model writes the next reasoning step?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(bank.app, name="bank")
