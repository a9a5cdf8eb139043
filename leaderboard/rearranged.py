"""The same game, rearranged in ways that must not matter to a router."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.game import RoutingSpec
from gym_stepwise_routing.routers import Predicts, bind, name_of
from gym_stepwise_routing.sources.base import ProblemBatch, SourceState, Split, StepSource

__all__ = ["Jittered", "Rearranged", "RenamedSource"]


class Rearranged:
    """A router that sees the problems in other batches; each batch has a state of its own.

    Args:
        router: the router.
        batches: rows of each batch; together every row once.
    """

    def __init__(self, router: Predicts, batches: Sequence[NDArray[np.int64]]) -> None:
        self.router = router
        self.batches = batches
        self.name = name_of(router)
        self._with_masks = "action_masks" in inspect.signature(router.predict).parameters

    def bind(self, spec: RoutingSpec) -> None:
        """Bind the router."""
        bind(self.router, spec)

    def predict(
        self,
        observation: NDArray[np.float32],
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
        action_masks: Any = None,
    ) -> tuple[NDArray[np.int64], Any]:
        """The router's actions, batch by batch, in the order of the rows."""
        actions = np.zeros(len(observation), dtype=np.int64)
        states = [None] * len(self.batches) if state is None else state
        after = []
        for rows, before in zip(self.batches, states, strict=True):
            masks = {"action_masks": action_masks[rows]} if self._with_masks else {}
            chosen, then = self.router.predict(
                observation[rows], state=before, episode_start=episode_start[rows], deterministic=deterministic, **masks
            )
            actions[rows] = chosen
            after.append(then)
        return actions, after


class Jittered(Rearranged):
    """A router that sees each figure moved to a neighbouring float32; zeros, ones and other integers stay.

    Args:
        router: the router.
        rng: decides which way each figure moves.
    """

    def __init__(self, router: Predicts, rng: np.random.Generator) -> None:
        super().__init__(router, [])
        self._rng = rng

    def predict(
        self,
        observation: NDArray[np.float32],
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
        action_masks: Any = None,
    ) -> tuple[NDArray[np.int64], Any]:
        """The router's actions on neighbouring observations."""
        towards = np.where(self._rng.random(observation.shape) < 0.5, -np.inf, np.inf).astype(np.float32)
        moved = np.where(observation == np.rint(observation), observation, np.nextafter(observation, towards))
        masks = {"action_masks": action_masks} if self._with_masks else {}
        return self.router.predict(
            moved, state=state, episode_start=episode_start, deterministic=deterministic, **masks
        )


class RenamedSource:
    """A source whose problems come in another order and under names that say nothing.

    Args:
        source: the source.
        order: ``int64[n]`` a permutation of the problems of the split that is played.
    """

    kind: ClassVar[Literal["bank", "simulator", "live"]] = "bank"

    def __init__(self, source: StepSource, order: NDArray[np.int64]) -> None:
        self._source = source
        self._order = order
        self.name = source.name
        self.simulated = source.simulated
        self.pool = source.pool
        self.horizon = source.horizon
        self.deterministic = source.deterministic
        self.modes = source.modes

    def problems(self, split: Split) -> NDArray[np.int64]:
        """Problems of the split, rearranged."""
        return self._source.problems(split)[self._order]

    def describe(self, problems: NDArray[np.int64]) -> ProblemBatch:
        """See :class:`StepSource`."""
        return self._source.describe(problems)

    def problem_ids(self, problems: NDArray[np.int64]) -> Sequence[str]:
        """Names that say nothing."""
        return [f"problem/{position}" for position in range(len(problems))]

    def start(self, problems: NDArray[np.int64], rng: np.random.Generator) -> SourceState:
        """See :class:`StepSource`."""
        return self._source.start(problems, rng)

    def step(self, state: SourceState, models: NDArray[np.int64], rng: np.random.Generator) -> SourceState:
        """See :class:`StepSource`."""
        return self._source.step(state, models, rng)

    def probe(self, state: SourceState, rng: np.random.Generator) -> tuple[NDArray[np.float32], SourceState | None]:
        """See :class:`StepSource`."""
        return self._source.probe(state, rng)

    def texts(self, latent: dict[str, NDArray[Any]]) -> Sequence[str]:
        """See :class:`StepSource`."""
        return self._source.texts(latent)
