"""Contract 3: what is compared. A router maps observations to models, with Stable-Baselines3's own ``predict``.

Every SB3 model is a router as it is. A router that also has ``scores`` (how much it wants a larger model) can be swept
over thresholds and calibrated, whatever its scores come from: a policy's probabilities, a confidence rule, a verifier,
a classifier of questions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.game.config import RoutingSpec

__all__ = [
    "ALWAYS_LARGEST",
    "ALWAYS_SMALLEST",
    "Predicts",
    "Replay",
    "Router",
    "Scores",
    "ScoringRouter",
    "ThresholdRouter",
    "as_batch",
    "bind",
    "columns_of",
    "decide",
    "name_of",
    "refuse_normalised",
]

ALWAYS_LARGEST = 0.0
"""Threshold at which every score asks for the largest model: the safest one."""
ALWAYS_SMALLEST = float(np.nextafter(1.0, 2.0))
"""Threshold that no score reaches: the cheapest one."""

Floats = NDArray[np.floating[Any]]


@runtime_checkable
class Predicts(Protocol):
    """Anything with Stable-Baselines3's ``predict``."""

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], Any]:
        """Actions ``int[B]`` for observations ``float32[B, features]``, and the state for the next call."""
        ...


@runtime_checkable
class Scores(Protocol):
    """Anything with ``scores``."""

    def scores(self, observation: Any) -> Floats:
        """How much a larger model is wanted, in [0, 1]: ``float[B]``, or ``float[B, K-1]`` (larger than model k)."""
        ...


def as_batch(observation: Any) -> tuple[NDArray[np.float32], bool]:
    """Observations ``[B, features]``; whether one alone, ``[features]``, was given; SB3's ``predict`` takes both."""
    given = np.asarray(observation)
    if given.ndim not in (1, 2):
        raise ValueError(f"observation of shape {given.shape}; allowed: [features] or [B, features]")
    return (given[None], True) if given.ndim == 1 else (given, False)


def refuse_normalised(model: object) -> None:
    """Refuse an SB3 model that was trained on normalised observations: it would be shown others, and act otherwise.

    Raises:
        ValueError: its environment is a ``VecNormalize`` that normalises observations.
    """
    look_up = getattr(model, "get_vec_normalize_env", None)
    normaliser = None if look_up is None else look_up()
    if normaliser is not None and normaliser.norm_obs:
        raise ValueError(
            f"{type(model).__name__} with VecNormalize(norm_obs=True), whose observations only training shows; "
            "allowed: VecNormalize(norm_obs=False), or none (features are already of a size)"
        )


def decide(scores: Floats, thresholds: Floats | float, models: int) -> NDArray[np.int64]:
    """Actions of scores under a threshold: as many steps up the pool as there are columns with score >= threshold.

    Args:
        scores: ``float[B]`` or ``float[B, K-1]`` in [0, 1]. One column decides between the smallest and the largest.
        thresholds: one number, or ``float[B]``; 0 gives always-largest, above 1 always-smallest.
        models: K.

    Raises:
        ValueError: scores of another shape, outside [0, 1] or NaN.
    """
    if scores.ndim == 1:
        scores = np.repeat(scores[:, None], models - 1, axis=1)
    if scores.shape[1:] != (models - 1,):
        raise ValueError(f"scores of shape {scores.shape}; allowed: [B] or [B, {models - 1}]")
    if not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError(f"scores from {scores.min()} to {scores.max()}; allowed: 0 to 1")
    actions: NDArray[np.int64] = (scores >= np.reshape(thresholds, (-1, 1))).sum(axis=1)
    return actions


class Router(ABC):
    """Base class of the routers in this package. Decisions are functions of the observation (and own state) alone."""

    name: str = ""
    _models: int | None = None

    def bind(self, spec: RoutingSpec) -> None:
        """Get ready for a game: look up the columns of the observation and the number of models.

        Raises:
            NotApplicableError: the game lacks a block or mode that the router needs.
        """
        self._models = len(spec.models)

    @property
    def models(self) -> int:
        """Number of models of the game that the router is bound to.

        Raises:
            ValueError: it is not bound to any.
        """
        if self._models is None:
            raise ValueError(
                f"router {name_of(self)!r} knows no game yet; allowed: bind(env.unwrapped.routing_spec) first"
            )
        return self._models

    @abstractmethod
    def predict(
        self,
        observation: NDArray[np.float32],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
    ) -> tuple[NDArray[np.int64], Any]:
        """Actions ``int64[B]`` for observations ``float32[B, features]``, and the state for the next call."""


class ScoringRouter(Router):
    """A router whose scores are compared with a threshold.

    Args:
        threshold: 0 (always-largest) to above 1 (always-smallest).
    """

    def __init__(self, threshold: float = 0.5) -> None:
        if not threshold >= 0:
            raise ValueError(f"threshold={threshold!r}; allowed: >= 0 (0 always-largest, above 1 always-smallest)")
        self.threshold = threshold

    @abstractmethod
    def scores(self, observation: NDArray[np.float32]) -> Floats:
        """How much a larger model is wanted: ``float[B]`` or ``float[B, K-1]`` in [0, 1]."""

    def predict(
        self,
        observation: NDArray[np.float32],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
    ) -> tuple[NDArray[np.int64], Any]:
        """Scores against the threshold; of one observation ``float32[features]``, one action."""
        batch, single = as_batch(observation)
        actions = decide(self.scores(batch), self.threshold, self.models)
        return actions[0] if single else actions, state


class ThresholdRouter(ScoringRouter):
    """Any router with scores, at a threshold of one's own.

    Args:
        base: the router, for example a trained policy.
        threshold: replaces the base's own way to decide.
    """

    def __init__(self, base: Scores, threshold: float = 0.5) -> None:
        if not isinstance(base, Scores):
            raise ValueError(f"base={type(base).__name__} has no scores(observation); allowed: a router that has")
        super().__init__(threshold)
        self.base = base
        self.name = name_of(base)

    def bind(self, spec: RoutingSpec) -> None:
        """Bind the base, too."""
        super().bind(spec)
        bind(self.base, spec)

    def scores(self, observation: NDArray[np.float32]) -> Floats:
        """The base's scores."""
        return self.base.scores(observation)


class Replay(Router):
    """Plays decisions that were taken before, step by step; the state counts the steps.

    Args:
        decisions: ``int[B, horizon]``; entries after an episode's end are ignored.
        name: name of the router whose decisions they are.
    """

    def __init__(self, decisions: NDArray[np.integer[Any]], name: str = "replay") -> None:
        self.decisions = decisions
        self.name = name

    def predict(
        self,
        observation: NDArray[np.float32],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
    ) -> tuple[NDArray[np.int64], Any]:
        """The recorded actions of this step."""
        step = 0 if state is None else int(state)
        return np.maximum(self.decisions[:, step], 0).astype(np.int64), step + 1


def bind(router: object, spec: RoutingSpec) -> None:
    """Bind a router to a game if it has something to bind; SB3 models have not.

    Raises:
        ValueError: an SB3 model that was trained on normalised observations, or what the router refuses.
    """
    refuse_normalised(router)
    method = getattr(router, "bind", None)
    if method is not None:
        method(spec)


def name_of(router: object) -> str:
    """The router's ``name``, or that of its class."""
    return getattr(router, "name", "") or type(router).__name__


def columns_of(spec: RoutingSpec, *names: str) -> list[int]:
    """Columns of the observation with these names.

    Raises:
        NotApplicableError: the observation has no such feature; the message names the block that has it.
    """
    from gym_stepwise_routing.types import BLOCKS

    present = spec.feature_names
    for name in names:
        if name not in present:
            blocks = sorted({f.block for f in spec.features})
            raise NotApplicableError(
                f"feature {name!r} is not observed; the observation has {blocks} of {list(BLOCKS)}"
            )
    return [present.index(name) for name in names]
