"""Tables and figures of what the simulator and the planner show; all of them say that they are simulated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from gym_stepwise_routing.planning.optimal_frontier import Frontier
from gym_stepwise_routing.planning.planner import Information
from gym_stepwise_routing.reporting import Page, Table
from gym_stepwise_routing.reporting.figures import ORANGE, new_figure, save_figure
from studies.regret.contestants import NotPlayed
from studies.regret.regret import Estimate, Regret
from studies.simulator.against_bank import SideBySide
from studies.simulator.fidelity import Fidelity
from studies.simulator.published import PROBLEMS

__all__ = ["bank_page", "draw_curve", "draw_frontiers", "fidelity_page", "frontier_page", "regret_page"]


_GREYS = ("black", "dimgrey", "darkgrey")


def fidelity_page(name: str, command: str, fidelity: Fidelity) -> Page:
    """Published curve and ours, and the distances between distributions."""
    published, ours = fidelity.published, fidelity.ours
    tokens = [f"{model} tokens, published" for model in ("large", "small")]
    header = (
        "threshold",
        "accuracy, published",
        "ours",
        "points",
        "s.e.",
        tokens[0],
        "ours",
        "%",
        tokens[1],
        "ours",
        "%",
    )
    rows = [
        (
            f"{published.thresholds[i]:.2f}",
            f"{published.accuracy[i]:.3f}",
            f"{ours.accuracy[i]:.3f}",
            f"{100 * fidelity.accuracy_difference[i]:+.1f}",
            f"{100 * fidelity.standard_error[i]:.1f}",
            f"{published.large_tokens[i]:.1f}",
            f"{ours.large_tokens[i]:.1f}",
            f"{100 * (fidelity.token_ratio[i] - 1):+.1f}",
            f"{published.small_tokens[i]:.1f}",
            f"{ours.small_tokens[i]:.1f}",
            f"{100 * (fidelity.small_token_ratio[i] - 1):+.1f}",
        )
        for i in range(len(published.thresholds))
    ]
    distances = [(found.what, f"{found.distance:.3f}") for found in fidelity.distances]
    return Page(
        title=f"{name} against TRIM's threshold rule on MATH-500",
        command=command,
        setting=(
            f"Published: n = {PROBLEMS} problems, one run (arXiv 2601.10245); s.e. is its standard error, in points. "
            "Ours: exact expectations.",
            f"All {len(rows)} accuracies together: chi-square {fidelity.chi_square:.1f}.",
        ),
        tables=(
            Table("Threshold rule", header, rows),
            Table("Distributions", ("what", "total variation"), distances),
        ),
        figure=f"{name}-curve.png",
        simulated=True,
    )


def draw_curve(name: str, fidelity: Fidelity, path: Path) -> None:
    """Published curve, with 95 % intervals, and ours: accuracy and large-model tokens, with what is wanted as bands."""
    published, ours = fidelity.published, fidelity.ours
    title = f"{name} against TRIM's threshold rule on MATH-500 (arXiv 2601.10245)"
    figure, (left, middle, right) = new_figure(3, title=title, simulated=True)
    bars = 1.96 * fidelity.standard_error
    left.errorbar(published.large_tokens, published.accuracy, bars, fmt="o", label="published, n = 500, 95 %")
    left.plot(ours.large_tokens, ours.accuracy, "-", color=ORANGE, label="simulated, exact")
    left.set_xlabel("tokens of the large model, per problem")
    left.set_ylabel("accuracy")
    middle.errorbar(published.thresholds, published.accuracy, bars, fmt="o", label="published, n = 500, 95 %")
    middle.plot(published.thresholds, ours.accuracy, "-", color=ORANGE, label="simulated, exact")
    near = ours.accuracy - 0.025, ours.accuracy + 0.025
    middle.fill_between(published.thresholds, *near, color=ORANGE, alpha=0.25, label="within 2.5 points")
    middle.set_ylabel("accuracy")
    right.plot(published.thresholds, published.large_tokens, "o", label="published")
    right.plot(published.thresholds, ours.large_tokens, "-", color=ORANGE, label="simulated, exact")
    near = 0.9 * ours.large_tokens, 1.1 * ours.large_tokens
    right.fill_between(published.thresholds, *near, color=ORANGE, alpha=0.25, label="within 10 %")
    right.set_ylabel("tokens of the large model, per problem")
    for panel in (middle, right):
        panel.set_xlabel("threshold on the verifier's score")
    for panel in (left, middle):
        panel.legend(loc="lower right")
    right.legend(loc="upper left")
    save_figure(figure, path)


def frontier_page(
    title: str, command: str, frontiers: Mapping[Information, Frontier], grids: Mapping[Information, int]
) -> Page:
    """Points of frontiers: bounds of the best accuracy at some costs; ``grids`` are the resolutions."""
    low = max(frontier.cheapest for frontier in frontiers.values())
    costs = np.unique(np.concatenate([np.linspace(low, 1.0, 9), np.linspace(1.0, 1.4, 3)]))
    header = ["cost", *(f"{name}, {side}" for name in frontiers for side in ("at least", "at most"))]
    rows = [
        [f"{cost:.3f}"] + [f"{float(bound(cost)):.4f}" for f in frontiers.values() for bound in (f.lower, f.upper)]
        for cost in costs
    ]
    distance = f"Greatest distance of the bounds, in points: {_gaps(frontiers, grids)}."
    return Page(
        title=title, command=command, setting=(distance,), tables=(Table("Optima", header, rows),), simulated=True
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
    figure, (panel,) = new_figure(1, title=title, simulated=True)
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
    panel.legend(fontsize=7, loc="lower right")
    save_figure(figure, path)


NOTES = (
    "Every router plays the setting that was most accurate on the calibration split within the budget. Agents are "
    "trained once a seed with the settings that they are shipped with; a penalty leads to a cost of its own.",
    "Regret: points of accuracy missing to the optimum (its upper bound) at the router's own mean cost; mean over "
    "seeds, 95 % interval over problems, range over seeds. The optimum knows what the router sees, or the hidden state "
    "(full information). A router that spends little has little to regret.",
    "'-': no optimum bounds it. A probe shows the step to come, cascades play a problem twice, and routers that write "
    "without drafts do not pay for them; or the optimum of what it sees was not planned. (over): costs more than the "
    "budget on the test split, by more than two standard errors.",
)


def regret_page(
    title: str,
    command: str,
    rows: Sequence[Regret],
    frontiers: Mapping[Information, Frontier],
    budget: float,
    *,
    grids: Mapping[Information, int],
    not_played: Sequence[NotPlayed] = (),
) -> Page:
    """Regret of routers, and the routers that were not played, with the reason, the same one of several seeds once."""
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
    tables = [Table("Regret", header, lines)]
    if not_played:
        reasons = [(row.router, row.group, row.reason) for row in dict.fromkeys(not_played)]
        tables.append(Table("Not applicable here", ("router", "group", "reason"), reasons))
    return Page(
        title=f"{title}, regret of routers",
        command=command,
        setting=(
            f"{seeds} seeds, each with {size} test problems, and as many to fit and to calibrate on; mean cost at most "
            f"{budget:g} (always-largest: 1).",
            f"Greatest distance between the bounds of the optimum, in points: {_gaps(frontiers, grids)}.",
        ),
        notes=NOTES,
        tables=tables,
        simulated=True,
    )


def _points(regret: Estimate | None) -> str:
    if regret is None:
        return "-"
    mean, low, high, least, greatest = (
        f"{100 * value:.1f}" for value in (regret.mean, regret.low, regret.high, regret.least, regret.greatest)
    )
    return f"{mean} [{low}, {high}] ({least} to {greatest})"


def bank_page(title: str, command: str, rows: Sequence[SideBySide]) -> Page:
    """Simulator and bank side by side."""
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
    return Page(
        title=f"{title}, simulated against recorded",
        command=command,
        setting=(sizes,),
        tables=(Table("Side by side", columns, lines),),
        simulated=True,
    )
