"""The command ``stepwise-routing``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; without the extra that it needs, say which one."""
    try:
        from gym_stepwise_routing.cli.app import app
    except ImportError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.exit("stepwise-routing needs typer and rich: pip install 'gym-stepwise-routing[cli]'")
    app()
