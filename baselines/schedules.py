"""Schedules: which model writes depends on the step number alone."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.game.config import RoutingSpec
from gym_stepwise_routing.routers.base import Router, columns_of
from gym_stepwise_routing.routers.families import ROUTERS, BuildContext, Family, Settings
from gym_stepwise_routing.types import MODES, Mode

__all__ = ["EveryOther", "FirstKLarge", "LastKLarge"]


class _Schedule(Router):
    """The largest model at some steps, the smallest at the others."""

    label: ClassVar[str]

    def __init__(self, k: int) -> None:
        if k < 0:
            raise ValueError(f"k={k!r}; allowed: an integer >= 0")
        self.k = k
        self.name = self.label.format(k=k)

    def bind(self, spec: RoutingSpec) -> None:
        """Find the step number in the observation."""
        super().bind(spec)
        (self._column,) = columns_of(spec, "depth")
        self._horizon = spec.horizon

    @abstractmethod
    def _large(self, step: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the largest model writes these steps, ``bool[B]``."""

    def predict(
        self,
        observation: NDArray[np.float32],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
    ) -> tuple[NDArray[np.int64], Any]:
        """The largest model where the schedule says so."""
        step = np.rint(observation[:, self._column] * self._horizon).astype(np.int64)
        return np.where(self._large(step), self.models - 1, 0).astype(np.int64), state


class FirstKLarge(_Schedule):
    """The largest model writes the first k steps, the smallest the rest.

    Args:
        k: number of steps, >= 0.
    """

    label = "first-{k}-large"

    def _large(self, step: NDArray[np.int64]) -> NDArray[np.bool_]:
        return step < self.k


class LastKLarge(_Schedule):
    """The smallest model writes until k steps are left to the horizon, the largest the rest.

    Where a trace will end is not known in advance: a trace that ends before the horizon has fewer large steps. In
    *restart* the problem is handed over after horizon - k steps of the smallest model.

    Args:
        k: number of steps, >= 0.
    """

    label = "last-{k}-large"

    def _large(self, step: NDArray[np.int64]) -> NDArray[np.bool_]:
        return step >= self._horizon - self.k


class EveryOther(_Schedule):
    """The largest model writes every (k+1)-th step, beginning with the first; k = 1 alternates.

    Args:
        k: number of small steps between two large ones, >= 0.
    """

    label = "one-large-{k}-small"

    def _large(self, step: NDArray[np.int64]) -> NDArray[np.bool_]:
        large: NDArray[np.bool_] = step % (self.k + 1) == 0
        return large


def _scheduled(kind: type[FirstKLarge | LastKLarge | EveryOther], arena: BuildContext) -> Settings:
    return Settings([kind(k) for k in range(arena.source.horizon + 1)])


_BACK: tuple[Mode, ...] = ("route", "escalate", "regenerate")  # in restart who begins large stays large
_KINDS: tuple[tuple[str, type[FirstKLarge | LastKLarge | EveryOther], str, tuple[Mode, ...]], ...] = (
    ("first k large", FirstKLarge, "arXiv 2504.07891", _BACK),
    ("last k large", LastKLarge, "", MODES),
    ("every other", EveryOther, "", _BACK),
)
for _name, _kind, _paper, _modes in _KINDS:
    ROUTERS.register(
        Family(
            name=_name,
            group="constants and schedules",
            paper=_paper,
            router=_kind,
            build=partial(_scheduled, _kind),
            modes=_modes,
        )
    )
