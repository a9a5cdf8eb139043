"""What planned routers know of the traces that they play."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.game.transitions import Play
from gym_stepwise_routing.planning.belief import BeliefMoves
from gym_stepwise_routing.planning.evidence import (
    STATUS_OF,
    begun_afresh,
    beliefs_after,
    by_status,
    outcomes_of,
    rewritten,
)
from gym_stepwise_routing.sources.contract import SourceState
from gym_stepwise_routing.sources.simulator.process import Process
from gym_stepwise_routing.sources.simulator.score_signals import TOKEN_CELLS

__all__ = ["BeliefKnowledge", "FullKnowledge", "Knowledge"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Knowledge(Protocol):
    """What a planned router knows of ``B`` traces, as points of a kernel."""

    def begin(self, batch: int) -> None:
        """Before the first step of ``batch`` traces."""
        ...

    def points(self, play: Play) -> tuple[Ints, Floats]:
        """Points and their weights, ``int64[B, V]``, ``float64[B, V]``."""
        ...

    def rows(self, play: Play, points: Ints) -> Ints:
        """Rows of the pending drafts, ``int64[B, V]``."""
        ...

    def learn(self, before: Play, after: Play, actions: Ints, depth: int) -> None:
        """Conclude from the steps that have just been written."""
        ...

    def keep(self, rows: Ints) -> None:
        """Go on with these traces."""
        ...


class FullKnowledge:
    """Knowledge of the hidden state (:mod:`.full_state`)."""

    def __init__(self, process: Process) -> None:
        self._borders = process.borders[0]

    def begin(self, batch: int) -> None:
        """Nothing to remember."""

    def points(self, play: Play) -> tuple[Ints, Floats]:
        """The hidden state."""
        point = 2 * play.trace.latent["level"] + play.trace.latent["wrong"]
        return point[:, None], np.ones((len(point), 1))

    def rows(self, play: Play, points: Ints) -> Ints:
        """Hidden state, whether the draft flips it, and the cell of its length."""
        drafts = _drafts(play)
        flips = play.trace.latent["wrong"] ^ drafts.latent["wrong"]
        cell = (drafts.tokens[:, None] > self._borders).sum(axis=1)
        number: Ints = (2 * points[:, 0] + flips) * TOKEN_CELLS + cell
        return number[:, None]

    def learn(self, before: Play, after: Play, actions: Ints, depth: int) -> None:
        """Nothing to conclude."""

    def keep(self, rows: Ints) -> None:
        """Nothing to remember."""


class BeliefKnowledge:
    """Knowledge from observations alone (:mod:`.belief`): exact beliefs by Bayes' rule.

    Attributes:
        moves: what may follow from beliefs.
        belief: ``float64[B, n]`` over the hidden states.
        group: ``int64[B]`` of the least score so far.
    """

    def __init__(self, moves: BeliefMoves) -> None:
        self.moves = moves
        self._evidence, self._process = moves.evidence, moves.evidence.source.process

    def begin(self, batch: int) -> None:
        """Everyone believes what is true of all problems."""
        self.belief = np.repeat(self._evidence.prior[None], batch, axis=0)
        self.group = np.full(batch, self._evidence.groups - 1)
        self._first = True

    def points(self, play: Play) -> tuple[Ints, Floats]:
        """Neighbouring points of the grid."""
        if self._first:
            return np.zeros((len(play), 1), dtype=np.int64), np.ones((len(play), 1))
        return self.moves.points.locate(self.group, self.belief)

    def rows(self, play: Play, points: Ints) -> Ints:
        """Neighbouring points, and what the draft shows."""
        self._seen = self._evidence.observed(0, _drafts(play))
        return points * len(self._evidence.cell[0]) + self._seen[:, None]

    def learn(self, before: Play, after: Play, actions: Ints, depth: int) -> None:
        """Bayes' rule for the step, and for the draft that was thrown away."""
        self._first = False
        drafting = before.lookahead is not None
        own = np.full(len(actions), depth)
        if before.attempts is not None:
            begins = actions != before.trace.model
            self.belief[begins] = begun_afresh(self.belief[begins])
            self.group[begins] = self._evidence.groups - 1
            own = np.where(begins, 0, before.trace.depth)
        for model, depth in {*zip(actions.tolist(), own.tolist(), strict=True)}:
            rows = np.flatnonzero((actions == model) & (own == depth))
            outcomes = outcomes_of(self.belief[rows], self._process.flip[:, 0 if drafting else model, :, depth])
            if drafting and model > 0:
                draft = self._likelihood(0, rows, self._seen[rows])[:, :, STATUS_OF]
                statuses = rewritten(outcomes * draft, self._process.rewrite_flip(model, depth))
            else:
                statuses = by_status(outcomes)
            seen = self._evidence.observed(model, after.trace.take(rows))
            belief = beliefs_after(statuses * self._likelihood(model, rows, seen))
            self.belief[rows] = belief / belief.sum(axis=1, keepdims=True)
            self.group[rows] = self._evidence.group[model][self.group[rows], seen]

    def keep(self, rows: Ints) -> None:
        """Forget the others."""
        self.belief, self.group = self.belief[rows], self.group[rows]

    def _likelihood(self, model: int, rows: Ints, seen: Ints) -> Floats:
        """Of the observations of these traces, ``[B, L, status]``."""
        return self._evidence.likelihood[model][self.group[rows], :, :, seen]


def _drafts(play: Play) -> SourceState:
    assert play.lookahead is not None
    return play.lookahead
