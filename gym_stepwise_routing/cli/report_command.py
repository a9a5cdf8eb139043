"""``stepwise-routing report``: what the decision log of a server says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from gym_stepwise_routing.cli.plain_errors import plain_errors

__all__ = ["report"]


def report(
    log: Annotated[Path, typer.Argument(help="Decision log of a server; its rotated files are read with it.")],
    out: Annotated[Path, typer.Option(help="Folder for report.html, .md, .json and .png.")] = Path("report"),
    resamples: Annotated[int, typer.Option(min=100, help="Bootstrap resamples over requests.")] = 10_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Saving a day against always-largest (estimated), shares, failures, speed, drift and feedback of a server."""
    from gym_stepwise_routing.serving.log_page import log_lines, write_log_page
    from gym_stepwise_routing.serving.log_report import report_on
    from gym_stepwise_routing.storage.strict_json import plain

    with plain_errors():
        found = report_on(log, resamples=resamples)
        page = write_log_page(found, out, f"stepwise-routing report {log} --out {out} --resamples {resamples}")
    if as_json:
        print(json.dumps(plain(found), indent=2))
        return
    console = Console(soft_wrap=True, highlight=False)
    for line in log_lines(found):
        console.print(escape(line))
    console.print(f"written: {escape(str(page))}")
