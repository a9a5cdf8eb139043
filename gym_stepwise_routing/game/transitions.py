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
from gym_stepwise_routing.costs.ledger import CACHED, CALLS, DISCARDED, KEPT, PREFILL, PROBE
from gym_stepwise_routing.costs.units import CostUnit, cost_weights
from gym_stepwise_routing.errors import NotApplicableError, PriceError, check_choice
from gym_stepwise_routing.game.observation import check_blocks, describe_features
from gym_stepwise_routing.game.observing import observe, show_question
from gym_stepwise_routing.game.trace_statistics import History, empty_history, remember
from gym_stepwise_routing.sources.contract import ProblemBatch, SourceState, StepSource, tells_token_classes
from gym_stepwise_routing.types import BLOCKS, CONFIDENCE, MODES, Batch, Block, Mode

__all__ = ["Attempts", "Play", "Rules"]

_UNLIMITED = np.iinfo(np.int64).max
_FIRST_TOKEN = [CONFIDENCE.index("entropy_first"), CONFIDENCE.index("margin_first")]


@dataclass(frozen=True, slots=True)
class Attempts(Batch):
    """What *restart* remembers of ``B`` traces besides the present attempt.

    Attributes:
        untouched: the problems before the first step, where each attempt begins.
        barred: ``bool[B, K]`` models that did not deliver when they were to begin, since the last step.
        behind: ``int64[B]`` steps of the attempts that were left.
    """

    untouched: SourceState
    barred: NDArray[np.bool_]
    behind: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Play(Batch):
    """``B`` traces in play.

    Attributes:
        problems: what is known of their problems.
        trace: the traces.
        account: what was spent on them.
        history: aggregates over their steps.
        earlier: aggregates over all steps but the last, where scores are shown; else None.
        lookahead: the traces with the smallest model's next step, where the source told it (see ``drafted``); in
            *regenerate* without length and figures where a trace goes on without a draft.
        drafted: ``bool[B]`` rows of ``lookahead`` that are valid.
        probed: ``bool[B]`` the smallest model has decoded a token to look at, be its figures known or not.
        probe: ``float32[B, 2]`` probe figures, NaN where there are none.
        attempts: *restart* only: where a larger model begins. The trace and its aggregates are then those of the
            present attempt; the account is that of all of them.
    """

    problems: ProblemBatch
    trace: SourceState
    account: Account
    history: History
    earlier: History | None
    lookahead: SourceState | None
    drafted: NDArray[np.bool_]
    probed: NDArray[np.bool_]
    probe: NDArray[np.float32]
    attempts: Attempts | None = None

    @property
    def depth(self) -> NDArray[np.int64]:
        """``int64[B]`` steps so far, those of attempts that were left included."""
        return self.trace.depth if self.attempts is None else self.trace.depth + self.attempts.behind


class Rules:
    """One game: a source, a mode, an observation and a cost unit.

    Args:
        source: where steps come from.
        mode: ``route`` (any model at every step), ``escalate`` (never back to a smaller model), ``regenerate`` (the
            smallest model drafts, action 0 keeps the draft, action i has model i write the step instead) or ``restart``
            (never back to a smaller model; a larger one begins the problem afresh, with a horizon of its own, and does
            not see what was written; what was spent stays spent).
        observation: blocks of the observation.
        cost_unit: unit of :meth:`cost`.

    Raises:
        ValueError: unknown mode, block or cost unit.
        NotApplicableError: a block is asked of a source that does not tell what it shows.
    """

    def __init__(self, source: StepSource, *, mode: Mode, observation: Sequence[Block], cost_unit: CostUnit) -> None:
        check_choice("mode", mode, MODES)
        self.source = source
        self.mode = mode
        self.blocks = check_blocks(observation)
        self.probing = "probe" in self.blocks and mode != "regenerate"
        self.scoring = "verifier" in self.blocks
        lacking = {"verifier": "has no verifier scores"} if not source.scores else {}
        lacking |= {"feedback": "has no environment that answers"} if not source.feedback else {}
        lacking |= {"token_classes": "has no figures by class of token"} if not tells_token_classes(source) else {}
        if found := [block for block in self.blocks if block in lacking]:
            others = ", ".join(repr(block) for block in BLOCKS if block not in lacking)
            raise NotApplicableError(
                f"observation block {found[0]!r}: {source.kind} {source.name!r} {lacking[found[0]]}; allowed: {others}"
            )
        self.features = describe_features(len(source.pool), self.blocks)
        self.weights = cost_weights(cost_unit, source.pool)
        self._models = np.arange(len(source.pool))
        limits = [model.price.up_to if model.price else None for model in source.pool.rows]
        self._limits = np.array([_UNLIMITED if limit is None else limit for limit in limits])
        alike = getattr(source, "alike", False)  # all problems look the same before the first step
        self._alike = self._described(np.zeros(1, dtype=np.int64)) if alike else None

    def start(self, problems: NDArray[np.int64], rng: np.random.Generator) -> Play:
        """Plays before the first decision."""
        known, account, history = self._opened(problems)
        trace = self.source.start(problems, rng)
        attempts = None
        if self.mode == "restart":
            barred = np.zeros((len(problems), len(self._models)), dtype=np.bool_)
            attempts = Attempts(trace, barred, np.zeros(len(problems), dtype=np.int64))
        return self._look_ahead(known, trace, account, history, history if self.scoring else None, attempts, rng)

    def _opened(self, problems: NDArray[np.int64]) -> tuple[ProblemBatch, Account, History]:
        """What is known of the problems, spent and remembered before the first step."""
        if self._alike is None:
            return self._described(problems)
        rows = np.zeros(len(problems), dtype=np.int64)
        known, account, history = self._alike
        return known.take(rows), account.take(rows), history.take(rows)

    def _described(self, problems: NDArray[np.int64]) -> tuple[ProblemBatch, Account, History]:
        known = self.source.describe(problems)
        if "question" in self.blocks:
            known = replace(known, shown=show_question(known))
        account = open_account(known, self.source.pool)
        if not self.scoring:
            account = replace(account, asked=None, forgets=None)
        return known, account, empty_history(len(problems), len(self._models))

    @property
    def longest(self) -> int:
        """Most steps of an episode. In *restart* each model but the last may be left one step before its horizon."""
        horizon = self.source.horizon
        return len(self._models) * (horizon - 1) + 1 if self.mode == "restart" else horizon

    def step(self, play: Play, actions: NDArray[np.int64], rng: np.random.Generator) -> Play:
        """Plays after ``actions[b]`` (unmasked) in every play.

        Where the model does not deliver, the play stays as it was and goes on without that model; what was not
        delivered is not charged.
        """
        trace = self._advance(play, actions, rng)
        fine = np.flatnonzero(~trace.failed)
        if len(fine) == len(trace):
            return self._enter(play, actions, trace, rng)
        after = self._undelivered(play, actions, trace)
        return (
            after.put(fine, self._enter(play.take(fine), actions[fine], trace.take(fine), rng)) if len(fine) else after
        )

    def masks(self, play: Play) -> NDArray[np.bool_]:
        """Allowed actions, ``bool[B, K]``; all False only where the trace has ended or no model is left."""
        going = ~play.trace.terminal & (play.trace.depth < self.source.horizon)
        allowed = play.trace.available & going[:, None]
        if self.mode == "escalate":
            allowed = allowed & (self._models >= play.trace.model[:, None])
        if play.attempts is None:
            return allowed
        # whether a larger model can begin does not depend on how the present one can go on
        begins = play.attempts.untouched.available & ~play.attempts.barred & (self._models > play.trace.model[:, None])
        may: NDArray[np.bool_] = (allowed & (self._models == play.trace.model[:, None])) | (begins & going[:, None])
        return may

    def cost(self, play: Play) -> NDArray[np.float64]:
        """Cost so far in the cost unit, not normalised, ``float64[B]``."""
        cost: NDArray[np.float64] = np.einsum("brk,rk->b", play.account.ledger.astype(np.float64), self.weights)
        return cost

    def observe(self, play: Play, normaliser: float, cost: NDArray[np.float64] | None = None) -> NDArray[np.float32]:
        """Observations ``float32[B, features]``, budget columns 0; ``cost`` is :meth:`cost`, where that is known."""
        drafting = self.mode == "regenerate"
        judged = play.lookahead if drafting else play.trace
        assert judged is not None
        ledger = play.account.ledger[:, : len(self._models)]
        decoded = ledger[:, :, KEPT] + ledger[:, :, DISCARDED] + ledger[:, :, PROBE]
        return observe(
            self.blocks,
            horizon=self.source.horizon,
            question=play.problems.shown,
            trace=play.trace,
            judged=judged,
            history=play.history,
            earlier=play.history if drafting else play.earlier,
            decoded=decoded,
            spent=(self.cost(play) if cost is None else cost) / normaliser,
            probe=play.probe,
        )

    def _advance(self, play: Play, actions: NDArray[np.int64], rng: np.random.Generator) -> SourceState:
        """Trace after the actions; a step that the source has told already is not asked for again."""
        trace = play.trace
        if play.attempts is not None:
            begins = np.flatnonzero(actions != trace.model)
            trace = trace.put(begins, play.attempts.untouched.take(begins))
        if play.lookahead is None:
            return self.source.step(trace, actions, rng)
        asked = np.flatnonzero((actions != 0) | ~play.drafted)
        if len(asked) == 0:
            return play.lookahead
        stepped = self.source.step(trace.take(asked), actions[asked], rng)
        return stepped if len(asked) == len(actions) else play.lookahead.put(asked, stepped)

    def _undelivered(self, play: Play, actions: NDArray[np.int64], trace: SourceState) -> Play:
        """Plays after calls of which some failed; in *restart* the present attempt is still there to go on with."""
        if play.attempts is None:
            return replace(play, trace=trace)
        begins = trace.failed & (actions != play.trace.model)
        barred = play.attempts.barred.copy()
        barred[begins, actions[begins]] = True
        rows = np.flatnonzero(begins)
        latent = dict(play.trace.latent)
        if "reason" in latent:
            latent["reason"] = np.where(begins, trace.latent["reason"], latent["reason"])
        kept = replace(play.trace, failed=trace.failed, latent=latent)
        return replace(play, trace=trace.put(rows, kept.take(rows)), attempts=replace(play.attempts, barred=barred))

    def _enter(self, play: Play, actions: NDArray[np.int64], trace: SourceState, rng: np.random.Generator) -> Play:
        """Charge and remember the step that has entered the traces, and look ahead to the next decision."""
        begins, history, attempts = None, play.history, play.attempts
        if attempts is not None:
            begins = actions != play.trace.model
            history = history.put(begins, empty_history(int(begins.sum()), len(self._models)))
            behind = attempts.behind + np.where(begins, play.trace.depth, 0)
            attempts = Attempts(attempts.untouched, np.zeros_like(attempts.barred), behind)
        if self.mode == "regenerate":
            drafts = play.lookahead
            assert drafts is not None
            account = charge_draft_step(
                play.account,
                actions,
                trace.tokens,
                drafts.tokens,
                drafted=play.drafted,
                served=trace.served,
                drafts_served=drafts.served,
                scored=play.drafted & np.isfinite(drafts.score) if self.scoring else None,
            )
        else:
            account = charge_step(
                play.account,
                actions,
                trace.tokens,
                probed=play.probed if self.probing else None,
                scored=(play.trace.depth > 0) & np.isfinite(play.trace.score) if self.scoring else None,
                afresh=None if begins is None else (begins, open_account(play.problems, self.source.pool)),
                context=trace.context,
                served=trace.served,
            )
        if (self._limits < _UNLIMITED).any():
            self._check_tiers(play.account, account)
        earlier = history if self.scoring else None
        return self._look_ahead(play.problems, trace, account, remember(history, trace), earlier, attempts, rng)

    def _check_tiers(self, before: Account, after: Account) -> None:
        """Every request of the step had a context, cached tokens included, that its model's price holds for."""
        spent = after.ledger - before.ledger
        asked = before.context.copy()  # a verifier reads the trace as it was
        asked[:, self._models] = spent[:, self._models][:, :, [PREFILL, CACHED]].sum(axis=2)
        rows, models = np.nonzero((spent[:, :, CALLS] > 0) & (asked > self._limits))
        if len(rows):
            model = self.source.pool.rows[models[0]]
            raise PriceError(
                f"model {model.name!r}: a request of {asked[rows[0], models[0]]} input tokens, cached ones "
                f"included; its price holds up to {self._limits[models[0]]} ({model.price and model.price.source}); "
                "allowed: shorter requests, or a pool with the price of the longer ones"
            )

    def _look_ahead(
        self,
        problems: ProblemBatch,
        trace: SourceState,
        account: Account,
        history: History,
        earlier: History | None,
        attempts: Attempts | None,
        rng: np.random.Generator,
    ) -> Play:
        """Draft (*regenerate*) or probe the next step of the traces that the smallest model may go on with."""
        probe = np.full((len(trace), 2), np.nan, dtype=np.float32)
        drafted, probed = np.zeros((2, len(trace)), dtype=np.bool_)
        play = Play(problems, trace, account, history, earlier, None, drafted, probed, probe, attempts)
        if self.mode == "regenerate":
            return self._draft(play, np.flatnonzero(self.masks(play)[:, 0]), rng)
        if self.probing:
            rows = np.flatnonzero(self.masks(play)[:, 0])
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
            classes=None if trace.classes is None else np.where(ended[:, None], trace.classes, np.float32(np.nan)),
            score=np.where(ended, trace.score, np.float32(np.nan)),
        )
