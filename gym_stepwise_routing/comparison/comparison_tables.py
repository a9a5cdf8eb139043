"""A comparison as tables: the chosen points, the oracle sweeps, and who could not play."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gym_stepwise_routing.comparison.comparison import SWEEP_METRICS, Chosen, Comparison, Row
from gym_stepwise_routing.costs.units import COST_UNITS, CostUnit
from gym_stepwise_routing.evaluation.bootstrap import Interval

__all__ = ["Table", "interval_text", "tables", "to_markdown"]

Figure = Callable[[Interval | None], str]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of strings.

    Attributes:
        title: what it shows, and on how many problems.
        header: names of the columns.
        groups: heading and lines under it.
    """

    title: str
    header: Sequence[str]
    groups: Sequence[tuple[str, Sequence[Sequence[str]]]]


def tables(result: Comparison, *, brief: bool = False) -> tuple[Table, ...]:
    """Chosen points, oracle sweeps, and not applicable ones (if there are any).

    Args:
        result: the comparison.
        brief: give half the width of each interval instead of its limits, to fit a terminal.
    """
    figure = _brief if brief else interval_text
    played = [row for row in result.rows if not row.not_applicable]
    absent = [row for row in result.rows if row.not_applicable]
    many = [_chosen_points(result, played, figure), _oracle_sweeps(result, played, figure)]
    if absent:
        groups = _grouped(absent, lambda row: [row.name, row.not_applicable])
        many.append(Table("Not applicable", ["router", "why"], groups))
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

    return Table(title, header, _grouped(rows, line))


def _spent(chosen: Chosen, unit: CostUnit) -> str:
    """Mean cost in a unit; '-' where a verifier has no price or measured speed, so that there is none."""
    return f"{chosen.costs[unit].estimate * COST_UNITS.get(unit).scale:.3g}" if unit in chosen.costs else "-"


def _oracle_sweeps(result: Comparison, rows: Sequence[Row], figure: Figure) -> Table:
    title = f"Oracle sweeps, whole curves on the reported split, no choice made: {_setting(result)}"

    def line(row: Row) -> list[str]:
        sweep = row.sweep or {}
        return [row.name, *(figure(sweep.get(name)) for name in SWEEP_METRICS), signal(row.signal)]

    def signal(told: Interval | None) -> str:
        return "" if told is None else figure(told)

    return Table(title, ["router", *SWEEP_METRICS, "signal"], _grouped(rows, line))


def _grouped(rows: Sequence[Row], line: Callable[[Row], list[str]]) -> list[tuple[str, list[list[str]]]]:
    groups: dict[str, list[list[str]]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(line(row))
    return list(groups.items())


def interval_text(interval: Interval | None) -> str:
    """An interval in a cell: estimate and limits, or that it is undefined, unreached or unaffordable."""
    if interval is None:
        return "undefined"
    if interval.estimate == math.inf:
        return "unreached"
    if interval.estimate == -math.inf:
        return "unaffordable"
    return f"{interval.estimate:.3f} [{_limit(interval.low)}, {_limit(interval.high)}]"


def _brief(interval: Interval | None) -> str:
    figure = interval_text(interval).partition(" ")[0]
    if interval is None or not math.isfinite(interval.estimate):
        return figure
    half = (interval.high - interval.low) / 2
    return f"{interval.estimate:.3f} ±{half:.2f}" if math.isfinite(half) else f"{figure} ±∞"


def _limit(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else ("∞" if value > 0 else "-∞")


def to_markdown(many: Sequence[Table]) -> str:
    """The tables in Markdown, one after the other."""
    return "\n".join(line for table in many for line in _markdown(table))


def _markdown(table: Table) -> Iterator[str]:
    yield f"**{table.title}**"
    yield ""
    yield f"| {' | '.join(table.header)} |"
    yield f"|{'---|' * len(table.header)}"
    for group, lines in table.groups:
        yield f"| *{group}* |{' |' * (len(table.header) - 1)}"
        for line in lines:
            yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |"
    yield ""
