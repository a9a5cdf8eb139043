"""A comparison as tables: the chosen points, the oracle sweeps, and who could not play."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gym_stepwise_routing.comparison.comparison import SWEEP_METRICS, Chosen, Comparison, Row
from gym_stepwise_routing.costs.units import COST_UNITS, CostUnit
from gym_stepwise_routing.evaluation.bootstrap import Interval
from gym_stepwise_routing.reporting.formats import brief_text, interval_text
from gym_stepwise_routing.reporting.pages import Table

__all__ = ["tables"]

Figure = Callable[[Interval | None], str]


def tables(result: Comparison, *, brief: bool = False) -> tuple[Table, ...]:
    """Chosen points, oracle sweeps, and not applicable ones (if there are any).

    Args:
        result: the comparison.
        brief: give half the width of each interval instead of its limits, to fit a terminal.
    """
    figure = brief_text if brief else interval_text
    played = [row for row in result.rows if not row.not_applicable]
    absent = [row for row in result.rows if row.not_applicable]
    many = [_chosen_points(result, played, figure), _oracle_sweeps(result, played, figure)]
    if absent:
        groups = _grouped(absent, lambda row: [row.name, row.not_applicable])
        many.append(Table("Not applicable", ["router", "why"], groups=groups))
    return tuple(many)


def _setting(result: Comparison) -> str:
    simulated = "SIMULATED, " if result.simulated else ""
    n = result.problems[result.split]
    return f"{simulated}{result.source}, mode {result.mode}, cost in {result.cost_unit}, {result.split} split, n = {n}"


def _chosen_points(result: Comparison, rows: Sequence[Row], figure: Figure) -> Table:
    units: list[CostUnit] = list(result.reference.models[0].costs)
    title = f"Chosen on calibration ({result.rule}): {_setting(result)}"
    header = [
        "router",
        "setting",
        "accuracy",
        "cost",
        "PGR",
        "regret",
        *(COST_UNITS.get(unit).measure for unit in units),
    ]

    def line(row: Row) -> list[str]:
        if row.chosen is None:
            return [row.name, "no setting met the rule", *["-"] * (len(header) - 2)]
        chosen = row.chosen
        return [
            row.name,
            chosen.setting,
            figure(chosen.accuracy),
            figure(chosen.cost),
            figure(chosen.pgr),
            "-" if chosen.regret is None else f"{chosen.regret:.3f}",
            *(_spent(chosen, unit) for unit in units),
        ]

    return Table(title, header, groups=_grouped(rows, line))


def _spent(chosen: Chosen, unit: CostUnit) -> str:
    """Mean cost in a unit; '-' where a verifier has no price or measured speed, so that there is none."""
    return f"{chosen.costs[unit].estimate * COST_UNITS.get(unit).scale:.3g}" if unit in chosen.costs else "-"


def _oracle_sweeps(result: Comparison, rows: Sequence[Row], figure: Figure) -> Table:
    title = f"Oracle sweeps, whole curves on the reported split, no choice made: {_setting(result)}"

    def line(row: Row) -> list[str]:
        sweep = row.sweep or {}
        told = "" if row.signal is None else figure(row.signal)
        return [row.name, *(figure(sweep.get(name)) for name in SWEEP_METRICS), told]

    return Table(title, ["router", *SWEEP_METRICS, "signal"], groups=_grouped(rows, line))


def _grouped(rows: Sequence[Row], line: Callable[[Row], list[str]]) -> dict[str, list[list[str]]]:
    groups: dict[str, list[list[str]]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(line(row))
    return groups
