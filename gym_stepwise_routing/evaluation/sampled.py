"""What a router does on a bank of samples, in expectation and exactly: every sample of every step is played.

A step is one of the recorded samples, all alike likely, so that the chance of a trace is known and nothing is drawn.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.game.transitions import Rules
from gym_stepwise_routing.routers.base import Predicts, bind
from gym_stepwise_routing.sources.contract import SourceState
from gym_stepwise_routing.sources.recorded import BankSource

__all__ = ["ExpectedPlay", "expected_play"]

Array = NDArray[np.float64]
_MOST_ROWS = 2_000_000


@dataclass(frozen=True, slots=True, eq=False)
class ExpectedPlay:
    """A router in expectation.

    Attributes:
        right: ``float64[n]`` chance of a right answer, by problem of the split.
        cost: ``float64[n]`` expected normalised cost.
        traces: traces that were summed over.
    """

    right: Array
    cost: Array
    traces: int


class _OneSample(BankSource):
    """The same bank, of which every step is the sample of this number."""

    def __init__(self, source: BankSource, sample: int) -> None:
        super().__init__(source.bank)
        self._sample = sample
        self.missing: Any = None

    def step(self, state: SourceState, models: NDArray[np.int64], rng: np.random.Generator) -> SourceState:
        after, self.missing = self.step_sample(state, models, self._sample)
        return after


def expected_play(router: Predicts, game: Game) -> ExpectedPlay:
    """Play a router without memory on all samples.

    Args:
        router: its decision must hang on the observation alone.
        game: a game on a bank of samples, without budget, probe and *regenerate*, which look at a step before it is
            chosen.

    Raises:
        NotApplicableError: another game, or a router whose traces are too many to sum over.
    """
    source = game.source
    if not isinstance(source, BankSource) or source.samples == 1:
        raise NotApplicableError(f"source {source.name!r} has no samples; allowed: a bank recorded with --samples")
    if game.rules.probing or game.rules.mode == "regenerate" or game.budget is not None:
        raise NotApplicableError(
            f"mode={game.rules.mode!r}, observation={game.rules.blocks!r}, budget={game.budget!r} with samples; "
            "allowed: none of them"
        )
    bind(router, game.spec)
    config = game.config
    made = [_OneSample(source, sample) for sample in range(source.samples)]
    rules = [
        Rules(one, mode=game.rules.mode, observation=game.rules.blocks, cost_unit=config.cost_unit) for one in made
    ]
    rng = np.random.default_rng(0)
    play = game.rules.start(game.problems, rng)
    rows, chance = np.arange(len(game.problems)), np.ones(len(game.problems))
    right, cost = np.zeros((2, len(game.problems)))
    traces = 0
    wants_masks = "action_masks" in inspect.signature(router.predict).parameters
    while True:
        masks = game.rules.masks(play)
        ended = ~masks.any(axis=1)
        np.add.at(right, rows[ended], (chance * (play.trace.terminal & play.trace.correct))[ended])
        np.add.at(cost, rows[ended], (chance * game.rules.cost(play) / game.normaliser)[ended])
        traces += int(ended.sum())
        going = np.flatnonzero(~ended)
        if not len(going):
            return ExpectedPlay(np.clip(right, 0.0, 1.0), cost, traces)
        if len(going) * source.samples > _MOST_ROWS:
            raise NotApplicableError(f"{len(going) * source.samples:,} traces at a time; allowed: {_MOST_ROWS:,}")
        play, masks = play.take(going), masks[going]
        rows, chance = rows[going], chance[going]
        seen = game.rules.observe(play, game.normaliser)
        more = {"action_masks": masks} if wants_masks else {}
        actions, _ = router.predict(seen, deterministic=True, **more)
        chosen = np.where(masks[np.arange(len(going)), actions], actions, np.argmax(masks, axis=1))
        parts, there = [], []
        for one, rule in zip(made, rules, strict=True):
            after = rule.step(play, chosen, rng)
            there.append(~cast("NDArray[np.bool_]", one.missing))
            parts.append(after)
        count = np.sum(there, axis=0)
        kept = [np.flatnonzero(mask) for mask in there]
        joined = play.take(np.concatenate(kept))
        ends = np.cumsum([len(keep) for keep in kept])
        for part, keep, end in zip(parts, kept, ends, strict=True):
            joined = joined.put(np.arange(end - len(keep), end), part.take(keep))
        play = joined
        chance = np.concatenate([(chance / count)[keep] for keep in kept])
        rows = np.concatenate([rows[keep] for keep in kept])
