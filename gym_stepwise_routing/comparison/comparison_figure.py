"""A comparison as a picture: accuracy against cost, one panel a group, the same references in each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gym_stepwise_routing.comparison.comparison import Comparison, Row
from gym_stepwise_routing.evaluation.frontier import zero_router_hull

try:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
except ImportError as error:
    raise ImportError("figures need matplotlib: pip install 'gym-stepwise-routing[cli]'") from error

__all__ = ["draw"]

_COLUMNS = 3
_PANEL = (5.4, 4.4)


def draw(result: Comparison, path: Path) -> None:
    """Write the figure; its format follows the suffix, such as ``.png`` or ``.svg``.

    Lines are whole curves on the reported split (oracle sweeps); rings are the points that calibration chose, with 95 %
    intervals.
    """
    played = [row for row in result.rows if not row.not_applicable]
    groups = list(dict.fromkeys(row.group for row in played)) or ["nobody could play"]
    columns = min(_COLUMNS, len(groups))
    lines = -(-len(groups) // columns)
    figure = Figure(figsize=(_PANEL[0] * columns, _PANEL[1] * lines + 0.5), layout="constrained")
    axes: Sequence[Axes] = list(np.atleast_1d(figure.subplots(lines, columns, sharex=True, sharey=True)).ravel())
    for panel, group in zip(axes, groups, strict=False):
        _references(panel, result)
        _curves(panel, [row for row in played if row.group == group])
        panel.set_title(group)
        panel.grid(alpha=0.25)
        panel.legend(fontsize=7, loc="lower right")
    for panel in axes[len(groups) :]:
        panel.set_visible(False)
    simulated = "SIMULATED: " if result.simulated else ""
    figure.suptitle(
        f"{simulated}{result.source}, mode {result.mode}, {result.split} split, n = {result.problems[result.split]}"
    )
    figure.supxlabel(f"cost in {result.cost_unit} (always-largest = 1)")
    figure.supylabel("accuracy")
    FigureCanvasAgg(figure)
    partial = path.with_name(f".{path.stem}.tmp{path.suffix}")
    figure.savefig(partial, dpi=110)
    os.replace(partial, path)


def _references(panel: Axes, result: Comparison) -> None:
    models = result.reference.models
    hull = zero_router_hull([m.mean_cost for m in models], [m.accuracy for m in models])
    panel.plot(hull.costs, hull.accuracies, color="0.55", linestyle=":", label="zero router")
    panel.plot([m.mean_cost for m in models], [m.accuracy for m in models], "s", color="0.4", markersize=5)
    if result.reference.ceiling is not None:
        ceiling = result.reference.ceiling
        panel.plot(ceiling.costs, ceiling.accuracies, color="0.75", linewidth=3, label="oracle (bound)", zorder=0)


def _curves(panel: Axes, rows: Sequence[Row]) -> None:
    for number, row in enumerate(rows):
        if row.costs is None or row.accuracies is None:
            continue
        color = f"C{number % 10}"
        style = "-" if number < 10 else "--"
        order = np.argsort(row.costs, kind="stable")
        panel.plot(
            row.costs[order],
            row.accuracies[order],
            style,
            color=color,
            linewidth=1.2,
            marker=".",
            markersize=3,
            label=row.name,
        )
        if row.chosen is not None:
            accuracy, cost = row.chosen.accuracy, row.chosen.cost
            panel.errorbar(
                cost.estimate,
                accuracy.estimate,
                xerr=[[cost.estimate - cost.low], [cost.high - cost.estimate]],
                yerr=[[accuracy.estimate - accuracy.low], [accuracy.high - accuracy.estimate]],
                fmt="o",
                markerfacecolor="white",
                color=color,
                elinewidth=0.6,
                alpha=0.8,
            )
