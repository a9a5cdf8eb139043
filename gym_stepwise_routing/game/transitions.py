"""The rules of the routing game, for a batch of traces, over any source. Written once.

The environments play by them, and a deterministic source is tabulated with them
(:mod:`gym_stepwise_routing.game.tabulation`). What is charged, masked and observed in each
mode is decided here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.costs.charging import Account, charge_draft_step, charge_step, open_account
from gym_stepwise_routing.costs.ledger import CALLS, DISCARDED, KEPT, PROBE
from gym_stepwise_routing.costs.units import CostUnit, cost_weights
from gym_stepwise_routing.errors import NotApplicableError, PriceError, check_choice
from gym_stepwise_routing.game.observation import check_blocks, describe_features, observe
from gym_stepwise_routing.game.trace_statistics import History, empty_history, remember
from gym_stepwise_routing.sources.contract import ProblemBatch, SourceState, StepSource
from gym_stepwise_routing.types import BLOCKS, CONFIDENCE, MODES, Batch, Block, Mode

__all__ = ["Play", "Rules"]

_UNLIMITED = np.iinfo(np.int64).max
_FIRST_TOKEN = [CONFIDENCE.index("entropy_first"), CONFIDENCE.index("margin_first")]


@dataclass(frozen=True, slots=True)
class Play(Batch):
    """``B`` traces in play.

    Attributes:
        problems: what is known of their problems.
        trace: the traces.
        account: what was spent on them.
        history: aggregates over their steps.
        earlier: aggregates over all steps but the last.
        lookahead: the traces with the smallest model's next step, where the source told it (see ``drafted``); in
            *regenerate* without length and figures where a trace goes on without a draft.
        drafted: ``bool[B]`` rows of ``lookahead`` that are valid.
        probed: ``bool[B]`` the smallest model has decoded a token to look at, be its figures known or not.
        probe: ``float32[B, 2]`` probe figures, NaN where there are none.
    """

    problems: ProblemBatch
    trace: SourceState
    account: Account
    history: History
    earlier: History
    lookahead: SourceState | None
    drafted: NDArray[np.bool_]
    probed: NDArray[np.bool_]
    probe: NDArray[np.float32]


class Rules:
    """One game: a source, a mode, an observation and a cost unit.

    Args:
        source: where steps come from.
        mode: ``route`` (any model at every step), ``escalate`` (never back to a smaller model) or ``regenerate`` (the
            smallest model drafts, action 0 keeps the draft, action i has model i write the step instead).
        observation: blocks of the observation.
        cost_unit: unit of :meth:`cost`.

    Raises:
        ValueError: unknown mode, block or cost unit.
        NotApplicableError: the verifier block is asked of a source without scores.
    """

    def __init__(self, source: StepSource, *, mode: Mode, observation: Sequence[Block], cost_unit: CostUnit) -> None:
        check_choice("mode", mode, MODES)
        self.source = source
        self.mode = mode
        self.blocks = check_blocks(observation)
        self.probing = "probe" in self.blocks and mode != "regenerate"
        self.scoring = "verifier" in self.blocks
        if self.scoring and not source.scores:
            others = ", ".join(repr(block) for block in BLOCKS if block != "verifier")
            raise NotApplicableError(
                f"observation block 'verifier': {source.kind} {source.name!r} has no verifier scores; allowed: {others}"
            )
        self.features = describe_features(len(source.pool), self.blocks)
        self.weights = cost_weights(cost_unit, source.pool)
        self._models = np.arange(len(source.pool))
        limits = [model.price.up_to if model.price else None for model in source.pool.rows]
        self._limits = np.array([_UNLIMITED if limit is None else limit for limit in limits])

    def start(self, problems: NDArray[np.int64], rng: np.random.Generator) -> Play:
        """Plays before the first decision."""
        known = self.source.describe(problems)
        history = empty_history(len(problems), len(self._models))
        return self._look_ahead(
            known, self.source.start(problems, rng), open_account(known, self.source.pool), history, history, rng
        )

    def step(self, play: Play, actions: NDArray[np.int64], rng: np.random.Generator) -> Play:
        """Plays after ``actions[b]`` (unmasked) in every play.

        Where the model does not deliver, the play stays as it was and goes on without that model; what was not
        delivered is not charged.
        """
        trace = self._advance(play, actions, rng)
        fine = np.flatnonzero(~trace.failed)
        if len(fine) == len(trace):
            return self._enter(play, actions, trace, rng)
        after = replace(play, trace=trace)
        return (
            after.put(fine, self._enter(play.take(fine), actions[fine], trace.take(fine), rng)) if len(fine) else after
        )

    def masks(self, play: Play) -> NDArray[np.bool_]:
        """Allowed actions, ``bool[B, K]``; all False only where the trace has ended or no model is left."""
        allowed = (
            play.trace.available & ~play.trace.terminal[:, None] & (play.trace.depth < self.source.horizon)[:, None]
        )
        if self.mode == "escalate":
            allowed = allowed & (self._models >= play.trace.model[:, None])
        return allowed

    def cost(self, play: Play) -> NDArray[np.float64]:
        """Cost so far in the cost unit, not normalised, ``float64[B]``."""
        cost: NDArray[np.float64] = np.einsum("brk,rk->b", play.account.ledger.astype(np.float64), self.weights)
        return cost

    def observe(self, play: Play, normaliser: float) -> NDArray[np.float32]:
        """Observations ``float32[B, features]``; the budget columns are 0."""
        drafting = self.mode == "regenerate"
        judged = play.lookahead if drafting else play.trace
        assert judged is not None
        decoded = play.account.ledger[:, : len(self._models), [KEPT, DISCARDED, PROBE]].sum(axis=2)
        return observe(
            self.blocks,
            horizon=self.source.horizon,
            problems=play.problems,
            trace=play.trace,
            judged=judged,
            history=play.history,
            earlier=play.history if drafting else play.earlier,
            decoded=decoded,
            spent=self.cost(play) / normaliser,
            probe=play.probe,
        )

    def _advance(self, play: Play, actions: NDArray[np.int64], rng: np.random.Generator) -> SourceState:
        """Trace after the actions; a step that the source has told already is not asked for again."""
        if play.lookahead is None:
            return self.source.step(play.trace, actions, rng)
        asked = np.flatnonzero((actions != 0) | ~play.drafted)
        if len(asked) == 0:
            return play.lookahead
        stepped = self.source.step(play.trace.take(asked), actions[asked], rng)
        return stepped if len(asked) == len(actions) else play.lookahead.put(asked, stepped)

    def _enter(self, play: Play, actions: NDArray[np.int64], trace: SourceState, rng: np.random.Generator) -> Play:
        """Charge and remember the step that has entered the traces, and look ahead to the next decision."""
        if self.mode == "regenerate":
            drafts = play.lookahead
            assert drafts is not None
            account = charge_draft_step(
                play.account,
                actions,
                trace.tokens,
                drafts.tokens,
                drafted=play.drafted,
                scored=play.drafted & np.isfinite(drafts.score) if self.scoring else None,
            )
        else:
            account = charge_step(
                play.account,
                actions,
                trace.tokens,
                probed=play.probed if self.probing else None,
                scored=(play.trace.depth > 0) & np.isfinite(play.trace.score) if self.scoring else None,
            )
        if (self._limits < _UNLIMITED).any():
            self._check_tiers(play.account, account)
        return self._look_ahead(play.problems, trace, account, remember(play.history, trace), play.history, rng)

    def _check_tiers(self, before: Account, after: Account) -> None:
        """Every request of the step had a context, cached tokens included, that its model's price holds for."""
        called = after.ledger[:, :, CALLS] > before.ledger[:, :, CALLS]
        rows, models = np.nonzero(called & (before.context > self._limits))
        if len(rows):
            model = self.source.pool.rows[models[0]]
            raise PriceError(
                f"model {model.name!r}: a request of {before.context[rows[0], models[0]]} input tokens, cached ones "
                f"included; its price holds up to {self._limits[models[0]]} ({model.price and model.price.source}); "
                "allowed: shorter requests, or a pool with the price of the longer ones"
            )

    def _look_ahead(
        self,
        problems: ProblemBatch,
        trace: SourceState,
        account: Account,
        history: History,
        earlier: History,
        rng: np.random.Generator,
    ) -> Play:
        """Draft (*regenerate*) or probe the next step of the traces that the smallest model may go on with."""
        probe = np.full((len(trace), 2), np.nan, dtype=np.float32)
        drafted, probed = np.zeros((2, len(trace)), dtype=np.bool_)
        play = Play(problems, trace, account, history, earlier, None, drafted, probed, probe)
        rows = np.flatnonzero(self.masks(play)[:, 0])
        if self.mode == "regenerate":
            return self._draft(play, rows, rng)
        if self.probing:
            lookahead: SourceState | None = trace
            if len(rows):
                probe[rows], probed[rows], told = self.source.probe(trace.take(rows), rng)
                lookahead = None if told is None else trace.put(rows, told)
                drafted[rows] = False if told is None else ~told.failed
            return replace(play, lookahead=lookahead)
        return play

    def _draft(self, play: Play, rows: NDArray[np.int64], rng: np.random.Generator) -> Play:
        """Play with drafts in ``rows``; where the smallest model fails to draft, it is masked."""
        undrafted = self._undrafted(play.trace)
        if len(rows) == 0:
            return replace(play, lookahead=undrafted)
        drafts = self.source.step(play.trace.take(rows), np.zeros(len(rows), dtype=np.int64), rng)
        play.drafted[rows] = ~drafts.failed
        if "probe" in self.blocks:
            play.probe[rows] = np.where(drafts.failed[:, None], np.nan, drafts.confidence[:, _FIRST_TOKEN])
        delivered = np.flatnonzero(~drafts.failed)
        available = play.trace.available.copy()
        available[rows, 0] = ~drafts.failed
        latent = dict(play.trace.latent)
        if "reason" in latent:  # why a draft was not delivered is told like any other failure
            latent["reason"] = latent["reason"].copy()
            latent["reason"][rows] = np.where(drafts.failed, drafts.latent["reason"], latent["reason"][rows])
        return replace(
            play,
            trace=replace(play.trace, available=available, latent=latent),
            lookahead=undrafted.put(rows[delivered], drafts.take(delivered)),
        )

    def _undrafted(self, trace: SourceState) -> SourceState:
        """The traces as they are told without a draft: no length and no figures, but where they have ended."""
        ended = trace.terminal | (trace.depth >= self.source.horizon)
        return replace(
            trace,
            tokens=np.where(ended, trace.tokens, 0),
            confidence=np.where(ended[:, None], trace.confidence, np.float32(np.nan)),
            score=np.where(ended, trace.score, np.float32(np.nan)),
        )
