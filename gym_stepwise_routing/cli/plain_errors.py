"""The one form in which every command tells an error: a line on standard error, no traceback, a status."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.markup import escape

from gym_stepwise_routing.errors import BankError, HubError, RecordingError

__all__ = ["FAULT", "USAGE", "plain_errors"]

FAULT, USAGE = 1, 2
"""Exit statuses: something that was asked for failed; the command was used in a way that it does not allow."""


@contextmanager
def plain_errors(*faults: type[Exception]) -> Iterator[None]:
    """Tell a ``ValueError`` in one line and end with status 2; a fault of a file or of models with status 1.

    Args:
        *faults: further exceptions that are faults, beside those of banks, the hub, recordings and the disk.
    """
    kinds: tuple[type[Exception], ...] = (BankError, HubError, RecordingError, OSError, *faults)
    try:
        yield
    except kinds as error:
        _tell(error)
        raise typer.Exit(FAULT) from None
    except ValueError as error:
        _tell(error)
        raise typer.Exit(USAGE) from None


def _tell(error: Exception) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"[red]error:[/red] {escape(str(error))}")
