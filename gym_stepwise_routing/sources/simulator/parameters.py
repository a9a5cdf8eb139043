"""What a simulator is made of: every number of the hidden-state process, checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gym_stepwise_routing.costs.models import Model, ModelPool
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.types import MAX_HORIZON

__all__ = ["STATUSES", "ConfidenceModel", "Prompt", "ScoreModel", "SimulatorParameters", "StepTokens", "check_whole"]

STATUSES = ("correct", "fresh error", "propagated error")
"""What a step is: written on a trace that is right and leaves it right; the first wrong step after right ones; any
further step on a wrong trace."""

Vector = tuple[float, ...]
Matrix = tuple[Vector, ...]
MAX_TOKENS = 100_000
SCORE_BINS = 20
"""Bins of 0.05 of a verifier's scores, as in the measured distributions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTokens:
    """Length of a step, log-normal.

    Args:
        mean: per model, tokens of a correct step on a problem of the first level.
        spread: standard deviation of the logarithm.
        status_ratio: mean length by status (:data:`STATUSES`), the first being 1.
        level_ratio: mean length by level of difficulty, the first being 1.
    """

    mean: Vector
    spread: float
    status_ratio: Vector
    level_ratio: Vector

    def __post_init__(self) -> None:
        for model, mean in enumerate(self.mean):
            _check_range(f"step_tokens.mean[{model}]", mean, 1, MAX_TOKENS)
        _check_range("step_tokens.spread", self.spread, 0, 2)
        _check_shape("step_tokens.status_ratio", self.status_ratio, (len(STATUSES),))
        for name in ("status_ratio", "level_ratio"):
            ratios = getattr(self, name)
            for index, ratio in enumerate(ratios):
                _check_range(f"step_tokens.{name}[{index}]", ratio, *((1, 1) if index == 0 else (0.5, 2)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """Tokens of the prompt, per model: all of it, and the part that is the same for every problem."""

    tokens: tuple[int, ...]
    shared: tuple[int, ...]

    def __post_init__(self) -> None:
        for model, (tokens, shared) in enumerate(zip(self.tokens, self.shared, strict=False)):
            _check_range(f"prompt.tokens[{model}]", tokens, 1, MAX_TOKENS)
            _check_range(f"prompt.shared[{model}]", shared, 0, tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreModel:
    """Verifier scores: a measured distribution, sharpened towards 0 and 1.

    A score is drawn from the measured distribution of its status, given the least score so far; but with probability
    ``near_zero[status]`` it is exponentially distributed from 0 upwards, with ``near_one[status]`` from 1 downwards.

    Args:
        measured: name of the measured distributions (see ``measured/scores.json``).
        scored: names of the models whose steps the verifier scores.
        near_zero: probability per status (:data:`STATUSES`).
        near_one: probability per status.
        decay: mean distance of these scores from 0 or 1.
        groups: upper ends of the ranges of the least score so far within which the distribution is the same; the last
            is 1.
    """

    measured: str
    scored: tuple[str, ...]
    near_zero: Vector
    near_one: Vector
    decay: float
    groups: Vector

    def __post_init__(self) -> None:
        for name in ("near_zero", "near_one"):
            _check_shape(f"scores.{name}", getattr(self, name), (len(STATUSES),))
            _check_chances(f"scores.{name}", getattr(self, name))
        for status, (low, high) in enumerate(zip(self.near_zero, self.near_one, strict=True)):
            _check_range(f"scores.near_zero[{status}] + scores.near_one[{status}]", low + high, 0, 1)
        _check_range("scores.decay", self.decay, 1e-3, 1)
        if isinstance(self.scored, str) or not self.scored or len(set(self.scored)) < len(self.scored):
            raise ValueError(f"scores.scored={self.scored!r}; allowed: one or more names, each once")
        _check_tuples("scores.groups", self.groups)
        if list(self.groups) != sorted(set(self.groups)) or not self.groups or self.groups[-1] != 1:
            raise ValueError(f"scores.groups={self.groups!r}; allowed: ascending numbers, the last of them 1")
        _check_groups(self.groups)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfidenceModel:
    """Confidence figures, resampled from real steps.

    Args:
        measured: name of the recorded figures (see ``measured/confidence.json``), sorted into bins of equally many
            steps by mean log-probability, least confident first.
        shares: ``[K][status][bin]`` probability of each bin.
    """

    measured: str
    shares: tuple[Matrix, ...]

    def __post_init__(self) -> None:
        for model, matrix in enumerate(self.shares):
            _check_shape(f"confidence.shares[{model}]", matrix, (len(STATUSES), None))
            for status, shares in enumerate(matrix):
                _check_shares(f"confidence.shares[{model}][{status}]", shares)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorParameters:
    """A simulator. ``K`` models, ``L`` levels of difficulty, horizon ``H``.

    A trace is right or wrong. The next step, written by a model, flips that with a probability that depends on the
    model, the difficulty of the problem and the depth. Then the trace ends with a probability that depends on the model
    and the depth. A right trace gives the right answer; a wrong one gives it with the probability ``recovery``.

    Args:
        name: name of the preset.
        description: one or two sentences.
        models: the pool, smallest first.
        verifier: the model that scores steps, if ``scores`` is given.
        horizon: most steps of a trace.
        level_shares: ``[L]`` how many problems have each level of difficulty, easiest first.
        error: ``[K][L][h]`` probability that a step makes a right trace wrong, by depth; the last entry holds for all
            later steps.
        repair: ``[K][L]`` probability that a step makes a wrong trace right.
        recovery: ``[L]`` probability that a wrong trace ends in the right answer nevertheless.
        stop: ``[K][H]`` probability that step 1, 2, ... is the last.
        coupling: probability that two models that write the same step err on it together (one uniform number decides
            for both) instead of independently. It matters where a draft is rewritten.
        step_tokens: length of steps.
        prompt: length of the prompt.
        scores: verifier scores; None without a verifier.
        confidence: confidence figures; None if they are unknown.

    Raises:
        ValueError: fewer than two models, a wrong shape, a probability outside [0, 1], a model that may never stop, or
            scores of a model that is not in the pool.
    """

    name: str
    description: str
    models: tuple[Model, ...]
    verifier: Model | None = None
    horizon: int
    level_shares: Vector
    error: tuple[Matrix, ...]
    repair: Matrix
    recovery: Vector
    stop: Matrix
    coupling: float
    step_tokens: StepTokens
    prompt: Prompt
    scores: ScoreModel | None = None
    confidence: ConfidenceModel | None = None

    def __post_init__(self) -> None:
        for name in ("models", "level_shares", "error", "repair", "recovery", "stop"):
            _check_tuples(name, getattr(self, name))
        models, levels = len(self.pool), len(self.level_shares)
        check_whole("horizon", self.horizon, 1, MAX_HORIZON)
        _check_shares("level_shares", self.level_shares)
        _check_shape("error", self.error, (models, levels, None))
        _check_shape("repair", self.repair, (models, levels))
        _check_shape("recovery", self.recovery, (levels,))
        _check_shape("stop", self.stop, (models, self.horizon))
        _check_shape("step_tokens.mean", self.step_tokens.mean, (models,))
        _check_shape("step_tokens.level_ratio", self.step_tokens.level_ratio, (levels,))
        _check_shape("prompt.tokens", self.prompt.tokens, (models,))
        _check_shape("prompt.shared", self.prompt.shared, (models,))
        for name in ("error", "repair", "recovery", "stop", "coupling"):
            _check_chances(name, getattr(self, name))
        for matrix in self.error:
            if any(len(row) > self.horizon for row in matrix):
                raise ValueError(f"error has more than horizon={self.horizon} entries in a row")
        for model, row in enumerate(self.stop):
            if row[-1] != 1:
                raise ValueError(
                    f"stop[{model}][{self.horizon - 1}]={row[-1]!r}: model {self.models[model].name!r} may never stop; "
                    f"allowed: 1 at the horizon"
                )
        self._check_signals(models)

    def _check_signals(self, models: int) -> None:
        if (self.scores is None) != (self.verifier is None):
            raise ValueError("scores and verifier: allowed are both or neither")
        for name in self.scores.scored if self.scores is not None else ():
            check_choice("scores.scored", name, self.pool.names)
        if self.confidence is not None:
            _check_shape("confidence.shares", self.confidence.shares, (models, len(STATUSES), None))

    @property
    def pool(self) -> ModelPool:
        """The models and the verifier."""
        return ModelPool(self.models, self.verifier)


def check_whole(parameter: str, value: object, low: int, high: int | None = None) -> None:
    """Raise ``ValueError`` unless ``value`` is an integer from ``low`` to ``high``; truth values and 3.0 are none."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < low or (high is not None and value > high):  # type: ignore[operator]
        raise ValueError(
            f"{parameter}={value!r}; allowed: an integer " + (f">= {low}" if high is None else f"from {low} to {high}")
        )


def _check_tuples(parameter: str, value: object) -> None:
    """No lists among nested tuples: parameters do not change, and checks look into tuples alone."""
    if isinstance(value, list | np.ndarray):
        raise ValueError(f"{parameter}={value!r}; allowed: a tuple")
    if isinstance(value, tuple):
        for index, item in enumerate(value):
            _check_tuples(f"{parameter}[{index}]", item)


def _check_groups(groups: Vector) -> None:
    """Every group holds a bin of the least score so far."""
    low = 0.0
    for index, high in enumerate(groups):
        _check_range(f"scores.groups[{index}]", high, 0.5 / SCORE_BINS, 1)
        if not any(low < (place + 0.5) / SCORE_BINS <= high for place in range(SCORE_BINS)):
            raise ValueError(
                f"scores.groups={groups!r}: no score bin lies between {low:g} and {high:g}; allowed: groups of one or "
                f"more bins of {1 / SCORE_BINS:g}"
            )
        low = high


def _check_range(parameter: str, value: float, low: float, high: float) -> None:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not (number and low <= value <= high):
        raise ValueError(f"{parameter}={value!r}; allowed: {low:g} to {high:g}")


def _check_chances(parameter: str, value: Any) -> None:
    """Every number in nested tuples is a probability."""
    if isinstance(value, tuple):
        for index, item in enumerate(value):
            _check_chances(f"{parameter}[{index}]", item)
    else:
        _check_range(parameter, value, 0, 1)


def _check_shares(parameter: str, shares: Vector) -> None:
    _check_chances(parameter, shares)
    if not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise ValueError(f"{parameter}={shares!r} adds up to {sum(shares)!r}; allowed: 1")


def _check_shape(parameter: str, value: Sequence[Any], shape: tuple[int | None, ...]) -> None:
    """Nested sequences have this shape; None is any length from 1."""
    length, inner = shape[0], shape[1:]
    if len(value) == 0 or (length is not None and len(value) != length):
        raise ValueError(f"{parameter} has {len(value)} entries; allowed: {'1 or more' if length is None else length}")
    for index, item in enumerate(value) if inner else ():
        _check_shape(f"{parameter}[{index}]", item, inner)
