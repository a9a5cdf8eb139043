"""The picture of the field: accuracy against cost, every router, intervals, and the oracle's frontier."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from numpy.typing import NDArray

from gym_stepwise_routing.costs.units import COST_UNITS, CostUnit
from gym_stepwise_routing.reporting.labels import place_labels
from gym_stepwise_routing.reporting.result_rows import Row

__all__ = ["Curve", "Panel", "draw_frontiers"]

# Okabe-Ito: told apart with colour-blindness; the marker says it again.
_STYLES = {
    "constant": ("#000000", "s"),
    "baseline": ("#0072B2", "o"),
    "agent": ("#D55E00", "D"),
    "bound": ("#009E73", "*"),
}
_GAP = 2.0
"""Pixels left free around labels."""
_LEADER = 14.0
"""Beyond so many typographic points from its marker, a label is joined to it by a line."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """A line: costs (always-largest = 1) and accuracies, both ``float64[m]``. Equal names share a legend entry.

    Attributes:
        name: what the legend calls it.
        costs: cost of each point.
        accuracies: accuracy of each point.
        kind: kind of the router that was swept, as in :class:`...reporting.result_rows.Row`: its colour.
    """

    name: str
    costs: NDArray[np.float64]
    accuracies: NDArray[np.float64]
    kind: str = "agent"


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One cost unit.

    Attributes:
        unit: unit of the cost axis.
        frontier: the oracle's frontier, or None.
        curves: swept thresholds.
    """

    unit: CostUnit
    frontier: Curve | None = None
    curves: tuple[Curve, ...] = ()


def draw_frontiers(rows: Sequence[Row], panels: Sequence[Panel], path: Path, *, title: str) -> None:
    """Write the picture as PNG, one panel a cost unit; costs are relative to always-largest.

    Points carry the number of their row, which the legend resolves: names beside twenty points would cover them.

    Args:
        rows: routers to show as points with 95 % intervals.
        panels: what to draw besides the points.
        path: file to write; it appears only when it is complete.
        title: what was played, on how many problems; simulated results are marked in it.
    """
    columns = 2 * len(panels)
    figure = Figure(figsize=(6.6 * len(panels), 5.6 + 0.17 * (len(rows) / columns + 3)), layout="constrained")
    FigureCanvasAgg(figure)
    every = [figure.add_subplot(1, len(panels), k) for k in range(1, len(panels) + 1)]
    for axes, panel in zip(every, panels, strict=True):
        _draw(axes, rows, panel)
    handles, labels = _legend(every)
    numbered = [_point(row) for row in rows]
    names = [f"{number}  {row.router}" for number, row in enumerate(rows, start=1)]
    figure.legend(
        [*numbered, *handles], [*names, *labels], loc="outside lower center", ncols=columns, fontsize=8, frameon=False
    )
    simulated = "SIMULATED: " if any(row.simulated for row in rows) else ""
    figure.suptitle(simulated + title, fontsize=11)
    figure.canvas.draw()  # the layout is final now, and places in pixels mean something
    for axes, panel in zip(every, panels, strict=True):
        _number(axes, [(row.costs[panel.unit].estimate, row.accuracy.estimate) for row in rows])
    partial = path.with_name(path.name + ".tmp")
    figure.savefig(partial, format="png", dpi=150)
    os.replace(partial, path)


def _draw(axes: Axes, rows: Sequence[Row], panel: Panel) -> None:
    if panel.frontier is not None:
        line = panel.frontier
        axes.plot(line.costs, line.accuracies, color=_STYLES["bound"][0], lw=1.5, label=line.name)
    for line in panel.curves:
        axes.plot(line.costs, line.accuracies, color=_STYLES[line.kind][0], lw=0.8, alpha=0.7, label=line.name)
    ends = [row for row in rows if row.kind == "constant"]
    if len(ends) >= 2:
        chord = [(row.costs[panel.unit].estimate, row.accuracy.estimate) for row in (ends[0], ends[-1])]
        axes.plot(*zip(*chord, strict=True), color="#999999", ls="--", lw=1, label="mixing the constants by problem")
    for row in rows:
        colour, marker = _STYLES[row.kind]
        cost = row.costs[panel.unit]
        axes.errorbar(
            cost.estimate,
            row.accuracy.estimate,
            xerr=_arms(cost.estimate, cost.low, cost.high),
            yerr=_arms(row.accuracy.estimate, row.accuracy.low, row.accuracy.high),
            fmt=marker,
            color=colour,
            ecolor=colour,
            elinewidth=0.5,
            alpha=0.9,
            ms=_size(marker),
        )
    axes.set_xlabel(f"cost: {COST_UNITS.get(panel.unit).label} (always-largest = 1)")
    axes.set_ylabel("accuracy")
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0 if panel.unit != "large_tokens" else -0.03)
    axes.grid(alpha=0.2)


def _arms(estimate: float, low: float, high: float) -> list[list[float]]:
    return [[max(estimate - low, 0.0)], [max(high - estimate, 0.0)]]


def _size(marker: str) -> float:
    return 10 if marker == "*" else 5


def _point(row: Row) -> Line2D:
    """The row's marker, for the legend."""
    colour, marker = _STYLES[row.kind]
    return Line2D([], [], color=colour, marker=marker, ls="", ms=_size(marker))


def _number(axes: Axes, points: Sequence[tuple[float, float]]) -> list[Text]:
    """Numbers beside the points, clear of all of them; points that coincide share a label."""
    at: dict[tuple[float, float], list[int]] = {}
    for number, (x, y) in enumerate(points, start=1):
        at.setdefault((round(x, 3), round(y, 3)), []).append(number)
    texts = [
        axes.text(x, y, ", ".join(map(str, numbers)), fontsize=7, color="#333333", ha="center", va="center")
        for (x, y), numbers in at.items()
    ]
    pixels = [(float(x), float(y)) for x, y in axes.transData.transform(list(at))]
    sizes = [(box.width + _GAP, box.height + _GAP) for box in (text.get_window_extent() for text in texts)]
    per_point = axes.get_figure().dpi / 72  # type: ignore[union-attr]
    places = place_labels(pixels, sizes, marker=9 * per_point, frame=axes.bbox.extents)
    for text, place, pixel in zip(texts, places, pixels, strict=True):
        text.set_in_layout(False)
        x, y = axes.transData.inverted().transform(place)
        text.set_position((float(x), float(y)))
        if math.dist(place, pixel) > _LEADER * per_point:
            ends = axes.transData.inverted().transform([pixel, place])
            axes.plot(*ends.T, color="#999999", lw=0.4, zorder=1, scalex=False, scaley=False)
    return texts


def _legend(every: Sequence[Axes]) -> tuple[list[Artist], list[str]]:
    """One entry a label, whichever panels have it."""
    handles: dict[str, Artist] = {}
    for axes in every:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    return list(handles.values()), list(handles)
