"""Uncertainty in two parts, each mapped to the risk of the next step, after EcoTab (arXiv 2605.29319).

EcoTab separates the uncertainty of table tokens from that of text tokens, maps each to the small model's risk of
failing in the next step, and combines the two risks. Reconstructed: banks record figures a step, not a token, so
numbers cannot be told from words by their own entropies. The parts here are the mean entropy of the step, which the
many words dominate, and its greatest entropy, which the few decisive tokens (in arithmetic mostly numbers) set. The
label is exact on a tree: keeping to the large model would have ended right before the small model's step and no longer
does after it.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.baselines.estimators import SoftClassifier
from gym_stepwise_routing.baselines.experience import experience, path_values, reach
from gym_stepwise_routing.baselines.fitted_router import FittedRouter
from gym_stepwise_routing.baselines.observed_figures import given, needs_figure
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.game.config import RoutingSpec
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.base import columns_of
from gym_stepwise_routing.routers.families import ROUTERS, BuildContext, Family, Thresholds
from gym_stepwise_routing.types import Block

__all__ = ["TwoPartRisk"]

FIGURES = ("entropy_mean", "entropy_max")


class TwoPartRisk(FittedRouter):
    """Score = 1 - (1 - risk of the words)(1 - risk of the peak); 0 where the entropies are not known.

    Args:
        threshold: 0 (always-largest) to above 1 (always-smallest).
    """

    name = "two-part-risk"

    def bind(self, spec: RoutingSpec) -> None:
        """Find the entropies."""
        super().bind(spec)
        *self._parts, self._known = columns_of(spec, *FIGURES, "confidence_known")

    def fit(self, game: Game) -> Self:
        """Fit one risk map a part.

        Raises:
            NotApplicableError: a random source, whose small steps cannot be labelled; no entropies of one kind; or no
                step with both outcomes.
        """
        self.bind_to(game)
        game.tree("which small step fails is not recorded")
        known = experience(game)
        for figure in FIGURES:
            needs_figure(game, figure)
        kept = path_values(known, np.full(len(known), self.models - 1), known.right, np.zeros(len(known)))
        rows = np.flatnonzero(
            (kept > 0) & (known.child[:, 0] >= 0) & self._both_given(known.observation) & ~known.ended
        )
        failed = (kept[known.child[rows, 0]] == 0).astype(np.float64)
        if not 0 < failed.sum() < len(failed):
            raise NotApplicableError(f"{failed.sum():.0f} of {len(failed)} small steps fail; a risk map needs both")
        weight, features = reach(known)[rows], known.observation[rows]
        self._maps = [
            SoftClassifier().fit(features[:, [part]], failed, weight, known.problem[rows]) for part in self._parts
        ]
        return self

    def _both_given(self, observation: NDArray[np.float32]) -> NDArray[np.bool_]:
        share = observation[:, self._known]
        words, peak = (given(observation[:, part], share) for part in self._parts)
        return words & peak

    def scores(self, observation: NDArray[np.float32]) -> NDArray[np.float64]:
        """Risk of the small model's next step (*regenerate*: of its draft), ``float64[B]``."""
        safe = np.ones(len(observation))
        for part, risk in zip(self._parts, self._maps, strict=True):
            safe *= 1 - risk.predict(observation[:, [part]])
        return np.where(self._both_given(observation), 1 - safe, 0.0)


_STEPS: tuple[Block, ...] = ("progress", "confidence")


def _risk(arena: BuildContext) -> Thresholds:
    return Thresholds(TwoPartRisk().fit(arena.game("train", _STEPS)))


ROUTERS.register(
    Family(
        name="two-part risk",
        group="handcrafted",
        paper="arXiv 2605.29319",
        router=TwoPartRisk,
        build=_risk,
        sees=_STEPS,
        needs=("a recorded tree",),
        fitted=True,
    )
)
