"""Does a router look at anything but its observations?

A decision must be a function of the observation (and of the router's own state for that problem). Then it cannot change
when the problems come in another order, in batches of other sizes, or under other names, and next to never when the
observation moves by its last bit. A router that counts problems, compares them with each other, looks them up by name
or in a table of answers fails one of these. The same is asked of its scores along the whole sweep.

A table that is robust to the last bit, and a policy trained on the test problems, pass all of these. What gives them
away is that they gain on the problems of the track what they gain nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.evaluation.evaluate import Evaluation
from gym_stepwise_routing.leaderboard.entry_figures import gains_of_each, plain_figures, play_constants
from gym_stepwise_routing.leaderboard.faults import Fault
from gym_stepwise_routing.leaderboard.playing import PlayedRouter, at_threshold, play_on
from gym_stepwise_routing.leaderboard.rearranged import (
    Jittered,
    Rearranged,
    RenamedSource,
    ScoreCall,
    Shadowed,
    ShadowedScores,
)
from gym_stepwise_routing.leaderboard.track import Track, View, game_of, source_of
from gym_stepwise_routing.routers.base import Predicts, Scores, ThresholdRouter, decide

__all__ = [
    "MOST_APART",
    "MOST_JITTERED",
    "MOST_LOST",
    "changed_problems",
    "check_blindness",
    "check_gain",
    "check_scores",
]

MOST_JITTERED = 0.05
"""Share of problems on which scores may decide otherwise when observations move by one unit in the last place."""
MOST_LOST = 0.01
"""Gain that may be lost when they do so: a table of known observations loses all that it has won."""
MOST_APART = 4.0
"""Standard errors by which the gain on the track may exceed that on calibration problems: by chance, one in 30,000."""
_SEED = 20_260
_BATCHES = 7
_SCORE_TOLERANCE = 1e-6
"""Rounding of scores: sums over batches of other sizes differ in their last bits."""

Make = Callable[[], Predicts]


def check_blindness(track: Track, make: Make, played: Evaluation, view: View) -> list[Fault]:
    """Play a router rearranged, and compare with what it did in the plain order.

    Args:
        track: the track.
        make: makes the router anew; what was played may remember it.
        played: its play in the order of the split.
        view: what it is shown.
    """
    order = np.random.default_rng(_SEED).permutation(len(played))
    shadowed = Shadowed(
        make(),
        [
            Rearranged(make, [order]),
            Rearranged(make, np.array_split(order, _BATCHES)),
        ],
    )
    outcome = play_on(track, shadowed, game_of(track, view))
    faults = []
    if again := changed_problems(outcome.decisions, played.decisions):
        faults.append(Fault("rerun", f"loaded and played once more, the router decides otherwise on {again} problems"))
    shuffled, batched = shadowed.changed(outcome.decisions).tolist()
    if shuffled:
        faults.append(Fault("order", f"in another problem order, decisions on {shuffled} problems are different"))
    if batched:
        faults.append(Fault("batch", f"in smaller batches, decisions on {batched} problems are different"))
    faults += _lost_faults(track, make, played, view)
    renamed = RenamedSource(source_of(track), order)
    decisions = play_on(track, make(), game_of(track, view, source=renamed)).decisions
    if changed := changed_problems(decisions, played.decisions[order]):
        faults.append(Fault("names", f"under other problem ids, decisions on {changed} problems are different"))
    return faults


def check_scores(track: Track, make: Make, played: PlayedRouter, view: View) -> list[Fault]:
    """The same for the scores that a sweep asks for, threshold by threshold.

    Args:
        track: the track.
        make: makes the router anew.
        played: its play in the order of the split.
        view: what it is shown.

    Returns:
        The faults at the first threshold that has any.
    """

    def scoring() -> Scores:
        router = make()
        if not isinstance(router, Scores):
            raise ValueError(f"{type(router).__name__} has no scores when it is loaded once more")
        return router

    order = np.random.default_rng(_SEED).permutation(len(played.outcome))
    for threshold, point in zip(played.thresholds, played.points, strict=True):
        shadowed = ShadowedScores(scoring, np.array_split(order, _BATCHES))
        outcome = play_on(track, ThresholdRouter(shadowed, threshold), game_of(track, view))
        if faults := _score_faults(shadowed.calls, threshold, outcome, point, len(track.models)):
            return faults
    return []


def check_gain(track: Track, make: Make, played: PlayedRouter, view: View) -> list[Fault]:
    """Compare its gain with that on the calibration split, whose problems it was no more trained on than the track's.

    So for its own decisions, and at every threshold of its sweep. The two splits are independent samples: the standard
    error of the difference is the root of the sum of squares of their own, by bootstrap.

    Args:
        track: the track.
        make: makes the router anew.
        played: its play on the track.
        view: what it is shown.
    """
    if track.spec.split == "calibration":
        return []
    game = game_of(track, view, split="calibration")
    routers = [at_threshold(make(), threshold) for threshold in (played.threshold, *played.thresholds)]
    elsewhere = [play_on(track, router, game) for router in routers]
    here, draws = gains_of_each(track, [played.outcome, *played.points], play_constants(track))
    there, others = gains_of_each(track, elsewhere, play_constants(track, "calibration"))
    errors = np.hypot(draws.std(axis=1), others.std(axis=1))
    worst = int(np.argmax(here - there - MOST_APART * errors))
    if here[worst] - there[worst] <= MOST_APART * errors[worst]:
        return []
    at = f"at threshold {played.thresholds[worst - 1]:g} of its sweep it" if worst else "it"
    message = (
        f"{at} gains {100 * here[worst]:.1f} points here, {100 * there[worst]:.1f} on the calibration split; allowed: "
        f"{MOST_APART:g} standard errors more, of {100 * errors[worst]:.1f} points each. A policy trained on the test "
        "problems does that, and a table of their answers"
    )
    return [Fault("gain", message)]


def changed_problems(decisions: NDArray[np.int8], recorded: NDArray[np.int8]) -> int:
    """Number of problems with other decisions."""
    return int((decisions != recorded).any(axis=1).sum())


def _score_faults(
    calls: list[ScoreCall], threshold: float, outcome: Evaluation, point: Evaluation, models: int
) -> list[Fault]:
    at = f" at threshold {threshold:g}"
    if again := changed_problems(outcome.decisions, point.decisions):
        return [Fault("rerun", f"loaded and played once more, the router decides otherwise on {again} problems{at}")]
    problems = len(outcome)
    moved, up, down = (np.zeros(problems, dtype=np.bool_) for _ in range(3))
    tipped: set[bytes] = set()
    for step, call in enumerate(calls):
        going = outcome.decisions[:, step] >= 0
        apart = ~(np.abs(call.own - call.rearranged) <= _SCORE_TOLERANCE).reshape(problems, -1).all(axis=1)
        moved |= going & apart
        own = decide(call.own, threshold, models)
        up |= going & (decide(call.up, threshold, models) != own)
        down |= going & (decide(call.down, threshold, models) != own)
        tips = going & ~apart
        tips[tips] = decide(call.rearranged[tips], threshold, models) != own[tips]
        tipped |= {call.observation[row].tobytes() for row in np.flatnonzero(tips)}
    faults = []
    if moved.any():
        message = f"in another problem order and smaller batches, scores on {moved.sum()} problems are different{at}"
        faults.append(Fault("order", message))
    # A threshold that sits right at one score is crossed by rounding. Different observations that all lie within
    # rounding of it are a message hidden in the last bits.
    if len(tipped) > MOST_JITTERED * problems:
        message = f"in another problem order, decisions after {len(tipped)} observations are different{at}"
        faults.append(Fault("order", message))
    # A threshold that sits right at a common figure is crossed one way, never both ways.
    if (jittered := min(int(up.sum()), int(down.sum()))) > MOST_JITTERED * problems:
        message = (
            f"observations that differ in their last bit change decisions on {jittered} problems{at}; allowed: "
            f"{MOST_JITTERED:.0%}. A table of known observations does that"
        )
        faults.append(Fault("precision", message))
    return faults


def _lost_faults(track: Track, make: Make, played: Evaluation, view: View) -> list[Fault]:
    """What it loses when every observation is a little off, whichever way.

    A threshold that sits right at a common figure is crossed one way, never both ways.
    """
    game = game_of(track, view)
    off = [_gain(track, play_on(track, Jittered(make(), towards), game)) for towards in (np.inf, -np.inf)]
    if (lost := _gain(track, played) - max(off)) <= MOST_LOST:
        return []
    message = (
        f"observations that differ in their last bit cost {100 * lost:.1f} points of gain; allowed: "
        f"{100 * MOST_LOST:g}. A table of known observations does that"
    )
    return [Fault("precision", message)]


def _gain(track: Track, outcome: Evaluation) -> float:
    return float(plain_figures(track, [outcome], play_constants(track)).gains[track.spec.cost_unit][0])
