"""What the page of an entry says, ready for its template."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from gym_stepwise_routing.costs.ledger import KINDS
from gym_stepwise_routing.leaderboard.board import Board, BoardRow
from gym_stepwise_routing.leaderboard.checking import Rerun
from gym_stepwise_routing.leaderboard.entry import CurveFigures, Estimate, UnitFigures
from gym_stepwise_routing.leaderboard.site.site_data import points

__all__ = ["Figure", "entry_page", "figure"]

_RERUN: dict[Rerun, str] = {
    "done": "Every decision was replayed on the recorded trees, every figure recomputed from recorded tokens, and the "
    "router was run again with the same decisions.",
    "not trusted": "Every decision was replayed and every figure recomputed. The router was not run again, because "
    "that would run code of its authors: that the decisions are the router's is their word.",
    "not asked": "Every decision was replayed and every figure recomputed. The router was not run again.",
}
_BLIND = " In another problem order, in smaller batches and under other problem names it decides the same."
_SHARE = "least share of the cost gap that recovers {} % of the accuracy gap; threshold picked on this split"
_CURVES = {
    "apgr": ("APGR", "area under the performance gap recovered; mixing the constants at random gives 0.5"),
    "aiq": ("AIQ", "mean height of the concave envelope, an accuracy"),
    "cpt80": (
        "CPT 80 %",
        "least share of the cost gap that recovers 80 % of the accuracy gap; threshold picked on this split",
    ),
    "cpt95": (
        "CPT 95 %",
        "least share of the cost gap that recovers 95 % of the accuracy gap; threshold picked on this split",
    ),
}


Form = Literal["number", "percent", "points"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table of figures: what it is, what it means, value and interval as text."""

    label: str
    meaning: str
    value: str
    interval: str


def figure(label: str, meaning: str, estimate: Estimate | None, *, form: Form = "number") -> Figure:
    """A figure as text."""
    if estimate is None:
        return Figure(label, meaning, "undefined", "")

    def text(value: float | str) -> str:
        if isinstance(value, str):
            return value
        if form == "points":
            return points(value)
        return (f"{100 * value:.1f} %" if form == "percent" else f"{value:.3f}").replace("-", "\N{MINUS SIGN}")

    low, high = text(estimate.low), text(estimate.high)
    return Figure(label, meaning, text(estimate.value), "" if low == high else f"{low} to {high}")


def entry_page(board: Board, row: BoardRow) -> dict[str, Any]:
    """Values for ``entry.html.j2``."""
    figures = row.entry.figures
    largest = board.constants.right[-1]
    right = np.stack([run.outcome.right for run in row.runs])
    return {
        "row": row,
        "verified": _RERUN[row.rerun] + (_BLIND if row.rerun == "done" and row.entry.kind == "router" else ""),
        "overall": [
            figure("Accuracy", "share of right answers", figures.accuracy, form="percent"),
            figure(
                "Harm", "problems that always-largest gets right and this router wrong", figures.harm, form="percent"
            ),
        ],
        "by_unit": _transposed([_unit_figures(values) for values in figures.units.values()]),
        "kinds": [kind for kind in KINDS if any(run.ledger[m][kind] for run in row.entry.runs for m in run.ledger)],
        "ledger": {
            model: {
                kind: sum(run.ledger[model][kind] for run in row.entry.runs) / (figures.problems * figures.runs)
                for kind in KINDS
            }
            for model in row.entry.runs[0].ledger
        },
        "against_largest": [
            ("both right", float((right & largest).mean())),
            ("only this router right", float((right & ~largest).mean())),
            ("only always-largest right", float((~right & largest).mean())),
            ("both wrong", float((~right & ~largest).mean())),
        ],
        "titles": {other.entry.name: other.entry.about.title for other in board.rows},
    }


def _unit_figures(values: UnitFigures) -> list[Figure]:
    return [
        figure("Cost", "mean, always-largest is 1", values.cost),
        figure("Gain", "points of accuracy above mixing the constant models at equal cost", values.gain, form="points"),
        *_curve_figures(values.curve),
    ]


def _transposed(columns: list[list[Figure]]) -> list[tuple[Figure, ...]]:
    """One line a figure, with one figure a cost unit."""
    return list(zip(*columns, strict=True))


def _curve_figures(curve: CurveFigures | None) -> list[Figure]:
    return [] if curve is None else [figure(*_CURVES[name], getattr(curve, name)) for name in _CURVES]
