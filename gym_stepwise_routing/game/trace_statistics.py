"""Running aggregates over the steps of a trace: what the observation remembers of the past. Batched, like the rules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.sources.contract import SourceState
from gym_stepwise_routing.types import CONFIDENCE, Batch

__all__ = ["TRACKED", "History", "confidence_features", "empty_history", "remember"]

TRACKED = ("p_mean", "p_min", "entropy_mean", "margin_first")
"""Confidence figures that are aggregated over the trace (as features, see :func:`confidence_features`)."""
_WORST_IS_HIGH = [TRACKED.index("entropy_mean")]
_COLUMNS = [CONFIDENCE.index(name) for name in ("logprob_mean", "logprob_min", "entropy_mean", "margin_first")]
_LOGPROBS = [CONFIDENCE.index(name) for name in ("logprob_mean", "logprob_min")]


@dataclass(frozen=True, slots=True)
class History(Batch):
    """Aggregates of ``B`` traces over the steps that are part of them (drafts are not).

    Attributes:
        steps: ``int64[B, K]`` steps written by each model.
        tokens: ``int64[B]`` tokens of the trace.
        known: ``int64[B, T]`` how many steps had the tracked figure.
        total: ``float32[B, T]`` sum of the tracked figure over those steps.
        worst: ``float32[B, T]`` least (for the entropy: greatest) tracked figure, 0 where ``known`` is 0.
        score_min: ``float32[B]`` least verifier score, 1 where no step has one.
        score_product: ``float32[B]`` product of verifier scores, 1 where no step has one.
    """

    steps: NDArray[np.int64]
    tokens: NDArray[np.int64]
    known: NDArray[np.int64]
    total: NDArray[np.float32]
    worst: NDArray[np.float32]
    score_min: NDArray[np.float32]
    score_product: NDArray[np.float32]


def confidence_features(confidence: NDArray[np.float32]) -> NDArray[np.float32]:
    """Confidence figures as features: log-probabilities become probabilities, the rest stays; NaN stays NaN."""
    features = confidence.copy()
    for column in _LOGPROBS:
        features[:, column] = np.exp(confidence[:, column])
    return features


def empty_history(batch: int, models: int) -> History:
    """History before the first step."""
    tracked = (batch, len(TRACKED))
    return History(
        steps=np.zeros((batch, models), np.int64),
        tokens=np.zeros(batch, np.int64),
        known=np.zeros(tracked, np.int64),
        total=np.zeros(tracked, np.float32),
        worst=np.zeros(tracked, np.float32),
        score_min=np.ones(batch, np.float32),
        score_product=np.ones(batch, np.float32),
    )


def remember(history: History, step: SourceState) -> History:
    """History after the last step of ``step`` entered the trace."""
    steps = history.steps.copy()
    steps.reshape(-1)[np.arange(0, steps.size, steps.shape[1]) + step.model] += 1
    figures = confidence_features(step.confidence).take(_COLUMNS, 1)
    given = np.isfinite(figures)
    values = np.where(given, figures, np.float32(0))
    worst = np.minimum(history.worst, values)
    for column in _WORST_IS_HIGH:
        worst[:, column] = np.maximum(history.worst[:, column], values[:, column])
    worst = np.where(history.known == 0, values, worst)
    score = np.where(np.isfinite(step.score), step.score, np.float32(1))
    return History(
        steps=steps,
        tokens=history.tokens + step.tokens,
        known=history.known + given,
        total=history.total + values,
        worst=np.where(given, worst, history.worst),
        score_min=np.minimum(history.score_min, score),
        score_product=history.score_product * score,
    )
