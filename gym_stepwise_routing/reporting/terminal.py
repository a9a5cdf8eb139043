"""Tables in a terminal."""

from __future__ import annotations

from rich import box
from rich.markup import escape
from rich.table import Table as RichTable

from gym_stepwise_routing.reporting.pages import Table

__all__ = ["rich_table"]


def rich_table(table: Table) -> RichTable:
    """The table for :mod:`rich`."""
    shown = RichTable(title=escape(table.title), title_justify="left", box=box.SIMPLE_HEAD)
    for place, name in enumerate(table.columns):
        shown.add_column(name, overflow="fold", no_wrap=place == 0)  # names stay whole
    for heading, line in table.lines():
        shown.add_row(*(escape(cell) for cell in line), style="bold" if heading else None)
    return shown
