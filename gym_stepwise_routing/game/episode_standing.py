"""What is known of episodes after a move, and whether and how they end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.game.row_table import RowTable
from gym_stepwise_routing.game.transitions import Play
from gym_stepwise_routing.types import TRUNCATIONS

__all__ = ["Ending", "PlayStanding", "RowStanding", "Standing", "Standings", "ending", "truncation_numbers"]


class Standing(NamedTuple):
    """What is known of one episode after a move; of ``n`` episodes the same with one more axis, see :data:`Standings`.

    Ledger and mask are views, and whoever hands them out copies them.

    Attributes:
        observation: ``float32[n, features]``, budget columns 0; a fresh array.
        cost: ``float64[n]`` normalised cost so far.
        raw_cost: ``float64[n]`` cost so far in the cost unit.
        ledger: ``int[n, rows, kinds]`` spent so far.
        mask: ``bool[n, K]`` allowed actions.
        depth: ``int[n]`` steps so far, in *restart* those of attempts that were left included.
        terminal: ``bool[n]`` the trace has ended with (or without) an answer.
        correct: ``bool[n]`` the answer is right.
        stuck: ``bool[n]`` no action is left.
        capped: ``bool[n]`` the trace has as many steps as a trace may have.
        failed: ``bool[n]`` the model that was asked did not deliver, and the trace is as it was.
        reason: ``object[n]`` which live model did not deliver (the one that was asked, or in *regenerate* the one that
            drafts) and why, as text; '' where none failed, or the source does not tell.
    """

    observation: Any
    cost: Any
    raw_cost: Any
    ledger: Any
    mask: Any
    depth: Any
    terminal: Any
    correct: Any
    stuck: Any
    capped: Any
    failed: Any
    reason: Any


class RowStanding:
    """``n`` episodes at rows of a table: attributes are what :meth:`RowTable.look_up` knows, as fresh arrays.

    They are looked up when they are first read, and kept.
    """

    def __init__(self, rows: RowTable, row: NDArray[np.int64]) -> None:
        self._rows = rows
        self._row = row

    def __getattr__(self, name: str) -> Any:
        if name == "_rows":  # a copy that is being made has nothing yet
            raise AttributeError(name)
        value = self.__dict__[name] = self._rows.look_up(name, self._row)
        return value

    def ends(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
        """Terminated, truncated, right and ended but for budgets (:class:`Ending`), as arrays of their own."""
        rows, row = self._rows, self._row
        terminal, right = rows.terminal.take(row), rows.right.take(row)
        if rows.complete:
            return terminal, np.zeros(len(row), dtype=np.bool_), right, terminal.copy()
        stuck = rows.stuck.take(row)
        return terminal, stuck > terminal, right, stuck | terminal


class PlayStanding:
    """``n`` episodes by the rules: the attributes of :class:`Standing`, and ``problem``, its number in the source.

    They are worked out when they are first read, as fresh arrays, and kept.

    Args:
        game: the game.
        play: the plays, in any order.
        place: ``int64[n]`` where in ``play`` each episode is.
    """

    def __init__(self, game: Game, play: Play, place: NDArray[np.int64]) -> None:
        self._game = game
        self.play = play
        self.place = place

    def __getattr__(self, name: str) -> Any:
        make = _OF_PLAYS.get(name)
        if make is not None:
            value = make(self, self._game, self.play)
        elif name in _IN_ORDER:
            value = getattr(self, f"plays_{name}").take(self.place, 0)
        else:
            raise AttributeError(name)
        self.__dict__[name] = value
        return value


_IN_ORDER = frozenset((*Standing._fields, "problem"))
_OF_PLAYS: Mapping[str, Callable[[Any, Game, Play], Any]] = {
    "plays_observation": lambda own, game, play: game.rules.observe(play, game.normaliser, own.plays_raw_cost),
    "plays_cost": lambda own, game, play: own.plays_raw_cost / game.normaliser,
    "plays_raw_cost": lambda own, game, play: game.rules.cost(play),
    "plays_ledger": lambda own, game, play: play.account.ledger,
    "plays_mask": lambda own, game, play: game.rules.masks(play),
    "plays_depth": lambda own, game, play: play.depth,
    "plays_terminal": lambda own, game, play: play.trace.terminal,
    "plays_correct": lambda own, game, play: play.trace.correct,
    "plays_capped": lambda own, game, play: play.trace.depth >= game.source.horizon,
    "plays_failed": lambda own, game, play: play.trace.failed,
    "plays_reason": lambda own, game, play: play.trace.latent.get("reason", np.full(len(play), "", dtype=object)),
    "plays_problem": lambda own, game, play: play.trace.problem,
    "plays_stuck": lambda own, game, play: ~reduce(np.logical_or, own.plays_mask.T),
}

Standings = Standing | RowStanding | PlayStanding
"""What is known of one episode or, as arrays, of many."""


class Ending(NamedTuple):
    """Whether and how episodes end; arrays ``bool[n]``, or truth values of one episode.

    Attributes:
        terminated: the trace has ended, with or without an answer, and no hard budget was exceeded.
        truncated: a hard budget was exceeded, or no action is left before the trace has ended.
        ended: one of the two.
        right: terminated with the right answer.
        stands: where the episodes stand.
        budget: their budgets, inf for none.
    """

    terminated: Any
    truncated: Any
    ended: Any
    right: Any
    stands: Standings
    budget: Any

    @property
    def over(self) -> Any:
        """The cost exceeds the budget, hard or not."""
        return self.stands.cost > self.budget


def ending(stands: Standings, budget: Any, hard: bool) -> Ending:
    """How episodes end. The one place where this is decided, for one episode and for many.

    Args:
        stands: where the episodes stand.
        budget: their budgets, inf for none, ``float64[n]`` or a number.
        hard: whether exceeding the budget ends an episode.
    """
    if isinstance(stands, RowStanding):
        terminated, truncated, right, ended = stands.ends()
    else:
        terminated, stuck = stands.terminal, stands.stuck
        # stuck and not terminated: of truth values and arrays of them alike
        truncated, right, ended = stuck > terminated, terminated & stands.correct, stuck | terminated
    if hard:
        over = stands.cost > budget
        terminated, right = terminated > over, right > over
        truncated, ended = truncated | over, ended | over
    return Ending(terminated, truncated, ended, right, stands, budget)


def truncation_numbers(end: Ending, hard: bool) -> NDArray[np.uint8]:
    """Why episodes were truncated, as ``uint8[n]`` numbers in ``types.TRUNCATIONS``; 0 where they were not."""
    reasons = np.where(end.stands.capped, TRUNCATIONS.index("horizon"), TRUNCATIONS.index("no_model"))
    numbers = np.where(end.over & hard, TRUNCATIONS.index("budget"), reasons)
    return np.where(end.truncated, numbers, 0).astype(np.uint8)
