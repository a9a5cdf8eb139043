"""Uncertainty in two parts, each mapped to the risk of the next step, after EcoTab (arXiv 2605.29319).

EcoTab separates the uncertainty of table tokens from that of text tokens, maps each to the small model's risk of
failing in the next step, and combines the two risks. Reconstructed from its abstract, which does not say how tokens are
told apart and how the risks are combined.

Where a source tells tokens by their class (block ``token_classes``), the parts are the mean entropy over the table
tokens of the step and over all others; a step without tokens of a class has no risk of that part. Where it does not,
two figures stand in: the mean entropy of the step, which the many words dominate, and its greatest entropy, which the
few decisive tokens (in arithmetic mostly numbers) set. The label is exact on a tree: keeping to the large model would
have ended right before the small model's step and no longer does after it.
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
from gym_stepwise_routing.sources.contract import tells_token_classes
from gym_stepwise_routing.types import TOKEN_CLASSES, Block

__all__ = ["TwoPartRisk"]

CLASS_PARTS, CLASSES_KNOWN = tuple(f"{name}_entropy_mean" for name in TOKEN_CLASSES), "token_classes_known"
STAND_INS, CONFIDENCE_KNOWN = ("entropy_mean", "entropy_max"), "confidence_known"

STANDS_IN = "mean and greatest entropy of the step stand in for its table tokens and the others"


class TwoPartRisk(FittedRouter):
    """Score = 1 - (1 - risk of the first part)(1 - risk of the second); 0 where neither entropy is known.

    The parts are table tokens and all others where the observation has the block ``token_classes``; else the mean and
    the greatest entropy of the step stand in, both of which must be known.

    Args:
        threshold: 0 (always-largest) to above 1 (always-smallest).
    """

    name = "two-part-risk"

    def bind(self, spec: RoutingSpec) -> None:
        """Find the entropies."""
        super().bind(spec)
        self._by_class = CLASSES_KNOWN in spec.feature_names
        self._figures = CLASS_PARTS if self._by_class else STAND_INS
        self._known_name = CLASSES_KNOWN if self._by_class else CONFIDENCE_KNOWN
        *self._parts, self._known = columns_of(spec, *self._figures, self._known_name)

    def fit(self, game: Game) -> Self:
        """Fit one risk map a part.

        Raises:
            NotApplicableError: a random source, whose small steps cannot be labelled; no entropies of one kind; or no
                step with both outcomes.
        """
        self.bind_to(game)
        game.tree("which small step fails is not recorded")
        known = experience(game)
        for figure in self._figures:
            needs_figure(game, figure, self._known_name)
        kept = path_values(known, np.full(len(known), self.models - 1), known.right, np.zeros(len(known)))
        judged = (kept > 0) & (known.child[:, 0] >= 0) & ~known.ended
        weights = reach(known)
        self._maps = []
        for part, there in zip(self._parts, self._given(known.observation), strict=True):
            rows = np.flatnonzero(judged & there)
            failed = (kept[known.child[rows, 0]] == 0).astype(np.float64)
            if not 0 < failed.sum() < len(failed):
                raise NotApplicableError(f"{failed.sum():.0f} of {len(failed)} small steps fail; a risk map needs both")
            features = known.observation[rows][:, [part]]
            self._maps.append(SoftClassifier().fit(features, failed, weights[rows], known.problem[rows]))
        return self

    def _given(self, observation: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Where each part has a risk, ``bool[2, B]``."""
        share = observation[:, self._known]
        there = np.stack([given(observation[:, part], share) for part in self._parts])
        return there if self._by_class else np.broadcast_to(there.all(axis=0), there.shape)

    def scores(self, observation: NDArray[np.float32]) -> NDArray[np.float64]:
        """Risk of the small model's next step (*regenerate*: of its draft), ``float64[B]``."""
        safe = np.ones(len(observation))
        for part, risk, there in zip(self._parts, self._maps, self._given(observation), strict=True):
            safe *= np.where(there, 1 - risk.predict(observation[:, [part]]), 1.0)
        return 1 - safe


_STEPS: tuple[Block, ...] = ("progress", "confidence")
_CLASSES: tuple[Block, ...] = ("progress", "token_classes")


def _risk(arena: BuildContext) -> Thresholds:
    by_class = tells_token_classes(arena.source)
    blocks = _CLASSES if by_class else _STEPS
    return Thresholds(TwoPartRisk().fit(arena.game("train", blocks)), sees=blocks, note="" if by_class else STANDS_IN)


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
