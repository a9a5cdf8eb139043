"""What the pages know: boards as JSON, rounded to what can be seen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from gym_stepwise_routing.costs.units import COST_UNITS, CostUnit
from gym_stepwise_routing.evaluation.frontier import Frontier
from gym_stepwise_routing.leaderboard.board import Board, BoardRow, UnitLines
from gym_stepwise_routing.leaderboard.entry import CurveFigures, Estimate

__all__ = ["board_json", "headlines", "points", "script_json"]

_DECIMALS = 5
_MANY = 300
"""Test problems from which on a recorded track is recommended, if something can be gained on it."""


def board_json(board: Board) -> dict[str, Any]:
    """A board as JSON values: what ``board.json`` holds and the page shows.

    Costs are multiples of always-largest's mean cost; ``raw_cost`` is in the unit itself. An interval is
    ``[value, low, high]``; ``null`` is undefined, and ``"unreached"`` a cost that no threshold reaches.
    """
    track = board.track
    return {
        "track": {
            "name": track.name,
            "title": track.spec.title,
            "description": track.spec.description,
            "simulated": track.simulated,
            "source": track.source.model_dump(),
            "split": track.spec.split,
            "mode": track.spec.mode,
            "cost_unit": track.spec.cost_unit,
            "problems": track.problems,
            "models": list(track.models),
            "fingerprint": track.fingerprint,
            "normalisers": dict(track.normalisers),
        },
        "units": [
            {"name": u.name, "label": u.title, "meaning": u.definition} for u in map(COST_UNITS.get, track.units)
        ],
        "lines": {unit: _lines_json(lines) for unit, lines in board.lines.items()},
        "rows": [_row_json(row, track.units) for row in board.rows],
    }


def headlines(boards: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Values for ``index.html.j2``: the boards, and a line each.

    A line has ``track`` and ``unit`` (name), ``recommended``, and ``routers`` (rows that were run again, best first).
    Recommended are tracks of at least 300 recorded problems on which a router gains something beyond doubt; they come
    first, and simulated ones last. Among equals the larger gain comes first.

    Args:
        boards: see :func:`board_json`.
    """
    lines = []
    for board in boards:
        track, unit = board["track"], board["track"]["cost_unit"]
        routers = [row for row in board["rows"] if row["kind"] == "router" and row["rerun"] == "done"]
        gain = routers[0]["units"][unit]["gain"] if routers else [-1.0, -1.0, -1.0]
        recommended = not track["simulated"] and track["problems"] >= _MANY and gain[1] > 0
        place = (not recommended, track["simulated"], -gain[0])
        lines.append(
            (
                place,
                {"track": track, "unit": unit, "routers": routers, "entries": len(board["rows"])}
                | {"recommended": recommended},
            )
        )
    return {"lines": [line for _, line in sorted(lines, key=lambda pair: pair[0])], "many": _MANY}


def script_json(value: Any) -> str:
    """JSON that can stand inside a ``script`` element."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def points(share: float) -> str:
    """A difference of shares in percentage points, with its sign."""
    return f"{100 * share:+.1f}".replace("-", "\N{MINUS SIGN}")


def _row_json(row: BoardRow, units: Sequence[CostUnit]) -> dict[str, Any]:
    entry, figures = row.entry, row.entry.figures
    return {
        "name": entry.name,
        "title": entry.about.title,
        "kind": entry.kind,
        "authors": entry.about.authors,
        "description": entry.about.description,
        "rerun": row.rerun,
        "runs": figures.runs,
        "date": entry.made.date,
        "threshold": entry.runs[0].threshold,
        "own_threshold": entry.selection is None and entry.runs[0].sweep is not None,
        "accuracy": _interval(figures.accuracy),
        "harm": _interval(figures.harm),
        "steps": _round(figures.steps),
        "units": {
            unit: {
                "raw_cost": figures.units[unit].raw_cost,
                "cost": _interval(figures.units[unit].cost),
                "gain": _interval(figures.units[unit].gain),
                **_curve_json(figures.units[unit].curve),
                "rank": [row.standings[unit].best, row.standings[unit].worst],
                "tied": list(row.standings[unit].tied),
            }
            for unit in units
        },
        "sweeps": [
            [
                [_round(point.threshold), _round(point.accuracy), *(_round(point.costs[unit]) for unit in units)]
                for point in sweep
            ]
            for sweep in row.sweeps
        ],
    }


def _curve_json(curve: CurveFigures | None) -> dict[str, Any]:
    names = CurveFigures.model_fields
    return {name: None if curve is None else _interval(getattr(curve, name)) for name in names}


def _interval(estimate: Estimate | None) -> list[float | str] | None:
    if estimate is None:
        return None
    return [_round(value) for value in (estimate.value, estimate.low, estimate.high)]


def _lines_json(lines: UnitLines) -> dict[str, Any]:
    return {
        "constants": [[_round(cost), _round(accuracy)] for cost, accuracy in lines.constants],
        "hull": _frontier_json(lines.hull),
        "oracle": None if lines.oracle is None else _frontier_json(lines.oracle),
    }


def _frontier_json(frontier: Frontier) -> list[list[float]]:
    return [[_round(c), _round(a)] for c, a in zip(frontier.costs, frontier.accuracies, strict=True)]


def _round(value: Any) -> Any:
    return value if isinstance(value, str) else round(float(value), _DECIMALS) + 0.0
