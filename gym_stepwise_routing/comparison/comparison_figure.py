"""A comparison as a picture: accuracy against cost, one panel a group, the same references in each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gym_stepwise_routing.comparison.comparison import Comparison, Row
from gym_stepwise_routing.evaluation.frontier import zero_router_hull
from gym_stepwise_routing.reporting.figures import new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]


def draw(result: Comparison, path: Path) -> None:
    """Write the figure; its format follows the suffix, such as ``.png`` or ``.svg``.

    Lines are whole curves on the reported split (oracle sweeps); rings are the points that calibration chose, with 95 %
    intervals.
    """
    played = [row for row in result.rows if not row.not_applicable]
    groups = list(dict.fromkeys(row.group for row in played)) or ["nobody could play"]
    title = f"{result.source}, mode {result.mode}, {result.split} split, n = {result.problems[result.split]}"
    figure, axes = new_figure(len(groups), columns=3, title=title, simulated=result.simulated, shared=True)
    for panel, group in zip(axes, groups, strict=True):
        _references(panel, result)
        _curves(panel, [row for row in played if row.group == group])
        panel.set_title(group)
        panel.legend(fontsize=7, loc="lower right")
    figure.supxlabel(f"cost in {result.cost_unit} (always-largest = 1)")
    figure.supylabel("accuracy")
    save_figure(figure, path)


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
