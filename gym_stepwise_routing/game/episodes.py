"""Where episodes stand: rows of a table where the game is tabulated, plays by the rules where it is not.

:class:`TableCursor` and :class:`RuleCursor` hold one, :class:`TablePositions` and :class:`RulePositions` many.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.game.episode_standing import PlayStanding, RowStanding, Standing
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.game.tabulation import GameTable
from gym_stepwise_routing.game.transitions import Play

__all__ = [
    "Cursor",
    "Positions",
    "RuleCursor",
    "RulePositions",
    "TableCursor",
    "TablePositions",
    "cursor",
    "positions",
]

_Rows = NDArray[np.int64]
_NOT_IDLE = np.zeros(1, dtype=np.bool_)


class Positions(Protocol):
    """Many episodes in play."""

    @property
    def heeds_masks(self) -> bool:
        """Whether :meth:`move` has to be spared masked actions."""
        ...

    def begin(self, rows: _Rows, problems: _Rows, rng: np.random.Generator) -> None:
        """Start the episodes ``rows`` on the problems at these positions of the split. The first call starts all."""
        ...

    def move(self, actions: NDArray[np.int64], rng: np.random.Generator, idle: NDArray[np.bool_]) -> None:
        """Take an allowed action in every episode; ``idle`` ones and those that have ended stay where they are."""
        ...

    def turn(
        self, actions: NDArray[np.int64], rng: np.random.Generator, over: _Rows, problems: Callable[[_Rows], _Rows]
    ) -> None:
        """Take an allowed action in every episode but ``over``, which begin anew on what ``problems`` then draws."""
        ...

    def standing(self) -> RowStanding | PlayStanding:
        """Where the episodes stand."""
        ...


class Cursor(Protocol):
    """One episode in play."""

    def begin(self, problem: int, rng: np.random.Generator) -> None:
        """Start on the problem at this position of the split."""
        ...

    def move(self, action: int, rng: np.random.Generator) -> None:
        """Take an allowed action; an episode without any stays where it is."""
        ...

    def standing(self) -> Standing:
        """Where the episode stands."""
        ...

    def texts(self) -> tuple[str, str]:
        """Text of the last step and of the pending draft, '' where there is none."""
        ...


def positions(game: Game, size: int) -> Positions:
    """``size`` episodes of the game."""
    return RulePositions(game) if game.table is None else TablePositions(game, size)


def cursor(game: Game) -> Cursor:
    """One episode of the game."""
    return RuleCursor(game) if game.table is None else TableCursor(game, game.table)


class TablePositions:
    """Rows of a :class:`GameTable`. A masked action is projected where the game says so, and else moves nothing."""

    def __init__(self, game: Game, size: int) -> None:
        self._rows = game.rows
        self._models = len(game.source.pool)
        self._row: _Rows = np.zeros(size, dtype=np.int64)
        self._seen = False

    @property
    def heeds_masks(self) -> bool:
        """See :class:`Positions`."""
        return self._rows.heeds_masks

    def begin(self, rows: _Rows, problems: _Rows, rng: np.random.Generator) -> None:
        """See :class:`Positions`."""
        if self._seen:  # whoever has seen where they stand may look again
            self._row, self._seen = self._row.copy(), False
        self._row[rows] = problems  # the first rows of a table are the roots, in the order of the split

    def move(self, actions: NDArray[np.int64], rng: np.random.Generator, idle: NDArray[np.bool_]) -> None:
        """See :class:`Positions`."""
        self._row, self._seen = np.where(idle, self._row, self._after(actions)), False

    def turn(
        self, actions: NDArray[np.int64], rng: np.random.Generator, over: _Rows, problems: Callable[[_Rows], _Rows]
    ) -> None:
        """See :class:`Positions`."""
        self._row, self._seen = self._after(actions), False
        if len(over):
            self._row[over] = problems(over)

    def _after(self, actions: NDArray[np.int64]) -> _Rows:
        place = self._row * self._models
        place += actions
        after: _Rows = self._rows.landing.take(place)
        return after

    def standing(self) -> RowStanding:
        """See :class:`Positions`."""
        self._seen = True
        return RowStanding(self._rows, self._row)


class RulePositions:
    """Plays by the rules, for sources that cannot be tabulated. They lie in any order, and ``place`` tells where."""

    heeds_masks = True

    def __init__(self, game: Game) -> None:
        self._game = game
        self._standing: PlayStanding | None = None

    def standing(self) -> PlayStanding:
        """See :class:`Positions`; there is nothing to see before the first ``begin``."""
        assert self._standing is not None
        return self._standing

    def begin(self, rows: _Rows, problems: _Rows, rng: np.random.Generator) -> None:
        """See :class:`Positions`."""
        if len(rows):
            begun = self._game.rules.start(self._game.problems[problems], rng)
            self._enter([(rows, begun)])

    def move(self, actions: NDArray[np.int64], rng: np.random.Generator, idle: NDArray[np.bool_]) -> None:
        """See :class:`Positions`."""
        self._enter(self._moved(actions, rng, idle))

    def turn(
        self, actions: NDArray[np.int64], rng: np.random.Generator, over: _Rows, problems: Callable[[_Rows], _Rows]
    ) -> None:
        """See :class:`Positions`."""
        idle = np.zeros(len(actions), dtype=np.bool_)
        idle[over] = True
        parts = self._moved(actions, rng, idle)
        if len(over):
            parts.append((over, self._game.rules.start(self._game.problems[problems(over)], rng)))
        self._enter(parts)

    def _moved(
        self, actions: NDArray[np.int64], rng: np.random.Generator, idle: NDArray[np.bool_]
    ) -> list[tuple[_Rows, Play]]:
        stands = self.standing()
        (rows,) = (~(stands.stuck | idle)).nonzero()
        if len(rows) == 0:
            return []
        return [(rows, self._game.rules.step(stands.play.take(stands.place.take(rows)), actions.take(rows), rng))]

    def _enter(self, parts: list[tuple[_Rows, Play]]) -> None:
        """New plays of some episodes; the others stay as they are."""
        rows = [part[0] for part in parts]
        plays = [part[1] for part in parts]
        if self._standing is not None and sum(map(len, rows)) < len(self._standing.place):
            before = self._standing
            stay = np.ones(len(before.place), dtype=np.bool_)
            for changed in rows:
                stay[changed] = False
            rows.append(np.flatnonzero(stay))
            plays.append(before.play.take(before.place.take(rows[-1])))
        play = plays[0]
        for other in plays[1:]:
            play = play.join(other)
        place = np.empty(len(play), dtype=np.int64)
        place[np.concatenate(rows)] = np.arange(len(play))
        self._standing = PlayStanding(self._game, play, place)


class TableCursor:
    """A row of a :class:`GameTable`. Memory views give Python numbers several times faster than arrays do."""

    def __init__(self, game: Game, table: GameTable, row: int = 0) -> None:
        self._game = game
        self._table = table
        self._row = row
        self._models = table.child.shape[1]
        self._children = table.child.ravel().data
        self._cost = table.cost.data
        self._raw_cost = table.raw_cost.data
        self._depth = table.depth.data
        self._terminal = table.terminal.data
        self._correct = table.correct.data
        self._stuck = table.stuck.data
        self._capped = table.capped.data

    def __reduce__(self) -> tuple[Any, ...]:
        """Memory views do not pickle; they are made again from the table."""
        return TableCursor, (self._game, self._table, self._row)

    def begin(self, problem: int, rng: np.random.Generator) -> None:
        """See :class:`Cursor`."""
        self._row = problem  # the first rows of a table are the roots, in the order of the split

    def move(self, action: int, rng: np.random.Generator) -> None:
        """See :class:`Cursor`."""
        child = self._children[self._row * self._models + action]
        if child >= 0:
            self._row = child

    def standing(self) -> Standing:
        """See :class:`Cursor`."""
        table, row = self._table, self._row
        return Standing(
            table.observation[row].copy(),
            self._cost[row],
            self._raw_cost[row],
            table.ledger[row],
            table.mask[row],
            self._depth[row],
            self._terminal[row],
            self._correct[row],
            self._stuck[row],
            self._capped[row],
            False,
            "",
        )

    def texts(self) -> tuple[str, str]:
        """See :class:`Cursor`."""
        shown = [self._table.node[self._row], self._table.draft[self._row]]
        known = {"node": np.array([max(node, 0) for node in shown])}
        last, draft = self._game.source.texts(known)
        return (last if shown[0] >= 0 else "", draft if shown[1] >= 0 else "")


class RuleCursor:
    """One play by the rules."""

    def __init__(self, game: Game) -> None:
        self._game = game
        self._positions = RulePositions(game)
        self._only = np.zeros(1, dtype=np.int64)

    def begin(self, problem: int, rng: np.random.Generator) -> None:
        """See :class:`Cursor`."""
        self._positions.begin(self._only, np.array([problem]), rng)

    def move(self, action: int, rng: np.random.Generator) -> None:
        """See :class:`Cursor`."""
        self._positions.move(np.array([action]), rng, _NOT_IDLE)

    def standing(self) -> Standing:
        """See :class:`Cursor`."""
        many = self._positions.standing()
        values = (getattr(many, name) for name in Standing._fields)
        return Standing(*(value.item() if value.ndim == 1 else value[0] for value in values))

    def texts(self) -> tuple[str, str]:
        """See :class:`Cursor`."""
        trace, draft = self.latent()
        (last,) = self._game.source.texts(trace)
        return last, "" if draft is None else self._game.source.texts(draft)[0]

    def latent(self) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]] | None]:
        """What the source itself knows of the trace, and of the pending draft (None where there is none)."""
        play = self._positions.standing().play
        drafting = self._game.rules.mode == "regenerate" and play.lookahead is not None and play.drafted[0]
        return play.trace.latent, play.lookahead.latent if drafting and play.lookahead is not None else None
