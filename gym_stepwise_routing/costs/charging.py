"""What a decision costs: the rules that turn steps into ledger entries. Written once, for a batch of traces.

Every model of the pool keeps a prefix cache per trace, as inference servers do. A model that is called reads the part
of the context that it has not cached (``prefill``) and finds the rest in its cache (``cached``). At the start the cache
holds what all prompts have in common, such as a few-shot head. A model's own decoded tokens are cached by it, other
models' are not: alternating between models is charged for what it makes them read. A draft that is thrown away leaves
no cache behind. What of the cache counts is the model's own affair
(:class:`gym_stepwise_routing.costs.models.Caching`): all of it, or whole blocks of prompts that are long enough, or
what the server tells.

Steps are counted in tokens of the model that wrote them; for pools whose tokenizers differ this is an approximation of
what the other models read.

How a verifier reads is its own affair (:class:`Verifier`): whether it has a prefix cache, and what it reads and decodes
for each score besides the text.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.costs.ledger import (
    CACHED,
    CALLS,
    DISCARDED,
    KEPT,
    KINDS,
    PREFILL,
    PROBE,
    VERIFIER,
    empty_ledger,
)
from gym_stepwise_routing.costs.models import IDEAL_CACHING, Model, ModelPool
from gym_stepwise_routing.types import Batch

__all__ = ["Account", "Prompts", "Verifier", "charge_draft_step", "charge_step", "open_account"]

_Ints = NDArray[np.int64]


class Prompts(Protocol):
    """What is asked of problems in order to open an account (:class:`...sources.contract.ProblemBatch`)."""

    @property
    def prompt_tokens(self) -> _Ints:
        """``int64[B, K]`` tokens of the whole prompt by each model's own count, 0 where it could not count."""
        ...

    @property
    def shared_prefix(self) -> _Ints:
        """``int64[B, K]`` how many of them all problems share."""
        ...


@dataclass(frozen=True, slots=True)
class Verifier(Model):
    """A verifier that reads or decodes more than each step once. A plain ``Model`` as verifier has the defaults.

    Args:
        prompt_tokens: tokens read for each score besides question and steps, such as the question of a rating; they
            stand behind the step, where no cache serves them.
        decoded_tokens: tokens decoded for each score.
        prefix_cache: False for an encoder, which attends both ways and reads the whole trace again for each score. What
            all prompts share, a few-shot head, is never read by it.
    """

    prompt_tokens: int = 0
    decoded_tokens: int = 0
    prefix_cache: bool = True

    def __post_init__(self) -> None:
        Model.__post_init__(self)  # a class with slots is made anew, which the short form of super() does not find
        if self.prompt_tokens < 0 or self.decoded_tokens < 0:
            raise ValueError(
                f"Verifier {self.name}: prompt_tokens={self.prompt_tokens!r}, decoded_tokens={self.decoded_tokens!r}; "
                "allowed: integers >= 0"
            )


_PLAIN = Verifier("one that reads each step once")


@dataclass(frozen=True, slots=True)
class Account(Batch):
    """Spending of ``B`` traces. Rows of the second axis are those of the ledger: the models, then the verifier if any.

    Attributes:
        context: ``int64[B, rows]`` tokens of prompt and trace so far.
        cached: ``int64[B, rows]`` how many of them the model's prefix cache holds.
        ledger: ``int64[B, rows, kinds]`` what was spent so far.
        asked: ``int64[B, 2]`` tokens that the verifier reads besides, and decodes, for each score; None without one.
        forgets: ``bool[B]`` the verifier has no prefix cache; None without one.
        caching: ``int64[B, rows, 3]`` block, smallest request, whether the server is believed; None: ideal for all.
    """

    context: _Ints
    cached: _Ints
    ledger: _Ints
    asked: _Ints | None
    forgets: NDArray[np.bool_] | None
    caching: _Ints | None = None

    def _copy(self) -> Account:
        return replace(self, context=self.context.copy(), cached=self.cached.copy(), ledger=self.ledger.copy())

    def _served(self, rows: _Ints, models: _Ints, told: _Ints | None = None) -> _Ints:
        """Tokens that the caches serve of the next request, where ``told`` is what servers say, -1 where nothing."""
        place = self._place(rows, models)
        cached = self.cached.ravel().take(place)
        if self.caching is None:
            return cached
        context = self.context.ravel().take(place)
        block, smallest, reported = np.moveaxis(self.caching[rows, models], -1, 0)
        served = np.where(context >= smallest, cached // block * block, 0)
        if told is None:
            return served
        return np.where((reported > 0) & (told >= 0), np.minimum(told, context), served)

    def _place(self, rows: _Ints, models: _Ints) -> _Ints:
        """Where the models of these rows stand in a flat array of ``B`` times the ledger's rows."""
        place: _Ints = rows * self.context.shape[1] + models
        return place

    def _call(self, rows: _Ints, models: _Ints, told: _Ints | None = None, tokens: _Ints | None = None) -> None:
        """A request, and with ``tokens`` the step that it wrote. ``self`` is a copy, whose arrays lie in one piece."""
        place = self._place(rows, models)
        context = self.context.ravel().take(place)
        cached = self._served(rows, models, told)
        lines = self.ledger.reshape(-1, len(KINDS))
        spent = lines.take(place, 0)
        spent[:, CALLS] += 1
        spent[:, PREFILL] += context - cached
        spent[:, CACHED] += cached
        if tokens is not None:
            spent[:, KEPT] += tokens
            context = context + tokens
            self._lengthen(rows, tokens)
        lines[place] = spent
        self.cached.reshape(-1)[place] = context

    def _write(self, rows: _Ints, models: _Ints, tokens: _Ints) -> None:
        self.ledger[rows, models, KEPT] += tokens
        self._lengthen(rows, tokens)
        self.cached[rows, models] = self.context[rows, models]

    def _lengthen(self, rows: _Ints, tokens: _Ints) -> None:
        if len(rows) == len(self.context):  # rows ascend: all of them
            np.add(self.context, tokens[:, None], out=self.context)
        else:
            self.context[rows] += tokens[:, None]

    def _verify(self, verifier: int, rows: _Ints, draft: _Ints | None) -> None:
        assert self.asked is not None
        assert self.forgets is not None
        cached = self._served(rows, np.full(len(rows), verifier))  # without a prefix cache: what is never read
        unread = self.context[rows, verifier] - cached + self.asked[rows, 0]
        self.ledger[rows, verifier, CALLS] += 1
        self.ledger[rows, verifier, CACHED] += np.where(self.forgets[rows], 0, cached)
        self.ledger[rows, verifier, VERIFIER] += unread if draft is None else unread + draft
        self.ledger[rows, verifier, PROBE] += self.asked[rows, 1]
        self._has_read(verifier, rows)

    def _has_read(self, verifier: int, rows: _Ints) -> None:
        assert self.forgets is not None
        keeps = rows[~self.forgets[rows]]
        self.cached[keeps, verifier] = self.context[keeps, verifier]


def open_account(problems: Prompts, pool: ModelPool) -> Account:
    """Account before the first step. A verifier reads the prompt as the largest model that could count it does."""
    batch = len(problems.prompt_tokens)
    ledger, caching = empty_ledger(pool, batch), _caching(pool, batch)
    if pool.verifier is None:
        context, cached = problems.prompt_tokens.astype(np.int64), problems.shared_prefix.astype(np.int64)
        return Account(context, cached, ledger, None, None, caching)
    smaller = np.argmax(problems.prompt_tokens[:, ::-1] > 0, axis=1)  # than the largest; 0 if nobody could count
    columns = np.column_stack([np.broadcast_to(np.arange(len(pool)), (batch, len(pool))), len(pool) - 1 - smaller])
    reader = pool.verifier if isinstance(pool.verifier, Verifier) else _PLAIN
    asked = np.empty((batch, 2), dtype=np.int64)
    asked[:] = reader.prompt_tokens, reader.decoded_tokens
    return Account(
        context=np.take_along_axis(problems.prompt_tokens, columns, axis=1),
        cached=np.take_along_axis(problems.shared_prefix, columns, axis=1),
        ledger=ledger,
        asked=asked,
        forgets=np.full(batch, not reader.prefix_cache),
        caching=caching,
    )


def _caching(pool: ModelPool, batch: int) -> _Ints | None:
    if all(model.caching is None for model in pool.rows):
        return None
    kinds = [model.caching or IDEAL_CACHING for model in pool.rows]
    rules = np.array([(kind.block, kind.smallest, kind.reported) for kind in kinds], dtype=np.int64)
    return np.tile(rules, (batch, 1, 1))


def charge_step(
    account: Account,
    models: _Ints,
    tokens: _Ints,
    *,
    probed: NDArray[np.bool_] | None,
    scored: NDArray[np.bool_] | None,
    afresh: tuple[NDArray[np.bool_], Account] | None = None,
    context: _Ints | None = None,
    served: _Ints | None = None,
) -> Account:
    """Account after ``models[b]`` wrote a step of ``tokens[b]`` tokens (modes *route*, *escalate* and *restart*).

    Args:
        account: before the step.
        models: ``int64[B]`` who wrote it.
        tokens: ``int64[B]`` its length.
        probed: ``bool[B]`` traces for which the smallest model's first token was decoded before the decision. It is
            thrown away (and charged as a probe) unless the smallest model went on to write the step.
        scored: ``bool[B]`` traces whose last step the verifier had scored before the decision; None: nobody scores. A
            step that was not scored is read with the next one that is.
        afresh: ``bool[B]`` traces that were left before the step, so that their writer reads the prompt alone (mode
            *restart*), and the accounts of their problems before the first step; what was spent stays in the ledger.
        context: ``int64[B]`` what the call that wrote the step read, where that was recorded, else -1: counted whole,
            as no cache was recorded with it.
        served: ``int64[B]`` tokens that the writers' servers say their caches served, -1 where nothing; None: nowhere.
    """
    after = account._copy()
    everyone = np.arange(len(models))
    if scored is not None:
        after._verify(account.ledger.shape[1] - 1, np.flatnonzero(scored), None)
    if probed is not None:
        wasted = np.flatnonzero(probed & (models != 0))
        smallest = np.zeros(len(wasted), dtype=np.int64)
        after._call(wasted, smallest)
        after.ledger[wasted, smallest, PROBE] += 1
    if afresh is not None:
        left, opened = afresh
        after.context[left], after.cached[left] = opened.context[left], opened.cached[left]
    if context is not None:
        told = np.flatnonzero(context >= 0)
        after.context[told, models[told]] = context[told]
        after.cached[told, models[told]] = 0
    after._call(everyone, models, served, tokens)
    return after


def charge_draft_step(
    account: Account,
    models: _Ints,
    tokens: _Ints,
    drafts: _Ints,
    *,
    drafted: NDArray[np.bool_],
    scored: NDArray[np.bool_] | None,
    served: _Ints | None = None,
    drafts_served: _Ints | None = None,
) -> Account:
    """Account after a draft of the smallest model was kept or rewritten (mode *regenerate*).

    Args:
        account: before the draft.
        models: ``int64[B]`` 0 where the draft was kept, else the model that rewrote it without having read it.
        tokens: ``int64[B]`` length of the step that entered the trace.
        drafts: ``int64[B]`` length of the draft.
        drafted: ``bool[B]`` traces that had a draft (the smallest model was available).
        scored: ``bool[B]`` traces whose draft the verifier scored; None: nobody scores.
        served: ``int64[B]`` tokens that the writers' servers say their caches served, -1 where nothing; None: nowhere.
        drafts_served: the same of the drafts.
    """
    after = account._copy()
    had_draft = np.flatnonzero(drafted)
    zeros = np.zeros(len(had_draft), dtype=np.int64)
    after._call(had_draft, zeros, None if drafts_served is None else drafts_served[had_draft])
    if scored is not None:
        judged = np.flatnonzero(scored)
        after._verify(account.ledger.shape[1] - 1, judged, drafts[judged])
    rewritten = np.flatnonzero(models != 0)
    kept = np.flatnonzero(models == 0)
    thrown = np.flatnonzero(drafted & (models != 0))
    after.ledger[thrown, 0, DISCARDED] += drafts[thrown]
    after._call(rewritten, models[rewritten], None if served is None else served[rewritten], tokens[rewritten])
    after._write(kept, models[kept], tokens[kept])
    if scored is not None:  # a kept draft has been read already, a rewritten one is dropped from the verifier's cache
        after._has_read(account.ledger.shape[1] - 1, np.flatnonzero(scored & (models == 0)))
    return after
