"""How traces ended, by model, as a table and as warnings: for ``record`` and ``bank info``."""

from __future__ import annotations

from collections.abc import Mapping

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gym_stepwise_routing.banks.manifest import Endings
from gym_stepwise_routing.recorder.endings import ending_warnings

__all__ = ["print_endings"]

_SHARES = ("unanswered", "answer", "stop", "length", "repetition", "empty")
_HEADS = ("answer", "stop", "length", "repeat", "empty")
"""What the columns after the first of these are called: short, so that the table fits 80 columns."""


def print_endings(console: Console, endings: Mapping[str, Endings] | None, *, table: bool = True) -> bool:
    """Print the account, if there is one, and whether anything is wrong."""
    if endings is None:
        return False
    if table:
        shown = Table(
            *("", "traces", "no\nanswer", *_HEADS),
            title="How traces end, by the model that wrote last",
            title_justify="left",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
            padding=0,
        )
        for column in shown.columns:
            column.no_wrap = True  # names and numbers stay whole
        for name, count in endings.items():
            shares = [f"{getattr(count, share) / count.traces:.1%}" if count.traces else "" for share in _SHARES]
            shown.add_row(escape(name), f"{count.traces:,}", *shares)
        console.print(shown)
    warnings = ending_warnings(endings)
    for warning in warnings:
        console.print(f"[yellow]warning:[/yellow] {escape(warning)}", soft_wrap=True)
    return bool(warnings)
