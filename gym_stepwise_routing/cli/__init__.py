"""The command ``stepwise-routing``."""

from __future__ import annotations

import sys

from gym_stepwise_routing.errors import missing_extra


def main() -> None:
    """Run the command line; without the extra that a command needs, say which one."""
    try:
        from gym_stepwise_routing.cli.app import app

        app()
    except ModuleNotFoundError as error:
        if (told := missing_extra(error)) is None:
            raise
        sys.exit(f"error: this needs {told}")
