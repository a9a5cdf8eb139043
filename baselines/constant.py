"""Always the same model: the two anchors of every metric, and the models in between."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.game.config import RoutingSpec
from gym_stepwise_routing.routers.base import Router, as_batch
from gym_stepwise_routing.routers.families import ROUTERS, BuildContext, Family, Settings

__all__ = ["AlwaysLargest", "AlwaysModel", "AlwaysSmallest"]


class AlwaysModel(Router):
    """Always the same model (*regenerate*: 0 keeps every draft).

    Args:
        model: index into the pool; negative counts from the largest.
    """

    def __init__(self, model: int) -> None:
        self.model = model
        self.name = f"always-{model}"

    def bind(self, spec: RoutingSpec) -> None:
        """Check the index."""
        super().bind(spec)
        if not -self.models <= self.model < self.models:
            raise ValueError(f"model={self.model!r}; allowed: {-self.models} to {self.models - 1} with {spec.models}")

    def predict(
        self,
        observation: NDArray[np.float32],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
    ) -> tuple[NDArray[np.int64], Any]:
        """The model's index, B times; of one observation, once."""
        batch, single = as_batch(observation)
        actions = np.full(len(batch), self.model % self.models, dtype=np.int64)
        return actions[0] if single else actions, state


class AlwaysSmallest(AlwaysModel):
    """Always the smallest model: the cheap anchor (A_w, C_w)."""

    def __init__(self) -> None:
        super().__init__(0)
        self.name = "always-smallest"


class AlwaysLargest(AlwaysModel):
    """Always the largest model: the expensive anchor (A_s, C_s)."""

    def __init__(self) -> None:
        super().__init__(-1)
        self.name = "always-largest"


def _single(arena: BuildContext) -> Settings:
    names = arena.source.pool.names
    return Settings([AlwaysModel(model) for model in range(len(names))], names)


ROUTERS.register(
    Family(name="single models", group="constants and schedules", router=AlwaysModel, build=_single, plays="plain")
)
