"""SpecReason (arXiv 2504.07891): the large model rates the draft from 0 to 9 in one token; keep it from 7 upwards.

Reconstructed: the rating is the digit that the model is expected to answer, and a comparison sweeps the least one. The
ratings come as verifier scores, rating / 9, whose verifier is the large model itself (see
``verifiers.hub.LargeModelRater``), so that its reading of every draft is paid for. The paper's option to have the large
model write the first steps is kept.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.baselines.observed_figures import VERIFIED, known_on_all_splits
from gym_stepwise_routing.baselines.verifier_threshold import TrimThreshold
from gym_stepwise_routing.game.config import RoutingSpec
from gym_stepwise_routing.routers.base import columns_of
from gym_stepwise_routing.routers.families import ROUTERS, BuildContext, Family, Thresholds

__all__ = ["SpecReason", "rating_name"]


def rating_name(model: str) -> str:
    """Name of a large model as a verifier in the ledger."""
    return f"{model} (rating)"


class SpecReason(TrimThreshold):
    """Rewrite the draft unless its rating is at least ``keep``.

    Args:
        keep: least rating to keep a draft, above 0 and at most 9.
        first_large: number of first steps that the large model writes anyway, >= 0.
    """

    def __init__(self, keep: float = 7, first_large: int = 0) -> None:
        if not 0 < keep <= 9:
            raise ValueError(f"keep={keep!r}; allowed: above 0, at most 9")
        if first_large < 0:
            raise ValueError(f"first_large={first_large!r}; allowed: an integer >= 0")
        # the next float after the score of a rating of ``keep``, which is kept
        super().__init__(threshold=float(np.nextafter(np.float32(1) - np.float32(keep / 9), np.float32(2))))
        self.first_large = first_large
        self.name = f"spec-reason-{keep:g}" + (f"-first-{first_large}" if first_large else "")

    def bind(self, spec: RoutingSpec) -> None:
        """Find scores and step number."""
        super().bind(spec)
        (self._depth,) = columns_of(spec, "depth")
        self._horizon = spec.horizon

    def scores(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        """Lack of approval, ``float32[B]`` in [0, 1]; 1 for the first steps."""
        step = np.rint(observation[:, self._depth] * self._horizon)
        return np.where(step < self.first_large, np.float32(1), super().scores(observation))


def _rated(arena: BuildContext) -> Thresholds:
    ratings = rating_name(arena.source.pool.names[-1])
    known_on_all_splits(arena, ratings)
    return Thresholds(SpecReason(), verifier=ratings, own=True)


ROUTERS.register(
    Family(
        name="SpecReason",
        group="verifier",
        paper="arXiv 2504.07891",
        router=SpecReason,
        build=_rated,
        sees=VERIFIED,
        needs=("ratings by the largest model",),
        charges="the largest model's rating of every draft",
        modes=("regenerate",),
    )
)
