"""How traces ended, by model, as a table and as warnings: for ``record`` and ``bank info``."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gym_stepwise_routing.banks.manifest import Endings
from gym_stepwise_routing.recorder.endings import ending_warnings

__all__ = ["print_endings"]

_SHARES = ("unanswered", "answer", "stop", "length", "repetition", "empty")


def print_endings(console: Console, endings: Mapping[str, Endings] | None, *, table: bool = True) -> bool:
    """Print the account, if there is one, and whether anything is wrong."""
    if endings is None:
        return False
    if table:
        shown = Table("traces that end with", "count", "no answer", "ended by: answer", *_SHARES[2:])
        shown.columns[0].no_wrap = True  # names stay whole
        for name, count in endings.items():
            shares = [f"{getattr(count, share) / count.traces:.1%}" if count.traces else "" for share in _SHARES]
            shown.add_row(escape(name), f"{count.traces:,}", *shares)
        console.print(shown)
    warnings = ending_warnings(endings)
    for warning in warnings:
        console.print(f"[yellow]warning:[/yellow] {escape(warning)}", soft_wrap=True)
    return bool(warnings)
