"""A threshold on a verifier's score of the draft: TRIM-Thr (arXiv 2601.10245) and RSD (arXiv 2501.19324).

TRIM-Thr has the large model rewrite the draft where its score is below k; RSD keeps it where the score is at least .7.
Both are one rule, at a swept and at a fixed threshold. What differs from the papers is the verifier: they use a process
reward model of 7B parameters, here it is whatever the bank's scores come from, and its reading is charged.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.baselines.observed_figures import VERIFIED, judged
from gym_stepwise_routing.errors import NotApplicableError, check_choice
from gym_stepwise_routing.game.config import RoutingSpec
from gym_stepwise_routing.routers.base import ScoringRouter, columns_of
from gym_stepwise_routing.routers.families import ROUTERS, BuildContext, Family, Settings, Thresholds

__all__ = ["RSD", "TrimThreshold", "VerifierFigure", "VerifierThreshold"]

VerifierFigure = Literal["score", "score_min", "score_product"]


class VerifierThreshold(ScoringRouter):
    """Score = 1 - verifier score; 0 where no score is known (before the first step of *route* and *escalate*).

    Args:
        figure: the score of the last step (*regenerate*: draft), or the least score, or the product of the scores, up
            to and including it.
        threshold: 0 (always-largest) to above 1 (always-smallest).
    """

    def __init__(self, figure: VerifierFigure = "score", threshold: float = 0.5) -> None:
        check_choice("figure", figure, get_args(VerifierFigure))
        super().__init__(threshold)
        self.figure = figure
        self.name = f"verifier-{figure}"

    def bind(self, spec: RoutingSpec) -> None:
        """Find the scores."""
        super().bind(spec)
        self._columns = columns_of(spec, "score", "score_min", "score_product", "score_known")

    def scores(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        """Lack of approval, ``float32[B]`` in [0, 1]."""
        score, least, product, known = observation[:, self._columns].T
        value = {"score": score, "score_min": np.minimum(score, least), "score_product": score * product}[self.figure]
        return np.where(known > 0, np.clip(1 - value, 0, 1), np.float32(0))


class TrimThreshold(VerifierThreshold):
    """TRIM-Thr: rewrite the draft where its score is at most 1 - threshold."""

    def __init__(self, threshold: float = 0.5) -> None:
        super().__init__("score", threshold)
        self.name = "trim-thr"

    def bind(self, spec: RoutingSpec) -> None:
        """Find the scores.

        Raises:
            NotApplicableError: no ``verifier`` block, or a mode without drafts.
        """
        if spec.mode != "regenerate":
            raise NotApplicableError(f"{self.name} judges drafts; mode {spec.mode!r} has none, mode 'regenerate' has")
        super().bind(spec)


class RSD(TrimThreshold):
    """RSD: keep the draft iff its score is at least .7, the paper's threshold."""

    def __init__(self) -> None:
        super().__init__(threshold=float(np.nextafter(np.float32(0.3), np.float32(1))))
        self.name = "rsd"


def _kept(arena: BuildContext) -> Settings:
    judged(arena)
    return Settings([RSD()])


def _judged_by(figure: VerifierFigure, _: BuildContext) -> Thresholds:
    return Thresholds(VerifierThreshold(figure))


_TRIM = Family(
    name="TRIM-Thr",
    group="verifier",
    paper="arXiv 2601.10245",
    router=TrimThreshold,
    build=lambda _: Thresholds(TrimThreshold()),
    sees=VERIFIED,
    charges="the verifier's reading of every draft",
    modes=("regenerate",),
)
ROUTERS.register(_TRIM)
ROUTERS.register(replace(_TRIM, name="RSD", paper="arXiv 2501.19324", router=RSD, build=_kept))
_FIGURES: tuple[tuple[str, VerifierFigure], ...] = (("least score", "score_min"), ("product", "score_product"))
for _name, _figure in _FIGURES:
    ROUTERS.register(
        Family(
            name=f"verifier, {_name}",
            group="verifier",
            router=VerifierThreshold,
            build=partial(_judged_by, _figure),
            sees=VERIFIED,
            charges="the verifier's reading of every step or draft",
        )
    )
