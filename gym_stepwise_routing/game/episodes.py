"""Where episodes stand: rows of a table where the game is tabulated, plays by the rules where it is not.

:class:`TableCursor` and :class:`RuleCursor` hold one, :class:`TablePositions` and :class:`RulePositions` many.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.game.tabulation import GameTable
from gym_stepwise_routing.game.transitions import Play
from gym_stepwise_routing.types import TRUNCATIONS

__all__ = [
    "Cursor",
    "Ending",
    "Positions",
    "RuleCursor",
    "RulePositions",
    "Standing",
    "TableCursor",
    "TablePositions",
    "cursor",
    "ending",
    "positions",
    "project_actions",
    "truncation_numbers",
]

_Rows = NDArray[np.int64]
_NOT_IDLE = np.zeros(1, dtype=np.bool_)


class Standing(NamedTuple):
    """What is known of ``n`` episodes after a move; of one episode, the same without the first axis.

    Arrays of many episodes are fresh; ledger and mask of one are views, and whoever hands them out copies them.

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


class Ending(NamedTuple):
    """Whether and how episodes end; arrays ``bool[n]``, or truth values of one episode.

    Attributes:
        terminated: the trace has ended, with or without an answer, and no hard budget was exceeded.
        truncated: a hard budget was exceeded, or no action is left before the trace has ended.
        right: terminated with the right answer.
        over: the cost exceeds the budget, hard or not.
    """

    terminated: Any
    truncated: Any
    right: Any
    over: Any

    @property
    def ended(self) -> Any:
        """Terminated or truncated."""
        return self.terminated | self.truncated


def ending(stands: Standing, budget: Any, hard: bool) -> Ending:
    """How episodes end. The one place where this is decided, for one episode and for many.

    Args:
        stands: where the episodes stand.
        budget: their budgets, inf for none, ``float64[n]`` or a number.
        hard: whether exceeding the budget ends an episode.
    """
    over = stands.cost > budget
    cut = over & hard
    terminated = stands.terminal & (cut ^ True)  # ^ negates truth values and arrays of them alike
    return Ending(terminated, cut | (stands.stuck & (terminated ^ True)), terminated & stands.correct, over)


def truncation_numbers(stands: Standing, end: Ending, hard: bool) -> NDArray[np.uint8]:
    """Why episodes were truncated, as ``uint8[n]`` numbers in ``types.TRUNCATIONS``; 0 where they were not."""
    reasons = np.where(stands.capped, TRUNCATIONS.index("horizon"), TRUNCATIONS.index("no_model"))
    numbers = np.where(end.over & hard, TRUNCATIONS.index("budget"), reasons)
    return np.where(end.truncated, numbers, 0).astype(np.uint8)


class Positions(Protocol):
    """Many episodes in play."""

    def begin(self, rows: _Rows, problems: _Rows, rng: np.random.Generator) -> None:
        """Start the episodes ``rows`` on the problems at these positions of the split. The first call starts all."""
        ...

    def move(self, actions: NDArray[np.int64], rng: np.random.Generator, idle: NDArray[np.bool_]) -> None:
        """Take an allowed action in every episode; ``idle`` ones and those that have ended stay where they are."""
        ...

    def standing(self) -> Standing:
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
    return RulePositions(game) if game.table is None else TablePositions(game.table, size)


def cursor(game: Game) -> Cursor:
    """One episode of the game."""
    return RuleCursor(game) if game.table is None else TableCursor(game, game.table)


def project_actions(actions: NDArray[np.int64], masks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Replace masked actions by the next larger allowed one, or else by the largest allowed one (if there is any)."""
    models = masks.shape[1]
    larger = masks & (np.arange(models) >= actions[:, None])
    largest = models - 1 - np.argmax(masks[:, ::-1], axis=1)
    projected: NDArray[np.int64] = np.where(larger.any(axis=1), np.argmax(larger, axis=1), largest)
    return projected


class TablePositions:
    """Rows of a :class:`GameTable`."""

    def __init__(self, table: GameTable, size: int) -> None:
        self._table = table
        self._row: _Rows = np.zeros(size, dtype=np.int64)
        self._children = table.child.ravel()
        self._models = table.child.shape[1]
        self._never = np.zeros(size, dtype=np.bool_)
        self._no_reason = np.full(size, "", dtype=object)

    def begin(self, rows: _Rows, problems: _Rows, rng: np.random.Generator) -> None:
        """See :class:`Positions`."""
        self._row[rows] = self._table.roots[problems]

    def move(self, actions: NDArray[np.int64], rng: np.random.Generator, idle: NDArray[np.bool_]) -> None:
        """See :class:`Positions`."""
        children = self._children.take(self._row * self._models + actions)
        self._row = np.where((children < 0) | idle, self._row, children)

    def standing(self) -> Standing:
        """See :class:`Positions`."""
        table, row = self._table, self._row
        return Standing(
            observation=table.observation.take(row, axis=0),
            cost=table.cost.take(row),
            raw_cost=table.raw_cost.take(row),
            ledger=table.ledger.take(row, axis=0),
            mask=table.mask.take(row, axis=0),
            depth=table.depth.take(row),
            terminal=table.terminal.take(row),
            correct=table.correct.take(row),
            stuck=table.stuck.take(row),
            capped=table.capped.take(row),
            failed=self._never.copy(),
            reason=self._no_reason,
        )


class RulePositions:
    """Plays by the rules, for sources that cannot be tabulated."""

    def __init__(self, game: Game) -> None:
        self._game = game
        self._play: Play | None = None

    @property
    def play(self) -> Play:
        """The plays; there are none before the first ``begin``."""
        assert self._play is not None
        return self._play

    def begin(self, rows: _Rows, problems: _Rows, rng: np.random.Generator) -> None:
        """See :class:`Positions`."""
        if len(rows):
            begun = self._game.rules.start(self._game.problems[problems], rng)
            self._play = begun if self._play is None else self._play.put(rows, begun)

    def move(self, actions: NDArray[np.int64], rng: np.random.Generator, idle: NDArray[np.bool_]) -> None:
        """See :class:`Positions`."""
        rows = np.flatnonzero(self._game.rules.masks(self.play).any(axis=1) & ~idle)
        if len(rows):
            moved = self._game.rules.step(self.play.take(rows), actions[rows], rng)
            self._play = self.play.put(rows, moved)

    def standing(self) -> Standing:
        """See :class:`Positions`."""
        rules, play = self._game.rules, self.play
        mask = rules.masks(play)
        raw_cost = rules.cost(play)
        return Standing(
            observation=rules.observe(play, self._game.normaliser),
            cost=raw_cost / self._game.normaliser,
            raw_cost=raw_cost,
            ledger=play.account.ledger.copy(),
            mask=mask,
            depth=play.depth.copy(),
            terminal=play.trace.terminal.copy(),
            correct=play.trace.correct.copy(),
            stuck=~mask.any(axis=1),
            capped=play.trace.depth >= self._game.source.horizon,
            failed=play.trace.failed.copy(),
            reason=play.trace.latent.get("reason", np.full(len(play), "", dtype=object)),
        )


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
        return Standing(*(value.item() if value.ndim == 1 else value[0] for value in many))

    def texts(self) -> tuple[str, str]:
        """See :class:`Cursor`."""
        trace, draft = self.latent()
        (last,) = self._game.source.texts(trace)
        return last, "" if draft is None else self._game.source.texts(draft)[0]

    def latent(self) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]] | None]:
        """What the source itself knows of the trace, and of the pending draft (None where there is none)."""
        play = self._positions.play
        drafting = self._game.rules.mode == "regenerate" and play.lookahead is not None and play.drafted[0]
        return play.trace.latent, play.lookahead.latent if drafting and play.lookahead is not None else None
