"""Recorded decisions, played again on the bank: the only way in which an entry's outcomes come about."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.evaluation.evaluate import Evaluation
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.leaderboard.encoding import decisions_from_text, unpack
from gym_stepwise_routing.leaderboard.entry import Entry, Run
from gym_stepwise_routing.leaderboard.faults import EntryRejectedError, Fault
from gym_stepwise_routing.leaderboard.playing import PlayedRouter, play_on
from gym_stepwise_routing.leaderboard.track import Track, game_of
from gym_stepwise_routing.routers.base import Replay

__all__ = ["replay_entry"]


def replay_entry(track: Track, entry: Entry) -> list[PlayedRouter]:
    """What the decisions of each run lead to.

    Raises:
        EntryRejectedError: more or fewer problems than the track's; decisions that cannot be read, that were not
            allowed, or that are more or fewer than it takes to end the traces.
    """
    game = game_of(track, entry.played.view, masked_action="error")
    _check_problems(entry, len(game.problems))
    return [_replay_run(track, entry, number, game) for number in range(len(entry.runs))]


def _check_problems(entry: Entry, problems: int) -> None:
    """The split's hash says which problems they are, and in which order; what is left is how many."""
    found = {entry.figures.problems, *(len(run.decisions) for run in entry.runs)}
    if wrong := found - {problems}:
        message = f"results on {min(wrong)} problems; allowed: {problems}, all of the split in its order"
        raise EntryRejectedError(entry.name, [Fault("problems", message)])


def _replay_run(track: Track, entry: Entry, number: int, game: Game) -> PlayedRouter:
    run, where, width = entry.runs[number], f"runs.{number}", game.most_decisions
    try:
        decisions = decisions_from_text(run.decisions, width, len(track.models))
        sweep = _sweep_decisions(run, (len(run.decisions), width))
    except ValueError as error:
        raise EntryRejectedError(entry.name, [Fault("decisions", f"{where}: {error}")]) from None
    return PlayedRouter(
        outcome=_replay(track, entry, decisions, game, where),
        threshold=run.threshold,
        thresholds=() if run.sweep is None else run.sweep.thresholds,
        points=tuple(
            _replay(track, entry, point, game, f"{where}, point {i} of the sweep") for i, point in enumerate(sweep)
        ),
    )


def _sweep_decisions(run: Run, shape: tuple[int, int]) -> list[NDArray[np.int8]]:
    if run.sweep is None:
        return []
    thresholds = np.asarray(run.sweep.thresholds)
    if not ((np.diff(thresholds) > 0).all() and thresholds[0] >= 0):
        raise ValueError("sweep.thresholds are not ascending from 0 or above")
    return list(unpack(run.sweep.decisions, (len(thresholds), *shape)))


def _replay(track: Track, entry: Entry, decisions: NDArray[np.int8], game: Game, what: str) -> Evaluation:
    if decisions.max() >= len(track.models):
        raise EntryRejectedError(entry.name, [Fault("decisions", f"{what}: a model {decisions.max()} does not exist")])
    try:
        outcome = play_on(track, Replay(decisions, name=entry.name), game)
    except ValueError as error:
        raise EntryRejectedError(entry.name, [Fault("decisions", f"{what}: {error}")]) from None
    if not np.array_equal(outcome.decisions, decisions):
        row = int(np.flatnonzero((outcome.decisions != decisions).any(axis=1))[0])
        took = int((outcome.decisions[row] >= 0).sum())
        raise EntryRejectedError(
            entry.name,
            [
                Fault(
                    "decisions",
                    f"{what}: {outcome.problems[row]} has {int((decisions[row] >= 0).sum())} decisions, "
                    f"but the recorded trace ends after {took}",
                )
            ],
        )
    return outcome
