"""The picture of the field: accuracy against cost, every router, intervals, and the oracle's frontier."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gym_stepwise_routing.costs import CostUnit
from gym_stepwise_routing.report.rows import Row

__all__ = ["Curve", "Panel", "draw_frontiers"]

_UNITS: dict[CostUnit, str] = {
    "large_tokens": "tokens decoded by the largest model",
    "flops": "FLOPs, prefill included",
    "dollars": "dollars",
    "latency": "latency",
}
# Okabe-Ito: told apart with colour-blindness; the marker says it again.
_STYLES = {
    "constant": ("#000000", "s"),
    "baseline": ("#0072B2", "o"),
    "agent": ("#D55E00", "D"),
    "bound": ("#009E73", "*"),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """A line: costs (always-largest = 1) and accuracies, both ``float64[m]``. Equal names share a legend entry."""

    name: str
    costs: NDArray[np.float64]
    accuracies: NDArray[np.float64]


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

    Args:
        rows: routers to show as points with 95 % intervals.
        panels: what to draw besides the points.
        path: file to write; it appears only when it is complete.
        title: what was played, on how many problems; simulated results are marked in it.
    """
    figure = Figure(figsize=(6.6 * len(panels), 6.0), layout="constrained")
    FigureCanvasAgg(figure)
    for k, panel in enumerate(panels, start=1):
        axes = figure.add_subplot(1, len(panels), k)
        _draw(axes, rows, panel)
    handles, labels = _legend(axes)
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    simulated = "SIMULATED: " if any(row.simulated for row in rows) else ""
    figure.suptitle(simulated + title, fontsize=11)
    partial = path.with_name(path.name + ".tmp")
    figure.savefig(partial, format="png", dpi=150)
    os.replace(partial, path)


def _draw(axes: Axes, rows: Sequence[Row], panel: Panel) -> None:
    if panel.frontier is not None:
        line = panel.frontier
        axes.plot(line.costs, line.accuracies, color=_STYLES["bound"][0], lw=1.5, label=line.name)
    for line in panel.curves:
        axes.plot(line.costs, line.accuracies, color=_STYLES["agent"][0], lw=0.8, alpha=0.7, label=line.name)
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
            ms=10 if marker == "*" else 5,
            label=row.kind,
        )
    _label(axes, [(row.router, row.costs[panel.unit].estimate, row.accuracy.estimate) for row in rows])
    axes.set_xlabel(f"cost: {_UNITS[panel.unit]} (always-largest = 1)")
    axes.set_ylabel("accuracy")
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0 if panel.unit != "large_tokens" else -0.03)
    axes.grid(alpha=0.2)


def _arms(estimate: float, low: float, high: float) -> list[list[float]]:
    return [[max(estimate - low, 0.0)], [max(high - estimate, 0.0)]]


def _label(axes: Axes, points: Sequence[tuple[str, float, float]]) -> None:
    """Names beside the points, in turn above and below them; points that coincide share one label."""
    at: dict[tuple[float, float], list[str]] = {}
    for name, x, y in points:
        at.setdefault((round(x, 2), round(y, 2)), []).append(name)
    middle = (min(x for x, _ in at) + max(x for x, _ in at)) / 2
    for k, ((x, y), names) in enumerate(sorted(at.items())):
        left = x > middle
        axes.annotate(
            "\n".join(names),
            (x, y),
            xytext=(-5 if left else 5, 4 if k % 2 else -4),
            textcoords="offset points",
            ha="right" if left else "left",
            va="bottom" if k % 2 else "top",
            fontsize=6.5,
            color="#333333",
        )


def _legend(axes: Axes) -> tuple[list[Artist], list[str]]:
    """One entry a label."""
    handles: dict[str, Artist] = {}
    for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
        handles.setdefault(label, handle)
    return list(handles.values()), list(handles)
