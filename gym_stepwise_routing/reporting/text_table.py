"""Tables of rows: Markdown, a terminal, JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from gym_stepwise_routing.costs.units import COST_UNITS, CostUnit
from gym_stepwise_routing.evaluation.bootstrap import Interval
from gym_stepwise_routing.reporting.result_rows import Row

__all__ = ["as_json", "markdown_table", "rich_table", "table_cells"]


def table_cells(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Header and cells of the rows as text; units that a row lacks are left out."""
    units = [unit for unit in COST_UNITS if all(unit in row.costs for row in rows)]
    header = ["router", "accuracy", *(COST_UNITS.get(unit).label for unit in units), "seeds", "note"]
    body = [
        [
            row.router,
            _figure(row.accuracy),
            *(_figure(row.costs[unit]) for unit in units),
            str(row.seeds),
            ("simulated; " if row.simulated else "") + row.note,
        ]
        for row in rows
    ]
    return header, body


def _figure(interval: Interval) -> str:
    return f"{interval.estimate:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def markdown_table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table; every figure with its interval."""
    header, body = table_cells(rows)
    lines = [header, ["---"] * len(header), *body]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def rich_table(rows: Sequence[Row], title: str, units: Sequence[CostUnit] = ("large_tokens", "flops")) -> Table:
    """The rows for a terminal: a few units, and intervals as plus or minus half their width, to fit 80 columns."""
    table = Table(title=title)
    table.add_column("router", no_wrap=True)
    for name in ("accuracy", *(COST_UNITS.get(unit).label for unit in units), "seeds"):
        table.add_column(name, justify="right")
    for row in rows:
        figures = [row.accuracy, *(row.costs[unit] for unit in units)]
        cells = [f"{figure.estimate:.3f} ±{(figure.high - figure.low) / 2:.2f}" for figure in figures]
        table.add_row(row.router, *cells, str(row.seeds), style="bold" if row.kind == "agent" else None)
    return table


def as_json(value: Any) -> Any:
    """Rows (or anything of dataclasses, lists and numbers) as strict JSON values; infinities and NaN become None."""
    if isinstance(value, Row | Interval):
        value = asdict(value)
    if isinstance(value, dict):
        return {str(key): as_json(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
