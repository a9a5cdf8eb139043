"""Handcrafted rule: a larger model where the environment's answers say that the attempt goes badly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.game.config import RoutingSpec
from gym_stepwise_routing.routers.base import ScoringRouter, columns_of
from gym_stepwise_routing.routers.families import ROUTERS, BuildContext, Family, Thresholds
from gym_stepwise_routing.types import Block

__all__ = ["FeedbackRule"]


class FeedbackRule(ScoringRouter):
    """Score = mean of four signs: share of the turns used; last answer an error; without rows; last action a repeat.

    Before the first step all four are 0: the smallest model starts unless the threshold is 0.

    Args:
        threshold: 0 (always-largest) to above 1 (always-smallest).
    """

    name = "feedback"

    def __init__(self, threshold: float = 0.5) -> None:
        super().__init__(threshold)

    def bind(self, spec: RoutingSpec) -> None:
        """Find the signs in the observation."""
        super().bind(spec)
        self._left, *self._signs = columns_of(spec, "turns_left", "answer_error", "answer_empty", "answer_repeat")

    def scores(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        """How badly the attempt goes, ``float32[B]`` in [0, 1]."""
        used = 1 - observation[:, self._left]
        return np.asarray((used + observation[:, self._signs].sum(axis=1)) / 4, dtype=np.float32)


_BLOCKS: tuple[Block, ...] = ("progress", "feedback")


def _ruled(arena: BuildContext) -> Thresholds:
    arena.game("train", _BLOCKS)  # a source in which nothing answers is refused here
    return Thresholds(FeedbackRule())


ROUTERS.register(
    Family(name="feedback", group="handcrafted", router=FeedbackRule, build=_ruled, sees=_BLOCKS, needs=("answers",))
)
