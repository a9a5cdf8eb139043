"""Two rules of thumb for traces that go astray: long steps, and long steps that the writer is suspiciously sure of.

No probabilities are fitted; "long" is relative to the train split. A model that repeats itself predicts its own
repetition with near certainty, so a loop shows as a step both long and confident. (A bank's observation holds no text,
so repetition itself cannot be seen.)
"""

from __future__ import annotations

from functools import partial
from typing import Self

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.baselines.experience import experience
from gym_stepwise_routing.baselines.fitted_router import FittedRouter
from gym_stepwise_routing.baselines.observed_figures import needs_figure
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.game.config import RoutingSpec
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.base import columns_of
from gym_stepwise_routing.routers.families import ROUTERS, BuildContext, Family, Thresholds
from gym_stepwise_routing.types import Block

__all__ = ["LengthRule", "LoopRule"]


class LengthRule(FittedRouter):
    """Score = share of train steps (*regenerate*: drafts) that are shorter than the last one; 0 at the start.

    Args:
        threshold: 0 (always-largest) to above 1 (always-smallest).
        seed: seed of the sampling (random sources only).
    """

    name = "length"

    def __init__(self, threshold: float = 0.9, seed: int = 0) -> None:
        super().__init__(threshold)
        self.seed = seed

    def bind(self, spec: RoutingSpec) -> None:
        """Find the length of the last step."""
        super().bind(spec)
        (self._length,) = columns_of(spec, "last_tokens")

    def fit(self, game: Game) -> Self:
        """Learn what is long; no outcome is looked at.

        Raises:
            NotApplicableError: no step precedes any decision.
        """
        self.bind_to(game)
        known = experience(game, seed=self.seed)
        lengths = known.observation[~known.ended, self._length]
        if not (lengths > 0).any():
            raise NotApplicableError(f"{game.spec.source!r} has no step before any decision of mode {game.spec.mode!r}")
        self._sorted = np.sort(lengths[lengths > 0])
        return self

    def scores(self, observation: NDArray[np.float32]) -> NDArray[np.float64]:
        """How long the last step is, ``float64[B]`` in [0, 1]."""
        shorter = np.searchsorted(self._sorted, observation[:, self._length], side="left")
        return np.asarray(shorter / len(self._sorted), dtype=np.float64)


class LoopRule(LengthRule):
    """Score = length score times the mean probability of the most likely token; 0 where that is not known."""

    name = "loop"

    def bind(self, spec: RoutingSpec) -> None:
        """Find length and confidence."""
        super().bind(spec)
        (self._sure,) = columns_of(spec, "top1_mean")

    def fit(self, game: Game) -> Self:
        """Learn what is long.

        Raises:
            NotApplicableError: no step precedes any decision, or none has the most likely token's probability.
        """
        super().fit(game)
        needs_figure(game, "top1_mean", seed=self.seed)
        return self

    def scores(self, observation: NDArray[np.float32]) -> NDArray[np.float64]:
        """How long and sure the last step is, ``float64[B]`` in [0, 1]."""
        return np.clip(super().scores(observation) * observation[:, self._sure], 0, 1)


def _ruled(kind: type[LengthRule], blocks: tuple[Block, ...], arena: BuildContext) -> Thresholds:
    return Thresholds(kind(seed=arena.seed).fit(arena.game("train", blocks)))


_KINDS: tuple[tuple[type[LengthRule], tuple[Block, ...]], ...] = (
    (LengthRule, ("progress",)),
    (LoopRule, ("progress", "confidence")),
)
for _kind, _blocks in _KINDS:
    ROUTERS.register(
        Family(
            name=_kind.name,
            group="handcrafted",
            router=_kind,
            build=partial(_ruled, _kind, _blocks),
            sees=_blocks,
            fitted=True,
        )
    )
