"""The hidden-state process as arrays of probabilities, exactly as :class:`SimulatorSource` draws from them.

Every probability is rounded to a multiple of 1/65536 (scores and confidence bins: 1/4096), so that 16 random bits
decide an event and the planner computes with the very same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.sources.simulator.parameters import STATUSES, SimulatorParameters
from gym_stepwise_routing.sources.simulator.score_signals import (
    SCORE_BINS,
    TOKEN_CELLS,
    TOKEN_DRAWS,
    apportion,
    confidence_rows,
    score_chances,
    score_groups,
    token_tables,
)

__all__ = ["CHANCE", "CORRECT", "FRESH", "PROPAGATED", "SIGNAL", "Process", "both_flip"]

CORRECT, FRESH, PROPAGATED = range(len(STATUSES))
CHANCE = 1 << 16
"""Events have probabilities in multiples of 1 / CHANCE."""
SIGNAL = 1 << 12
"""Score bins and confidence bins have probabilities in multiples of 1 / SIGNAL."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Process:
    """Probabilities of a simulator with ``K`` models, ``L`` levels and horizon ``H``.

    Attributes:
        shares: ``[L]`` of the levels.
        flip: ``[2, K, L, H]`` that a step makes a right trace wrong (0) or a wrong one right (1).
        stop: ``[K, H]`` that the step is the last.
        recovery: ``[L]`` that a wrong trace ends in the right answer.
        coupling: that one uniform number decides the flips of all models on a step.
        tokens: ``int64[K, L, status, TOKEN_DRAWS]`` equally likely lengths of a step.
        mean_tokens: ``[K, L, status]`` their means.
        borders: ``int64[K, TOKEN_CELLS - 1]`` between the cells.
        cells: ``[K, L, status, TOKEN_CELLS]`` of each cell of lengths.
        group: ``int64[SCORE_BINS]`` group of the least score so far.
        scores: ``[groups, status, SCORE_BINS]``; no groups without a verifier.
        scored: ``bool[K]`` models whose steps are scored.
        confidence: ``[K, status, bins]``; no bins without confidence figures.
    """

    shares: Floats
    flip: Floats
    stop: Floats
    recovery: Floats
    coupling: float
    tokens: NDArray[np.int64]
    mean_tokens: Floats
    borders: NDArray[np.int64]
    cells: Floats
    group: NDArray[np.int64]
    scores: Floats
    scored: NDArray[np.bool_]
    confidence: Floats

    @classmethod
    def of(cls, parameters: SimulatorParameters, *, rounded: bool = True) -> Process:
        """The process of a simulator.

        Args:
            parameters: the simulator.
            rounded: False gives the exact probabilities, smooth in the parameters, and mean lengths instead of tables:
                for fitting.
        """
        models, levels = len(parameters.models), len(parameters.level_shares)
        length, score = parameters.step_tokens, parameters.scores
        flip = np.empty((2, models, levels, parameters.horizon))
        for model, matrix in enumerate(parameters.error):
            for level, row in enumerate(matrix):
                flip[0, model, level] = [*row, *[row[-1]] * (parameters.horizon - len(row))]
        flip[1] = np.array(parameters.repair)[:, :, None]
        mean_tokens = np.multiply.outer(length.mean, np.outer(length.level_ratio, length.status_ratio))
        tokens = np.zeros((*mean_tokens.shape, 0), np.int64)
        borders = np.zeros((models, TOKEN_CELLS - 1), np.int64)
        if rounded:
            tokens, borders = token_tables(length)
            mean_tokens = tokens.mean(axis=3)
        cell = (tokens[..., None] > borders[:, None, None, None, :]).sum(axis=4)

        def chance(value: object) -> Floats:
            exact = np.asarray(value, dtype=np.float64)
            return np.rint(exact * CHANCE) / CHANCE if rounded else exact

        def signal(value: Floats) -> Floats:
            return apportion(value, SIGNAL) / SIGNAL if rounded and value.size else value

        return cls(
            shares=np.array(parameters.level_shares),
            flip=chance(flip),
            stop=chance(parameters.stop),
            recovery=chance(parameters.recovery),
            coupling=float(chance(parameters.coupling)),
            tokens=tokens,
            mean_tokens=mean_tokens,
            borders=borders,
            cells=np.stack([(cell == c).sum(axis=3) for c in range(TOKEN_CELLS)], axis=3) / TOKEN_DRAWS,
            group=score_groups((1.0,) if score is None else score.groups),
            scores=signal(np.empty((0, len(STATUSES), SCORE_BINS)) if score is None else score_chances(score)),
            scored=np.array([score is not None and name in score.scored for name in parameters.pool.names]),
            confidence=signal(_confidence(parameters)),
        )

    @property
    def horizon(self) -> int:
        """Most steps of a trace."""
        return int(self.stop.shape[1])

    def rewrite_flip(self, model: int, depth: int) -> Floats:
        """Chance that ``model`` flips the trace where it writes instead of the smallest model: ``[2, L, 2]``.

        The first axis is the trace before the step (right, wrong), the last what the draft did (kept, flipped it).
        """
        draft, own = self.flip[:, 0, :, depth], self.flip[:, model, :, depth]
        both = both_flip(draft, own, self.coupling)
        with np.errstate(divide="ignore", invalid="ignore"):
            given = np.stack([(own - both) / (1 - draft), both / draft], axis=2)
        return np.where(np.isfinite(given), given, own[:, :, None])


def _confidence(parameters: SimulatorParameters) -> Floats:
    if parameters.confidence is None:
        return np.empty((len(parameters.models), len(STATUSES), 0))
    shares, bins = np.array(parameters.confidence.shares), len(confidence_rows(parameters.confidence.measured)[0])
    if shares.shape[2] != bins:
        raise ValueError(f"confidence.shares has {shares.shape[2]} bins; allowed: {bins}, as were measured")
    return shares


def both_flip(first: Floats, second: Floats, coupling: float) -> Floats:
    """Chance that two models both flip a trace with the same step."""
    return coupling * np.minimum(first, second) + (1 - coupling) * first * second
