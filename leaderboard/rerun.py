"""The router of an entry, run again: are these its decisions, and does it look at anything but its observations?

A decision must be a function of the observation (and of the router's own state for that problem). Then it cannot change
when the problems come in another order, in batches of other sizes, or under other names, and next to never when the
observation moves by its last bit. A router that counts problems, compares them with each other, looks them up by name
or in a table of answers fails one of these.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.leaderboard.entry import Entry, Run
from gym_stepwise_routing.leaderboard.errors import EntryRejectedError, Fault, UntrustedError
from gym_stepwise_routing.leaderboard.loading import load_router
from gym_stepwise_routing.leaderboard.playing import ORACLE, PlayedRouter, play_bound, play_on, play_router
from gym_stepwise_routing.leaderboard.rearranged import Jittered, Rearranged, RenamedSource, Shadowed
from gym_stepwise_routing.leaderboard.track import Track, View, game_of, source_of
from gym_stepwise_routing.routers import Predicts, Scores, ThresholdRouter

__all__ = ["MOST_JITTERED", "check_blindness", "rerun"]

_SEED = 20_260
_BATCHES = 7
_GRID_TOLERANCE = 1e-6
MOST_JITTERED = 0.05
"""Share of problems on which decisions may change when observations move by one unit in the last place."""


def rerun(track: Track, entry: Entry, run: Run, replayed: PlayedRouter, *, artefacts: Path, trust: bool) -> list[Fault]:
    """Run the router of one run again, in plain order and (unless it is a reference) rearranged.

    Args:
        track: the track.
        entry: the entry.
        run: one of its runs.
        replayed: what the decisions of the run lead to.
        artefacts: folder that artefact paths are relative to.
        trust: whether code of unknown origin may run.

    Raises:
        UntrustedError: it would have to, and ``trust`` is False.
        EntryRejectedError: the router cannot be loaded.
    """
    if run.router.factory == ORACLE:
        return _compare(replayed, play_bound(track))
    view = entry.played.view
    try:
        router = load_router(run.router, artefacts, trust=trust)
        faults = _compare(replayed, play_router(track, router, view=view, selection=entry.selection))
        if not faults and entry.kind == "router":
            chosen = router
            if run.threshold is not None and isinstance(router, Scores):
                chosen = ThresholdRouter(router, run.threshold)
            faults = check_blindness(track, chosen, replayed.outcome.decisions, view)
    except (UntrustedError, EntryRejectedError):
        raise
    except Exception as error:  # whatever foreign code raises is a fault of the entry
        return [Fault("rerun", f"the router fails: {type(error).__name__}: {error}")]
    return faults


def _compare(replayed: PlayedRouter, again: PlayedRouter) -> list[Fault]:
    """What the router does now, against what the entry says that it did."""
    if changed := _changed(again.outcome.decisions, replayed.outcome.decisions):
        return [Fault("rerun", f"the router decides otherwise on {changed} of {len(replayed.outcome)} problems")]
    if again.threshold != replayed.threshold and not np.isclose(
        [again.threshold or 0.0], [replayed.threshold or 0.0], rtol=0, atol=_GRID_TOLERANCE
    ):
        message = f"threshold={replayed.threshold}; the calibration split selects {again.threshold}"
        return [Fault("selection", message)]
    if len(again.thresholds) != len(replayed.thresholds) or not np.allclose(
        again.thresholds, replayed.thresholds, rtol=0, atol=_GRID_TOLERANCE
    ):
        return [Fault("rerun", "the thresholds of the sweep are not those of the router's scores on the train split")]
    for number, (now, then) in enumerate(zip(again.points, replayed.points, strict=True)):
        if changed := _changed(now.decisions, then.decisions):
            message = f"at threshold {replayed.thresholds[number]:g} the router decides otherwise on {changed} problems"
            return [Fault("rerun", message)]
    return []


def check_blindness(track: Track, router: Predicts, decisions: NDArray[np.int8], view: View) -> list[Fault]:
    """Play a router rearranged, and compare with the decisions that it took in the plain order.

    Args:
        track: the track.
        router: the router.
        decisions: ``int8[n, H]`` in the order of the split.
        view: what it is shown.
    """
    rng = np.random.default_rng(_SEED)
    order = rng.permutation(len(decisions))
    shadows: list[Rearranged | Jittered] = [
        Rearranged(router, [order]),
        Rearranged(router, np.array_split(order, _BATCHES)),
        Jittered(router, np.inf),
        Jittered(router, -np.inf),
    ]
    shadowed = Shadowed(router, shadows)
    outcome = play_on(track, shadowed, game_of(track, view))
    shuffled, batched, up, down = shadowed.changed(outcome.decisions).tolist()
    faults = []
    if shuffled:
        message = f"in another problem order, decisions on {shuffled} problems are different"
        faults.append(Fault("order", message))
    if batched:
        faults.append(Fault("batch", f"in smaller batches, decisions on {batched} problems are different"))
    # A threshold that sits right at a common figure is crossed one way, never both ways.
    if (jittered := min(up, down)) > MOST_JITTERED * len(decisions):
        message = (
            f"observations that differ in their last bit change decisions on {jittered} problems; allowed: "
            f"{MOST_JITTERED:.0%}. A table of known observations does that"
        )
        faults.append(Fault("precision", message))
    source = source_of(track)
    if source.deterministic:  # in another order, a random source would give other traces
        renamed = RenamedSource(source, order)
        again = play_on(track, router, game_of(track, view, source=renamed)).decisions
        if changed := _changed(again, decisions[order]):
            faults.append(Fault("names", f"under other problem ids, decisions on {changed} problems are different"))
    return faults


def _changed(decisions: NDArray[np.int8], recorded: NDArray[np.int8]) -> int:
    """Number of problems with other decisions."""
    return int((decisions != recorded).any(axis=1).sum())
