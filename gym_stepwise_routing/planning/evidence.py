"""What a router sees of a step, and what it concludes: the likelihood of every observation, and Bayes' rule.

A router sees each step's length, and the confidence figures and the verifier score if the game shows them. Only their
cells matter (see :mod:`gym_stepwise_routing.sources.simulator.score_signals`). Beliefs are over ``level * 2 + wrong``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.sources.contract import SourceState
from gym_stepwise_routing.sources.simulator.parameters import STATUSES
from gym_stepwise_routing.sources.simulator.process import CORRECT, FRESH, PROPAGATED
from gym_stepwise_routing.sources.simulator.score_signals import SCORE_BINS, confidence_rows
from gym_stepwise_routing.sources.simulator.simulator_source import SimulatorSource
from gym_stepwise_routing.types import CONFIDENCE

__all__ = ["STATUS_OF", "Evidence", "begun_afresh", "beliefs_after", "by_status", "outcomes_of", "rewritten"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
STATUS_OF = np.array([[CORRECT, FRESH], [PROPAGATED, CORRECT]])
"""Status of a step by the trace before it (right, wrong) and whether the step flips that."""
_HALF_DIGIT = 5e-5
"""Recorded log-probabilities have four decimals: half of one keeps rounding errors away from the borders."""


class Evidence:
    """Observations of a simulator's steps. ``K`` models, ``L`` levels, ``G`` groups of the least score so far.

    Args:
        source: the simulator.
        confidence: whether the router sees confidence figures.
        score: whether it sees verifier scores.

    Attributes:
        prior: ``float64[2 * L]`` belief before the first step.
        groups: G; 1 without scores.
        likelihood: per model, ``float64[G, L, status, O]`` chance of each observation.
        cell: per model, ``int64[O]`` cell of the step's length.
        group: per model, ``int64[G, O]`` group after the observation.

    Raises:
        NotApplicableError: the simulator has no such figures.
    """

    def __init__(self, source: SimulatorSource, *, confidence: bool, score: bool) -> None:
        process = source.process
        if confidence and process.confidence.shape[2] == 0:
            raise NotApplicableError(f"confidence=True: simulator {source.name!r} has no confidence figures")
        if score and not process.scored.any():
            raise NotApplicableError(f"score=True: simulator {source.name!r} has no verifier scores")
        self.source, self.confidence, self.score = source, confidence, score
        self.groups = len(process.scores) if score else 1
        self.prior: Floats = np.stack([process.shares, np.zeros_like(process.shares)], axis=1).ravel()
        self.likelihood: list[Floats] = []
        self.cell: list[Ints] = []
        self.group: list[Ints] = []
        levels = len(process.shares)
        for model in range(len(process.scored)):
            shows = score and bool(process.scored[model])
            figures = process.confidence[model] if confidence else np.ones((len(STATUSES), 1))
            scores = process.scores if shows else np.ones((self.groups, len(STATUSES), 1))
            joint = np.einsum("lsc,sz,gsb->glsczb", process.cells[model], figures, scores)
            shape = joint.shape[3:]
            self.likelihood.append(joint.reshape(self.groups, levels, len(STATUSES), -1))
            cell, _, score_bin = (part.ravel() for part in np.indices(shape))
            self.cell.append(cell)
            now = process.group[score_bin] if shows else np.full(len(cell), self.groups - 1)
            self.group.append(np.minimum(np.arange(self.groups)[:, None], now))

    def observed(self, model: int, steps: SourceState) -> Ints:
        """Observation of each step that ``model`` wrote, ``int64[B]``."""
        process = self.source.process
        number = (steps.tokens[:, None] > process.borders[model]).sum(axis=1)
        if self.confidence:
            assert self.source.parameters.confidence is not None
            _, borders = confidence_rows(self.source.parameters.confidence.measured)
            figure = steps.confidence[:, CONFIDENCE.index("logprob_mean")].astype(np.float64)
            number = number * (len(borders) + 1) + (figure[:, None] > borders + _HALF_DIGIT).sum(axis=1)
        if self.score and process.scored[model]:
            bins = np.minimum((steps.score * SCORE_BINS).astype(np.int64), SCORE_BINS - 1)
            number = number * SCORE_BINS + bins
        return np.asarray(number, dtype=np.int64)


def begun_afresh(beliefs: Floats) -> Floats:
    """Beliefs ``[B, 2 * L]`` once what was written is gone: the same of the levels, and nothing is wrong yet."""
    levels = beliefs.reshape(len(beliefs), beliefs.shape[1] // 2, 2).sum(axis=2)
    return np.stack([levels, np.zeros_like(levels)], axis=2).reshape(beliefs.shape)


def outcomes_of(belief: Floats, flip: Floats) -> Floats:
    """Chance of each hidden step, ``[B, L, 2, 2]``: level, wrong before, flipped.

    Args:
        belief: ``[B, 2 * L]``, need not add up to 1.
        flip: ``[2, L]`` chance that the step flips a right (wrong) trace.
    """
    before = belief.reshape(len(belief), belief.shape[1] // 2, 2)
    return np.stack([before * (1 - flip.T), before * flip.T], axis=3)


def by_status(outcomes: Floats) -> Floats:
    """Chance of each status, ``[..., L, status]``, from that of hidden steps ``[..., L, 2, 2]``."""
    statuses = np.empty((*outcomes.shape[:-2], len(STATUSES)))
    statuses[..., CORRECT] = outcomes[..., 0, 0] + outcomes[..., 1, 1]
    statuses[..., FRESH] = outcomes[..., 0, 1]
    statuses[..., PROPAGATED] = outcomes[..., 1, 0]
    return statuses


def beliefs_after(statuses: Floats) -> Floats:
    """Belief after steps of these statuses, ``[..., 2 * L]``, as likely as they are."""
    after = np.stack([statuses[..., CORRECT], statuses[..., FRESH] + statuses[..., PROPAGATED]], axis=-1)
    return after.reshape(*after.shape[:-2], 2 * after.shape[-2])


def rewritten(outcomes: Floats, again: Floats) -> Floats:
    """Chance of each status of a rewritten step, ``[..., L, status]``.

    Args:
        outcomes: ``[..., L, 2, 2]`` of the draft.
        again: ``[2, L, 2]`` chance that the rewriting flips the trace, given wrong before and what the draft did.
    """
    turned = (outcomes * again.swapaxes(0, 1)).sum(axis=-1)
    held = outcomes.sum(axis=-1) - turned
    return np.stack([held[..., 0] + turned[..., 1], turned[..., 0], held[..., 1]], axis=-1)
