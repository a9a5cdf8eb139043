"""Tables and figures of what the simulator and the planner show; all of them say that they are simulated."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from gym_stepwise_routing.planning.optimal_frontier import Frontier
from gym_stepwise_routing.planning.planner import Information
from studies.regret.contestants import NotPlayed
from studies.regret.regret import Estimate, Regret
from studies.simulator.against_bank import SideBySide
from studies.simulator.fidelity import Fidelity
from studies.simulator.published import PROBLEMS

try:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
except ImportError as error:
    raise ImportError("figures need matplotlib: pip install 'gym-stepwise-routing[cli]'") from error

__all__ = [
    "bank_table",
    "draw_curve",
    "draw_frontiers",
    "fidelity_table",
    "frontier_table",
    "regret_table",
    "write_text",
]


_GREYS = ("black", "dimgrey", "darkgrey")


def write_text(path: Path, text: str) -> None:
    """Write a file under a temporary name, then rename it."""
    partial = path.with_name(f".{path.name}.tmp")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def fidelity_table(name: str, command: str, fidelity: Fidelity) -> str:
    """Published curve and ours in Markdown, and the distances between distributions."""
    published, ours = fidelity.published, fidelity.ours
    header = ("threshold", "accuracy, published", "ours", "points", "large tokens, published", "ours", "%")
    rows = [
        (
            f"{published.thresholds[i]:.2f}",
            f"{published.accuracy[i]:.3f}",
            f"{ours.accuracy[i]:.3f}",
            f"{100 * fidelity.accuracy_difference[i]:+.1f}",
            f"{published.large_tokens[i]:.1f}",
            f"{ours.large_tokens[i]:.1f}",
            f"{100 * (fidelity.token_ratio[i] - 1):+.1f}",
        )
        for i in range(len(published.thresholds))
    ]
    worst = int(np.argmax(abs(fidelity.accuracy_difference)))
    tokens = int(np.argmax(abs(fidelity.token_ratio - 1)))
    return (
        f"# SIMULATED: {name} against TRIM's threshold rule on MATH-500\n\n"
        f"Written by `{command}`.\n\n"
        f"Published: n = {PROBLEMS} problems, one run (arXiv 2601.10245). Ours: exact expectations.\n\n"
        + _table(header, rows)
        + f"\nWorst accuracy: {100 * fidelity.accuracy_difference[worst]:+.1f} points at "
        f"{published.thresholds[worst]:.2f}, {abs(fidelity.accuracy_difference / fidelity.standard_error)[worst]:.1f} "
        f"standard errors of the published point ({100 * fidelity.standard_error[worst]:.1f} points). All 21 together: "
        f"chi-square {fidelity.chi_square:.1f}.\n"
        f"Worst tokens: {100 * (fidelity.token_ratio[tokens] - 1):+.1f} % at {published.thresholds[tokens]:.2f}.\n\n"
        + _table(("distribution", "total variation"), [(d.what, f"{d.distance:.3f}") for d in fidelity.distances])
    )


def draw_curve(name: str, fidelity: Fidelity, path: Path) -> None:
    """Published curve, with 95 % intervals, and ours: accuracy and large-model tokens, with what is wanted as bands."""
    published, ours = fidelity.published, fidelity.ours
    figure = Figure(figsize=(15, 4.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    bars = 1.96 * fidelity.standard_error
    left.errorbar(published.large_tokens, published.accuracy, bars, fmt="o", label="published, n = 500, 95 %")
    left.plot(ours.large_tokens, ours.accuracy, "-", color="tab:orange", label="simulated, exact")
    left.set_xlabel("tokens of the large model, per problem")
    left.set_ylabel("accuracy")
    middle.errorbar(published.thresholds, published.accuracy, bars, fmt="o", label="published, n = 500, 95 %")
    middle.plot(published.thresholds, ours.accuracy, "-", color="tab:orange", label="simulated, exact")
    near = ours.accuracy - 0.025, ours.accuracy + 0.025
    middle.fill_between(published.thresholds, *near, color="tab:orange", alpha=0.25, label="within 2.5 points")
    middle.set_ylabel("accuracy")
    right.plot(published.thresholds, published.large_tokens, "o", label="published")
    right.plot(published.thresholds, ours.large_tokens, "-", color="tab:orange", label="simulated, exact")
    near = 0.9 * ours.large_tokens, 1.1 * ours.large_tokens
    right.fill_between(published.thresholds, *near, color="tab:orange", alpha=0.25, label="within 10 %")
    right.set_ylabel("tokens of the large model, per problem")
    for panel in (middle, right):
        panel.set_xlabel("threshold on the verifier's score")
    for panel in (left, middle, right):
        panel.grid(alpha=0.25)
    for panel in (left, middle):
        panel.legend(loc="lower right")
    right.legend(loc="upper left")
    figure.suptitle(f"SIMULATED: {name} against TRIM's threshold rule on MATH-500 (arXiv 2601.10245)")
    _save(figure, path)


def frontier_table(
    title: str, command: str, frontiers: Mapping[Information, Frontier], grids: Mapping[Information, int]
) -> str:
    """Points of frontiers in Markdown: bounds of the best accuracy at some costs; ``grids`` are the resolutions."""
    low = max(frontier.cheapest for frontier in frontiers.values())
    costs = np.unique(np.concatenate([np.linspace(low, 1.0, 9), np.linspace(1.0, 1.4, 3)]))
    header = ["cost", *(f"{name}, {side}" for name in frontiers for side in ("at least", "at most"))]
    rows = [
        [f"{cost:.3f}"] + [f"{float(bound(cost)):.4f}" for f in frontiers.values() for bound in (f.lower, f.upper)]
        for cost in costs
    ]
    return (
        f"# SIMULATED: {title}\n\nWritten by `{command}`.\n\n{_table(header, rows)}\n"
        f"Greatest distance of the bounds, in points: {_gaps(frontiers, grids)}.\n"
    )


def _gaps(frontiers: Mapping[Information, Frontier], grids: Mapping[Information, int]) -> str:
    return ", ".join(
        f"{name} {100 * frontier.gap:.2f} ("
        + (f"resolution {grids[name]}, standard error {100 * frontier.error:.2f}" if name in grids else "not sampled")
        + ")"
        for name, frontier in frontiers.items()
    )


def draw_frontiers(
    title: str, frontiers: Mapping[Information, Frontier], regrets: Sequence[Regret], path: Path
) -> None:
    """Frontiers as bands between their bounds, and routers as points."""
    figure = Figure(figsize=(7.5, 5), layout="constrained")
    panel = figure.subplots()
    for number, (name, frontier) in enumerate(frontiers.items()):
        costs = np.linspace(frontier.cheapest, max(1.0, float(frontier.played[:, 1].max())), 400)
        colour = _GREYS[number % len(_GREYS)]
        panel.fill_between(costs, frontier.lower(costs), frontier.upper(costs), alpha=0.4, color=colour, linewidth=0)
        panel.plot(costs, frontier.upper(costs), color=colour, label=f"optimum, {name}")
    for number, group in enumerate(dict.fromkeys(row.group for row in regrets)):
        bounded = [(row.cost, row.accuracy) for row in regrets if row.group == group and row.full is not None]
        others = [(row.cost, row.accuracy) for row in regrets if row.group == group and row.full is None]
        for points, fill, label in ((bounded, "full", group), (others, "none", f"{group}, not bounded by them")):
            if points:
                panel.plot(
                    *zip(*points, strict=True), "o", markersize=5, color=f"C{number}", fillstyle=fill, label=label
                )
    panel.set_xlabel("normalised cost (always-largest = 1)")
    panel.set_ylabel("accuracy")
    panel.set_title(f"SIMULATED: {title}")
    panel.grid(alpha=0.25)
    panel.legend(fontsize=8, loc="lower right")
    _save(figure, path)


def regret_table(
    title: str,
    command: str,
    rows: Sequence[Regret],
    frontiers: Mapping[Information, Frontier],
    budget: float,
    *,
    grids: Mapping[Information, int],
    not_played: Sequence[NotPlayed] = (),
) -> str:
    """Regret of routers in Markdown, and below it the routers that were not played, with the reason."""
    header = ("router", "group", "sees", "setting", "accuracy", "cost", "regret [95 %] (seeds)", "to full information")
    lines = [
        (
            row.router,
            row.group,
            row.sees or "-",
            ", ".join(dict.fromkeys(row.settings)) if len(set(row.settings)) < 3 else f"{len(row.settings)} settings",
            f"{row.accuracy:.3f}",
            f"{row.cost:.3f}" + (" (over)" if row.exceeds(budget) else ""),
            _points(row.own),
            "-" if row.full is None else f"{100 * row.full.mean:.1f}",
        )
        for row in rows
    ]
    seeds, size = (len(rows[0].settings), rows[0].problems) if rows else (0, 0)
    note = (
        f"Written by `{command}`.\n\n"
        f"- SIMULATED: {seeds} seeds, each with {size} test problems, and as many to fit and to calibrate on.\n"
        "- Every router plays the setting that was most accurate on the calibration split at a mean cost of at most "
        f"{budget:g} (always-largest: 1). Agents are trained once a seed with the settings that they are shipped with; "
        "a penalty leads to a cost of its own.\n"
        "- Regret: points of accuracy missing to the optimum (its upper bound) at the router's own mean cost; mean "
        "over seeds, 95 % interval over problems, range over seeds. The optimum knows what the router sees, or the "
        "hidden state (full information). A router that spends little has little to regret.\n"
        "- '-': no optimum bounds it. A probe shows the step to come, cascades play a problem twice, and routers that "
        "write without drafts do not pay for them; or the optimum of what it sees was not planned.\n"
        f"- Greatest distance between the bounds of the optimum, in points: {_gaps(frontiers, grids)}.\n"
        f"- (over): costs more than the budget on the test split, by more than two standard errors.\n"
    )
    return f"# SIMULATED: {title}, regret of routers\n\n{note}\n{_table(header, lines)}{_reasons(not_played)}"


def _reasons(not_played: Sequence[NotPlayed]) -> str:
    """Table of the routers that were not played; the same reason of several seeds once."""
    if not not_played:
        return ""
    lines = [(row.router, row.group, row.reason) for row in dict.fromkeys(not_played)]
    return f"\n## Not applicable here\n\n{_table(('router', 'group', 'reason'), lines)}"


def _points(regret: Estimate | None) -> str:
    if regret is None:
        return "-"
    mean, low, high, least, greatest = (
        f"{100 * value:.1f}" for value in (regret.mean, regret.low, regret.high, regret.least, regret.greatest)
    )
    return f"{mean} [{low}, {high}] ({least} to {greatest})"


def bank_table(title: str, command: str, rows: Sequence[SideBySide]) -> str:
    """Simulator and bank side by side, in Markdown."""
    header = ("router", "mode", "accuracy, bank", "simulated", "s.e.", "small tokens", "simulated", "large tokens")
    lines = [
        (
            row.router,
            row.mode,
            f"{row.bank.accuracy:.3f} ± {row.bank.error:.3f}",
            f"{row.simulator.accuracy:.3f}",
            f"{row.sigmas:+.1f}",
            f"{row.bank.small_tokens:.1f}",
            f"{row.simulator.small_tokens:.1f}",
            f"{row.bank.large_tokens:.1f}",
            f"{row.simulator.large_tokens:.1f}",
            f"{row.bank.steps:.2f}",
            f"{row.simulator.steps:.2f}",
        )
        for row in rows
    ]
    sizes = (
        f"bank n = {rows[0].bank.problems}, simulated n = {rows[0].simulator.problems}" if rows else "nothing played"
    )
    columns = (*header, "simulated", "steps", "simulated")
    return f"# SIMULATED against recorded: {title}\n\nWritten by `{command}`.\n\n{sizes}\n\n{_table(columns, lines)}"


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    partial = path.with_name(f".{path.stem}.tmp{path.suffix}")
    figure.savefig(partial, dpi=110)
    os.replace(partial, path)
