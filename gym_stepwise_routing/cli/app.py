"""The commands of ``stepwise-routing``, one module each."""

from __future__ import annotations

import typer

from gym_stepwise_routing.cli import bank, leaderboard
from gym_stepwise_routing.cli.compare import compare
from gym_stepwise_routing.cli.demo import demo
from gym_stepwise_routing.cli.processbench import processbench
from gym_stepwise_routing.cli.record import record
from gym_stepwise_routing.cli.score import score
from gym_stepwise_routing.cli.simulate import simulate
from gym_stepwise_routing.cli.train import train

__all__ = ["app"]

app = typer.Typer(
    name="stepwise-routing",
    help="Benchmark of stepwise LLM routing: which model writes the next reasoning step?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(demo)
app.command()(compare)
app.command()(score)
app.command()(processbench)
app.command()(train)
app.command()(record)
app.command()(simulate)
app.command()(leaderboard.submit)
app.command()(leaderboard.verify)
app.add_typer(leaderboard.leaderboard, name="leaderboard")
app.add_typer(bank.app, name="bank")


@app.callback()
def _commands() -> None:
    """Keep commands as commands, however many there are."""
