"""Confidence figures of a step, from the log-probabilities of its tokens.

Entropies come from the top k log-probabilities plus one bucket for all the rest, a lower bound of the full entropy
that is the same for every engine that offers at least k (closed interfaces give about 20 at most, local engines any
number; the recordings use k = 8).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.types import TOKEN_CLASSES

__all__ = ["ClassConfidence", "StepClasses", "StepConfidence", "TokenConfidence", "token_confidence"]


@dataclass(frozen=True, slots=True)
class StepConfidence:
    """Figures of one step: natural log-probabilities, nats and probabilities (names as in ``sources.CONFIDENCE``)."""

    logprob_sum: float
    logprob_min: float
    entropy_mean: float
    entropy_max: float
    entropy_first: float
    margin_first: float
    margin_mean: float
    margin_min: float
    top1_mean: float

    def rounded(self, decimals: int = 4) -> dict[str, float]:
        """Figures as they stand in a recorded tree."""
        return {name: round(getattr(self, name), decimals) + 0.0 for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class ClassConfidence:
    """Figures over the tokens of one class; None where there is no such token.

    Attributes:
        tokens: how many there are.
        logprob_mean: mean natural log-probability.
        logprob_min: the least of them.
        entropy_mean: mean entropy, nats.
    """

    tokens: int
    logprob_mean: float | None = None
    logprob_min: float | None = None
    entropy_mean: float | None = None


@dataclass(frozen=True, slots=True)
class StepClasses:
    """Figures of one step over its table tokens and over all others (names as in ``types.TOKEN_CLASS_FIGURES``)."""

    table: ClassConfidence
    other: ClassConfidence

    def rounded(self, decimals: int = 4) -> dict[str, float]:
        """Figures as they stand in a recorded tree, without those that are None."""
        told = {
            f"{name}_{figure.name}": getattr(getattr(self, name), figure.name)
            for name in TOKEN_CLASSES
            for figure in fields(ClassConfidence)
        }
        return {
            name: value if isinstance(value, int) else round(value, decimals) + 0.0
            for name, value in told.items()
            if value is not None
        }


@dataclass(frozen=True, slots=True)
class TokenConfidence:
    """Figures of each token.

    Attributes:
        logprob: ``float64[T]`` natural log-probability of the chosen token.
        entropy: ``float64[T]`` nats, from the top k plus one bucket.
        margin: ``float64[T]`` largest minus second largest probability: 0 where two tokens tie, whichever was chosen.
        top1: ``float64[T]`` largest probability, which tied tokens share.
    """

    logprob: NDArray[np.float64]
    entropy: NDArray[np.float64]
    margin: NDArray[np.float64]
    top1: NDArray[np.float64]

    def step(self, first: int, last: int) -> StepConfidence | None:
        """Figures over those of tokens ``first`` to ``last - 1`` that are known (not NaN); None where none is."""
        known = first + np.flatnonzero(np.isfinite(self.logprob[first:last]))
        if len(known) == 0:
            return None
        logprob, entropy, margin, top1 = (part[known] for part in (self.logprob, self.entropy, self.margin, self.top1))
        return StepConfidence(
            logprob_sum=float(logprob.sum()),
            logprob_min=float(logprob.min()),
            entropy_mean=float(entropy.mean()),
            entropy_max=float(entropy.max()),
            entropy_first=float(entropy[0]),
            margin_first=float(margin[0]),
            margin_mean=float(margin.mean()),
            margin_min=float(margin.min()),
            top1_mean=float(top1.mean()),
        )

    def classes(self, first: int, last: int, in_table: NDArray[np.bool_]) -> StepClasses | None:
        """Figures over the same tokens by their class, ``in_table`` ``bool[T]``; None where no token is known."""
        known = first + np.flatnonzero(np.isfinite(self.logprob[first:last]))
        if len(known) == 0:
            return None
        return StepClasses(self._over(known[in_table[known]]), self._over(known[~in_table[known]]))

    def _over(self, tokens: NDArray[np.int64]) -> ClassConfidence:
        if len(tokens) == 0:
            return ClassConfidence(0)
        logprob = self.logprob[tokens]
        return ClassConfidence(
            tokens=len(tokens),
            logprob_mean=float(logprob.mean()),
            logprob_min=float(logprob.min()),
            entropy_mean=float(self.entropy[tokens].mean()),
        )


def token_confidence(logprob: NDArray[np.float64], top: NDArray[np.float64]) -> TokenConfidence:
    """Figures of every token of a run.

    Args:
        logprob: ``float64[T]`` of the chosen tokens.
        top: ``float64[T, k]`` of the k most likely tokens, descending, NaN where fewer are known; k >= 2.

    Raises:
        ValueError: shapes that do not fit.
    """
    if len(logprob) == 0:
        empty = np.zeros(0)
        return TokenConfidence(empty, empty, empty, empty)
    if top.ndim != 2 or len(top) != len(logprob) or top.shape[1] < 2:
        raise ValueError(f"top of shape {top.shape}; allowed: ({len(logprob)}, k) with k >= 2")
    p = np.nan_to_num(np.exp(top), nan=0.0)
    rest = np.clip(1.0 - p.sum(axis=1), 0.0, 1.0)
    buckets = np.concatenate([p, rest[:, None]], axis=1)
    entropy = -np.sum(buckets * np.log(np.where(buckets > 0, buckets, 1.0)), axis=1)
    return TokenConfidence(np.asarray(logprob, dtype=np.float64), entropy, p[:, 0] - p[:, 1], p[:, 0])
