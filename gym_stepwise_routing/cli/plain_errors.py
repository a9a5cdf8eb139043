"""The one form in which every command tells an error: a line on standard error, no traceback, a status."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from gym_stepwise_routing.errors import BankError, HubError, RecordingError

__all__ = ["FAULT", "USAGE", "PlainGroup", "plain_errors"]

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


class PlainGroup(TyperGroup):
    """The commands, which tell what typer itself finds wrong (an option that does not exist) in the same form."""

    def main(  # the parameters are those of typer
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command; see ``typer``. Ends the process, unless ``standalone_mode`` is False."""
        given = (args, prog_name, complete_var, False, windows_expand_args)
        if not standalone_mode:
            return super().main(*given, **extra)
        try:
            status = super().main(*given, **extra)
        except Exception as error:
            if not hasattr(error, "format_message"):  # of click, which newer versions of typer bring with them
                raise
            _tell_usage(error)
            sys.exit(USAGE)
        sys.exit(status if isinstance(status, int) else 0)


def _tell_usage(error: Any) -> None:
    """One line on what click refuses; the help where nothing was asked for."""
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error.ctx.get_help())
        return
    told = error.format_message().rstrip(".").replace("\n", " ")
    where = f" (see {error.ctx.command_path} --help)" if getattr(error, "ctx", None) else ""
    _tell(f"{told[:1].lower()}{told[1:]}{where}")


def _tell(error: Exception | str) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"[red]error:[/red] {escape(str(error))}")
