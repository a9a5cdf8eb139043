"""``stepwise-routing check``: shake hands with every endpoint of a pool file."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gym_stepwise_routing.cli.plain_errors import plain_errors

__all__ = ["check"]

_COLOURS = {"yes": "green", "no": "yellow", "fails": "red"}


def check(
    config: Annotated[Path, typer.Argument(help="Pool file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Whether each endpoint answers, continues a half-written line, tells log-probabilities, counts, and draws tokens.

    Exit status 0: everything; 1: something is missing, and the report says what that costs; 2: an endpoint fails.
    """
    from gym_stepwise_routing.serving.handshake import shake_hands
    from gym_stepwise_routing.serving.pool_config import load_config

    with plain_errors():
        findings = asyncio.run(shake_hands(load_config(config)))
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        table = Table("model", "question", "", "", box=box.SIMPLE_HEAD)
        table.columns[0].no_wrap = True  # names stay whole
        table.columns[-1].overflow = "fold"
        for finding in findings:
            colour = _COLOURS[finding.status]
            status = f"[{colour}]{finding.status}[/{colour}]"
            table.add_row(escape(finding.model), finding.question, status, escape(finding.told))
        Console(highlight=False).print(table)
    statuses = {finding.status for finding in findings}
    raise typer.Exit(2 if "fails" in statuses else 1 if "no" in statuses else 0)
