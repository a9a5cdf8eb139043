"""The same game, rearranged in ways that must not matter to a router."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.game.config import RoutingSpec
from gym_stepwise_routing.routers.base import Predicts, Scores, bind, name_of
from gym_stepwise_routing.sources.contract import ProblemBatch, SourceState, StepSource, tells_token_classes
from gym_stepwise_routing.types import Split

__all__ = ["Jittered", "Rearranged", "RenamedSource", "ScoreCall", "Shadowed", "ShadowedScores"]

_NO_ACTION = -1


class Rearranged:
    """A router that sees the problems in other batches. Each batch has a router and a state of its own.

    Args:
        make: makes the router; each batch gets a new one, since a recurrent router may remember its episodes itself,
            and a cheating one what it was asked before.
        batches: rows of each batch; together every row once.
    """

    def __init__(self, make: Callable[[], Predicts], batches: Sequence[NDArray[np.int64]]) -> None:
        self.routers = [make() for _ in batches]
        self.name = name_of(self.routers[0])
        self.batches = batches
        self._with_masks = _takes_masks(self.routers[0])

    def bind(self, spec: RoutingSpec) -> None:
        """Bind every copy."""
        for router in self.routers:
            bind(router, spec)

    def predict(
        self,
        observation: NDArray[np.float32],
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
        action_masks: Any = None,
    ) -> tuple[NDArray[np.int64], Any]:
        """The actions, batch by batch, in the order of the rows."""
        actions = np.zeros(len(observation), dtype=np.int64)
        states = [None] * len(self.batches) if state is None else state
        after = []
        for router, rows, before in zip(self.routers, self.batches, states, strict=True):
            masks = {"action_masks": action_masks[rows]} if self._with_masks else {}
            chosen, then = router.predict(
                observation[rows], state=before, episode_start=episode_start[rows], deterministic=deterministic, **masks
            )
            # Decisions on other rows than those that were shown are no decisions.
            actions[rows] = chosen if np.shape(chosen) == rows.shape else _NO_ACTION
            after.append(then)
        return actions, after


class Jittered:
    """A router that sees each figure moved to the next float32; zeros, ones and other integers stay.

    Args:
        router: the router.
        towards: which way they move: ``inf`` or ``-inf``.
    """

    def __init__(self, router: Predicts, towards: float) -> None:
        self.name = name_of(router)
        self.router = router
        self._towards = np.float32(towards)
        self._with_masks = _takes_masks(router)

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
        """The router's actions on neighbouring observations."""
        masks = {"action_masks": action_masks} if self._with_masks else {}
        return self.router.predict(
            jittered(observation, self._towards),
            state=state,
            episode_start=episode_start,
            deterministic=deterministic,
            **masks,
        )


class Shadowed:
    """A router that plays, and rearranged ones that say at each of its decisions what they would do.

    All of them meet the same traces. Played by themselves, one other decision would change what comes after it. Each
    gets a copy of the observations: a router may scale them in place.

    Args:
        router: the router that plays.
        shadows: the others.
    """

    def __init__(self, router: Predicts, shadows: Sequence[Rearranged]) -> None:
        self.name = name_of(router)
        self.router = router
        self.shadows = shadows
        self._with_masks = _takes_masks(router)
        self._differ: list[NDArray[np.bool_]] = []

    def bind(self, spec: RoutingSpec) -> None:
        """Bind all of them."""
        for router in (self.router, *self.shadows):
            bind(router, spec)
        self._differ = []

    def predict(
        self,
        observation: NDArray[np.float32],
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
        action_masks: Any = None,
    ) -> tuple[NDArray[np.int64], Any]:
        """The router's actions."""
        own, *others = [None] * (1 + len(self.shadows)) if state is None else state
        masks = {"action_masks": action_masks} if self._with_masks else {}
        actions, own = self.router.predict(
            observation.copy(), state=own, episode_start=episode_start, deterministic=deterministic, **masks
        )
        said = [
            shadow.predict(observation.copy(), before, episode_start, deterministic, action_masks)
            for shadow, before in zip(self.shadows, others, strict=True)
        ]
        self._differ.append(np.stack([np.asarray(action) != actions for action, _ in said]))
        return actions, (own, *(after for _, after in said))

    def changed(self, decisions: NDArray[np.int8]) -> NDArray[np.int64]:
        """Problems on which each shadow would have decided otherwise somewhere, ``int64[len(shadows)]``.

        Args:
            decisions: ``int8[n, H]`` of the play, -1 after the end, where it does not matter what anybody says.
        """
        differ = np.stack(self._differ, axis=-1) & (decisions[:, : len(self._differ)] >= 0)
        changed: NDArray[np.int64] = np.count_nonzero(differ.any(axis=-1), axis=1)
        return changed


class ShadowedScores:
    """Scores of a router, and what rearranged ones would have said at each call.

    Args:
        make: makes the router; the rearranged ones are new ones, too.
        batches: rows of each batch of the rearranged order; together every row once.
    """

    def __init__(self, make: Callable[[], Scores], batches: Sequence[NDArray[np.int64]]) -> None:
        self._own, self._up, self._down = make(), make(), make()
        self.name = name_of(self._own)
        self._batches = [(rows, make()) for rows in batches]
        self.calls: list[ScoreCall] = []

    def bind(self, spec: RoutingSpec) -> None:
        """Bind all of them."""
        for router in (self._own, self._up, self._down, *(router for _, router in self._batches)):
            bind(router, spec)

    def scores(self, observation: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
        """The router's scores."""
        own = np.asarray(self._own.scores(observation.copy()))
        rearranged = np.full_like(own, np.nan)  # a NaN differs from everything
        for rows, router in self._batches:
            said = np.asarray(router.scores(observation[rows]))
            if said.shape == own[rows].shape:
                rearranged[rows] = said
        up = np.asarray(self._up.scores(jittered(observation, np.float32(np.inf))))
        down = np.asarray(self._down.scores(jittered(observation, np.float32(-np.inf))))
        self.calls.append(ScoreCall(observation, own, rearranged, up, down))
        return own


@dataclass(frozen=True, slots=True, eq=False)
class ScoreCall:
    """What was said at one step: scores ``[B]`` or ``[B, K-1]`` of the router itself and of the rearranged ones."""

    observation: NDArray[np.float32]
    own: NDArray[np.floating[Any]]
    rearranged: NDArray[np.floating[Any]]
    up: NDArray[np.floating[Any]]
    down: NDArray[np.floating[Any]]


def jittered(observation: NDArray[np.float32], towards: np.float32) -> NDArray[np.float32]:
    """Each figure moved to the next float32; zeros, ones and other integers stay."""
    whole = observation == np.rint(observation)
    return np.where(whole, observation, np.nextafter(observation, towards))


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
        self.scores = source.scores
        self.deterministic = source.deterministic
        self.modes = source.modes
        self.feedback = source.feedback
        self.token_classes = tells_token_classes(source)

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

    def probe(
        self, state: SourceState, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], SourceState | None]:
        """See :class:`StepSource`."""
        return self._source.probe(state, rng)

    def texts(self, latent: dict[str, NDArray[Any]]) -> Sequence[str]:
        """See :class:`StepSource`."""
        return self._source.texts(latent)


def _takes_masks(router: Predicts) -> bool:
    return "action_masks" in inspect.signature(router.predict).parameters
