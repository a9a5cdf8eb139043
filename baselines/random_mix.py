"""The largest model with a fixed probability at every step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.game.config import RoutingSpec
from gym_stepwise_routing.routers.base import ALWAYS_SMALLEST, ScoringRouter

__all__ = ["RandomMix"]


class RandomMix(ScoringRouter):
    """At each step the largest model with probability p, else the smallest; its scores are uniform noise.

    Mixing the two constants *per problem* needs no router: it gives the chord between them.

    Args:
        p: probability of the largest model, in [0, 1].
        seed: seed of the noise; binding to a game starts it afresh.
    """

    def __init__(self, p: float = 0.5, seed: int = 0) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"p={p!r}; allowed: 0 to 1")
        super().__init__(threshold=ALWAYS_SMALLEST if p == 0 else 1 - p)
        self.name = f"random-{p:g}"
        self.seed = seed

    def bind(self, spec: RoutingSpec) -> None:
        """Start the noise afresh."""
        super().bind(spec)
        self._rng = np.random.default_rng(self.seed)

    def scores(self, observation: NDArray[np.float32]) -> NDArray[np.float64]:
        """Uniform noise, ``float64[B]``."""
        return self._rng.random(len(observation))
