"""The commands of ``stepwise-routing``, one module each."""

from __future__ import annotations

from typing import Annotated

import typer

from gym_stepwise_routing.cli import bank_command as bank
from gym_stepwise_routing.cli import leaderboard_command as leaderboard
from gym_stepwise_routing.cli.calibrate_command import calibrate
from gym_stepwise_routing.cli.check_command import check
from gym_stepwise_routing.cli.compare_command import compare
from gym_stepwise_routing.cli.evaluate_command import evaluate
from gym_stepwise_routing.cli.hub_command import router
from gym_stepwise_routing.cli.list_command import list_
from gym_stepwise_routing.cli.plain_errors import PlainGroup
from gym_stepwise_routing.cli.record_command import record
from gym_stepwise_routing.cli.report_command import report
from gym_stepwise_routing.cli.score_command import score
from gym_stepwise_routing.cli.serve_command import serve
from gym_stepwise_routing.cli.simulate_command import simulate
from gym_stepwise_routing.cli.train_command import train
from gym_stepwise_routing.types import VERSION

__all__ = ["app"]

app = typer.Typer(
    name="stepwise-routing",
    cls=PlainGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("list")(list_)
app.command()(compare)
app.command()(score)
app.command()(train)
app.command()(calibrate)
app.command()(evaluate)
app.command()(check)
app.command()(serve)
app.command()(report)
app.command()(record)
app.command()(simulate)
app.command()(leaderboard.submit)
app.command()(leaderboard.verify)
app.add_typer(leaderboard.leaderboard, name="leaderboard")
app.add_typer(bank.app, name="bank")
app.add_typer(router, name="router")


def _version(asked: bool) -> None:
    if asked:
        print(f"stepwise-routing {VERSION}")
        raise typer.Exit


@app.callback()
def _commands(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Benchmark of stepwise LLM routing: which model writes the next reasoning step?"""
