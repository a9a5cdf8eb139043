"""How ``submit`` and ``verify`` tell an entry's figures, to people and as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from gym_stepwise_routing.leaderboard.entry import Figures
    from gym_stepwise_routing.leaderboard.track import Track
    from gym_stepwise_routing.leaderboard.verify import Verdict

__all__ = ["figures_told", "show_figures", "what_was_done"]


def figures_told(figures: Figures, track: Track) -> dict[str, Any]:
    """The figures as JSON values, with the track that they are on."""
    told = {"track": track.name, "simulated": track.simulated, "cost_unit": track.spec.cost_unit}
    return told | {"figures": figures.model_dump(mode="json")}


def show_figures(console: Console, figures: Figures, track: Track) -> None:
    """Print accuracy, gain and the cost in every unit."""
    unit = track.spec.cost_unit
    own = figures.units[unit]
    if track.simulated:
        console.print("  SIMULATED: a random process, not language models", highlight=False)
    for label, estimate in (
        ("accuracy", figures.accuracy),
        (f"cost ({unit}; always-largest is 1)", own.cost),
        ("gain over mixing constants", own.gain),
        *((f"  cost ({other})", paid.cost) for other, paid in figures.units.items() if other != unit),
    ):
        low, high = f"{estimate.low:.3f}", f"{estimate.high:.3f}"
        console.print(f"  {label:40} {estimate.value:.3f}  [{low}, {high}]", highlight=False, markup=False)
    console.print(
        f"  n = {figures.problems} problems, {figures.runs} runs, {figures.level:.0%} intervals", highlight=False
    )


def what_was_done(verdict: Verdict) -> str:
    """Which checks a verdict rests on."""
    done = "decisions replayed, figures recomputed"
    if verdict.rerun == "done":
        blind = "" if verdict.entry.kind != "router" else ", also in another order, in batches and under other names"
        return f"{done}, router run again{blind}"
    return f"{done}; router not run again ({verdict.rerun}{', see --trust' if verdict.rerun == 'not trusted' else ''})"
