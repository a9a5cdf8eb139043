"""The largest model with a fixed probability at every step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.game.config import RoutingSpec
from gym_stepwise_routing.routers.base import ALWAYS_SMALLEST, ScoringRouter
from gym_stepwise_routing.routers.families import ROUTERS, Draws, Family, Settings

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


_SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_DRAWS = 20


def _mixed(_: object) -> Draws:
    labels = [f"p = {p:g}" for p in _SHARES]
    return Draws([Settings([RandomMix(p, seed) for p in _SHARES], labels) for seed in range(_DRAWS)])


ROUTERS.register(Family(name="random per step", group="constants and schedules", router=RandomMix, build=_mixed))
