"""The router of an entry, run again: are these its decisions, and does it look at anything but its observations?

See :mod:`gym_stepwise_routing.leaderboard.blindness` for the second question.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np

from gym_stepwise_routing.leaderboard.blindness import changed_problems, check_blindness, check_gain, check_scores
from gym_stepwise_routing.leaderboard.entry import Entry, Run
from gym_stepwise_routing.leaderboard.faults import EntryRejectedError, Fault, UntrustedError
from gym_stepwise_routing.leaderboard.loading import is_harmless, load_router
from gym_stepwise_routing.leaderboard.playing import PlayedRouter, at_threshold, play_bound, play_router
from gym_stepwise_routing.leaderboard.track import Track
from gym_stepwise_routing.routers.base import Predicts

__all__ = ["rerun"]

_GRID_TOLERANCE = 1e-6


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
        ImportError: this package's own code needs a package that is not installed.
        EntryRejectedError: the router cannot be loaded.
    """
    if entry.kind == "bound":
        return _compare(replayed, play_bound(track))
    view = entry.played.view
    try:
        make = _maker(run, artefacts, trust)
        faults = _compare(replayed, play_router(track, make(), view=view, selection=entry.selection))
        if entry.kind == "router":
            chosen = _at_threshold(make, run.threshold)
            faults = (
                faults
                or check_blindness(track, chosen, replayed.outcome, view)
                or check_scores(track, make, replayed, view)
                or check_gain(track, make, replayed, view)
            )
    except (UntrustedError, EntryRejectedError, KeyboardInterrupt):
        raise
    except BaseException as error:  # whatever foreign code raises is a fault of the entry; SystemExit is, too
        if isinstance(error, ImportError) and is_harmless(run.router):
            raise
        return [Fault("rerun", f"the router fails: {type(error).__name__}: {error}")]
    return faults


def _maker(run: Run, artefacts: Path, trust: bool) -> Callable[[], Predicts]:
    """Makes the router anew each time: one that was played may remember what it has seen."""
    first = load_router(run.router, artefacts, trust=trust)
    if not is_harmless(run.router):
        return lambda: load_router(run.router, artefacts, trust=trust)
    # Code of this package keeps nothing outside the object, and fitting takes its time.
    return lambda: copy.deepcopy(first)


def _at_threshold(make: Callable[[], Predicts], threshold: float | None) -> Callable[[], Predicts]:
    return lambda: at_threshold(make(), threshold)


def _compare(replayed: PlayedRouter, again: PlayedRouter) -> list[Fault]:
    """What the router does now, against what the entry says that it did."""
    if changed := changed_problems(again.outcome.decisions, replayed.outcome.decisions):
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
        if changed := changed_problems(now.decisions, then.decisions):
            message = f"at threshold {replayed.thresholds[number]:g} the router decides otherwise on {changed} problems"
            return [Fault("rerun", message)]
    return []
