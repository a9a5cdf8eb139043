"""The report on a decision log as a page: tables, one figure, and the same numbers as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gym_stepwise_routing.costs.ledger import KINDS
from gym_stepwise_routing.costs.units import COST_UNITS
from gym_stepwise_routing.reporting.figures import BLACK, BLUE, GREEN, GREY, ORANGE, PINK, new_figure, save_figure
from gym_stepwise_routing.reporting.pages import Page, Table, write_page
from gym_stepwise_routing.serving.log_report import Costs, Group, LogReport, Share, Speed

__all__ = ["log_lines", "log_tables", "write_log_page"]

PAGE = "report"
_COLOURS = (BLUE, ORANGE, GREEN, PINK, BLACK, GREY)
_MOST_REASONS = 20
_NOTES = (
    "Saving is 1 minus the mean cost of the answers, where always-largest costs 1. Always-largest did not answer these "
    "requests: its cost is an estimate, its mean on the problems that each router was measured by. Requests that cost "
    "more or less than those would have moved it. Intervals are 95 % bootstrap intervals over requests, as if these "
    "were independent; requests of one user, or of the same question, are not quite.",
    "Requests that asked for a threshold, a budget or a target themselves stand apart. Requests that were refused "
    "before any model was asked are not in a log.",
    "Feedback speaks of the answers that somebody judged, which need not be like the others. Its intervals are exact "
    "(Clopper-Pearson, 95 %).",
)


def write_log_page(report: LogReport, folder: Path, command: str) -> Path:
    """Write ``report.html``, ``.md`` and ``.json``, and the figure; returns the path of the first."""
    figure = f"{PAGE}.png"
    folder.mkdir(parents=True, exist_ok=True)
    _draw(report, folder / figure)
    page = Page(
        title=f"Served from {report.first[:10]} to {report.last[:10]}",
        command=command,
        setting=_setting(report),
        tables=log_tables(report),
        notes=_NOTES,
        figure=figure,
        numbers=report,
    )
    write_page(page, folder, PAGE, html=True)
    return folder / f"{PAGE}.html"


def _setting(report: LogReport) -> list[str]:
    lines = [
        f"{report.requests} requests from {report.first} to {report.last}",
        f"read: {', '.join(report.files)}",
        f"feedback on {report.feedback} answers" + _besides(report.feedback_elsewhere, "on answers of another log"),
        f"drift: an alarm in {len(report.drift_alarms)} of {report.drift_windows} windows",
    ]
    if report.torn:
        lines.append(f"half-written lines, by a process that was killed: {len(report.torn)} ({', '.join(report.torn)})")
    return lines


def _besides(count: int, what: str) -> str:
    return f", {count} of them {what}" if count else ""


def log_lines(report: LogReport) -> list[str]:
    """The report in a few lines, for a terminal."""
    lines = _setting(report)
    for group in report.groups:
        outcomes = ", ".join(f"{name} {count}" for name, count in group.outcomes.items())
        lines.append(f"{group.name}: {outcomes}")
        if group.costs.n:
            _, saving, interval = _saving(group.costs)
            lines.append(
                f"  saving against always-largest, estimated: {saving} [{interval}], "
                f"{_amount(group.costs, group.cost_unit)} (n = {group.costs.n})"
            )
        lines.append("  steps: " + ", ".join(f"{model.model} {model.share:.0%}" for model in group.models))
        if group.right is not None:
            lines.append(f"  right by feedback: {_share(group.right)}")
    return lines


def log_tables(report: LogReport) -> list[Table]:
    """The tables; groups of requests are rows, or headings where each has several."""
    groups = report.groups
    tables = [
        Table(
            "Saving against always-largest (estimated)",
            ("requests", "answered", "cost", "saving", "95 % interval", "saved", "always-largest"),
            [
                (g.name, str(g.costs.n), *_saving(g.costs), _amount(g.costs, g.cost_unit), g.always_largest)
                for g in groups
            ],
        ),
        Table(
            "Saving a day (estimated)",
            ("day (UTC)", "answered", "cost", "saving", "95 % interval", "saved"),
            groups={
                g.name: [
                    (day, str(costs.n), *_saving(costs), _amount(costs, g.cost_unit)) for day, costs in g.days.items()
                ]
                for g in groups
            },
        ),
        Table(
            "Models",
            ("model", "steps", "share", "in place of another", *KINDS),
            groups={
                g.name: [
                    (m.model, str(m.steps), f"{m.share:.1%}", str(m.instead), *(f"{m.ledger[k]:,}" for k in KINDS))
                    for m in g.models
                ]
                for g in groups
            },
        ),
        Table(
            "Outcomes",
            ("requests", "outcomes", "cost of those not answered (always-largest: 1 each)"),
            [
                (g.name, ", ".join(f"{name} {n}" for name, n in g.outcomes.items()), f"{g.unanswered_cost:.3f}")
                for g in groups
            ],
        ),
        Table(
            "Seconds",
            ("requests", "answered", "p50", "p95", "with text", "first text p50", "first text p95"),
            [(g.name, *_speed(g.seconds), *_speed(g.first_text)) for g in groups],
        ),
    ]
    if any(g.thresholds for g in groups):
        rows = [(g.name, *(f"{value:.4f}" for value in g.thresholds)) for g in groups if g.thresholds]
        tables.append(Table("Thresholds", ("requests", "first", "last", "least", "greatest"), rows))
    if any(g.right for g in groups):
        columns = ("requests", "right", "among those where always-largest is known: right", "always-largest right")
        rows = [(g.name, _share(g.right), _share(g.right_beside), _share(g.largest_right)) for g in groups if g.right]
        tables.append(Table("Feedback", columns, rows))
    if any(g.failures for g in groups):
        failures = {g.name: _failures(g) for g in groups if g.failures}
        tables.append(
            Table("Endpoints that did not deliver", ("model", "times", "text kept", "reason"), groups=failures)
        )
    if report.drift_alarms:
        tables.append(Table("Drift alarms", ("time", "what"), report.drift_alarms))
    return tables


def _saving(costs: Costs) -> tuple[str, str, str]:
    if costs.saving is None or costs.cost is None:
        return "", "", ""
    interval = "exact: the largest model wrote all of it" if costs.largest_alone else "none: one request"
    if costs.interval is not None:
        interval = f"{costs.interval.low:.1%} to {costs.interval.high:.1%}"
    return f"{costs.cost:.3f}", f"{costs.saving:.1%}", interval


def _amount(costs: Costs, cost_unit: str) -> str:
    unit = COST_UNITS.get(cost_unit)
    return f"{costs.saved * unit.scale:.4g} {unit.measure}"


def _speed(speed: Speed) -> tuple[str, str, str]:
    if speed.p50 is None or speed.p95 is None:
        return str(speed.n), "", ""
    return str(speed.n), f"{speed.p50:.3f}", f"{speed.p95:.3f}"


def _share(share: Share | None) -> str:
    if share is None:
        return "nothing was said"
    return f"{share.count} of {share.n}: {share.count / share.n:.1%} [{share.low:.1%}, {share.high:.1%}]"


def _failures(group: Group) -> list[Sequence[str]]:
    shown, others = group.failures[:_MOST_REASONS], group.failures[_MOST_REASONS:]
    lines: list[Sequence[str]] = [(f.model, str(f.count), str(f.kept), f.reason) for f in shown]
    if others:
        times, kept = sum(failure.count for failure in others), sum(failure.kept for failure in others)
        lines.append(("", str(times), str(kept), f"{len(others)} further reasons, in the JSON"))
    return lines


def _draw(report: LogReport, path: Path) -> None:
    """Saving a day with intervals, and who wrote the steps of each day."""
    figure, (left, right) = new_figure(2, columns=1)
    days = sorted({day for group in report.groups for day in group.steps_by_day})
    place = {day: number for number, day in enumerate(days)}
    for number, group in enumerate(report.groups):
        shift = 0.08 * (number - (len(report.groups) - 1) / 2)
        known = [(day, costs.saving, costs) for day, costs in group.days.items() if costs.saving is not None]
        low, high = (
            [abs(saving - (saving if c.interval is None else getattr(c.interval, end))) for _, saving, c in known]
            for end in ("low", "high")
        )
        left.errorbar(
            [place[day] + shift for day, _, _ in known],
            [saving for _, saving, _ in known],
            yerr=[low, high],
            fmt="o-",
            markersize=4,
            capsize=3,
            color=_COLOURS[number % len(_COLOURS)],
            label=f"{group.name} (n = {group.costs.n})",
        )
    left.axhline(0, color="0.5", linewidth=0.8)
    left.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    left.set_title("saving against always-largest, estimated")
    below = [0.0] * len(days)
    for number, model in enumerate(dict.fromkeys(m.model for group in report.groups for m in group.models)):
        counts = [sum(g.steps_by_day.get(day, {}).get(model, 0) for g in report.groups) for day in days]
        right.bar(
            range(len(days)), counts, bottom=below, width=0.6, color=_COLOURS[number % len(_COLOURS)], label=model
        )
        below = [under + count for under, count in zip(below, counts, strict=True)]
    right.set_title("steps by model")
    shown = range(0, len(days), max(1, -(-len(days) // 6)))
    for panel in (left, right):
        panel.set_xticks(list(shown), [days[day][5:] for day in shown])
        panel.set_xlim(-0.6, len(days) - 0.4)
        panel.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.1))
    save_figure(figure, path)
