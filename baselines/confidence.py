"""Handcrafted rule: a larger model where the last step (*regenerate*: the draft) was written with little confidence."""

from __future__ import annotations

from functools import partial
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.baselines.observed_figures import given, needs_figure
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.game.config import RoutingSpec
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.base import ScoringRouter, columns_of
from gym_stepwise_routing.routers.families import ROUTERS, BuildContext, Family, Thresholds
from gym_stepwise_routing.types import Block

__all__ = ["ConfidenceFigure", "ConfidenceThreshold"]

ConfidenceFigure = Literal[
    "p_mean",
    "p_min",
    "entropy_mean",
    "entropy_max",
    "entropy_first",
    "margin_mean",
    "margin_min",
    "margin_first",
    "top1_mean",
]


class ConfidenceThreshold(ScoringRouter):
    """Score = 1 - p for probabilities and margins, 1 - exp(-H) for entropies; 0 where the figure is not known.

    Before the first step of *route* and *escalate* there is no figure: the smallest model starts unless the threshold
    is 0.

    Args:
        figure: which confidence figure, as named in the observation.
        threshold: 0 (always-largest) to above 1 (always-smallest).
    """

    def __init__(self, figure: ConfidenceFigure = "p_min", threshold: float = 0.5) -> None:
        check_choice("figure", figure, get_args(ConfidenceFigure))
        super().__init__(threshold)
        self.figure = figure
        self.name = f"confidence-{figure}"

    def bind(self, spec: RoutingSpec) -> None:
        """Find the figure in the observation."""
        super().bind(spec)
        self._columns = columns_of(spec, self.figure, "confidence_known")

    def fit(self, game: Game) -> Self:
        """Check that there is something to go by; nothing is learned.

        Raises:
            NotApplicableError: the figure is known of no step of the train split.
        """
        self.bind(game.spec)
        needs_figure(game, self.figure)
        return self

    def scores(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        """Lack of confidence, ``float32[B]`` in [0, 1]."""
        value, known = observation[:, self._columns].T
        confident = np.exp(-value) if self.figure.startswith("entropy") else value
        return np.where(given(value, known), np.clip(1 - confident, 0, 1), np.float32(0))


_STEPS: tuple[Block, ...] = ("progress", "confidence")
_COMPARED: tuple[ConfidenceFigure, ...] = (
    "p_mean",
    "p_min",
    "entropy_mean",
    "entropy_max",
    "entropy_first",
    "margin_mean",
)


def _by_confidence(figure: ConfidenceFigure, arena: BuildContext) -> Thresholds:
    return Thresholds(ConfidenceThreshold(figure).fit(arena.game("train", _STEPS)))


for _figure in _COMPARED:
    ROUTERS.register(
        Family(
            name=f"confidence {_figure}",
            group="handcrafted",
            router=ConfidenceThreshold,
            build=partial(_by_confidence, _figure),
            sees=_STEPS,
        )
    )
