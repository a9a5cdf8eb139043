"""Fit of ``math-qwen2.5``: published histograms, score distributions and threshold curve, by least squares.

Nothing is sampled: the model's side of every residual is an exact expectation (:mod:`..curves`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.costs.models import Model
from gym_stepwise_routing.sources.simulator.parameters import (
    STATUSES,
    ConfidenceModel,
    Prompt,
    ScoreModel,
    SimulatorParameters,
    StepTokens,
)
from gym_stepwise_routing.sources.simulator.process import Process
from gym_stepwise_routing.sources.simulator.score_signals import measured_scores
from gym_stepwise_routing.sources.simulator.threshold_curves import solo, threshold_rule
from studies.simulator.fidelity import SMOOTHING, smoothed
from studies.simulator.published import HORIZON, MODELS, PROBLEMS, histograms, stop_hazards, threshold_curve

__all__ = ["FREE", "HARDER", "RECOVERY", "Free", "accuracy_by_level", "fit", "parameters_of"]

Floats = NDArray[np.float64]

RECOVERY = (0.10, 0.19)
STATUS_RATIO = (1.0, 1.29, 1.0)
LEVEL_RATIO = (1.0, 1.53)
SPREAD = 0.67
GROUPS = (0.2, 0.5, 0.8, 0.95, 1.0)
SCORES = "math-train"

_TOKENS = 0.03  # relative error of tokens, kept and large
_CALLS = 0.2  # of calls: solutions of MATH train, which tell when to stop, are 9 % longer than the curve's
_SCORES = 0.15  # of a cumulative share: the released distributions are smoothed, the scores behind the curve are not
_HISTOGRAM = 1500  # problems that a histogram counts for (7,500 were measured, but of another set than the curve)
_ANCHOR = 1.5  # weight of the two ends of the curve, which are always-smallest and always-largest
HARDER = 0.1
"""Accuracy that every model alone loses from the easy level to the hard one, at least.

The published figures do not tell levels apart: without this floor, they are met just as well by a 'hard' level that the
large model finds easier, because recovery grows with the level."""
_HARDER = 0.005
_FAR_TOKENS = 0.095, 0.002  # tokens further off than this count steeply: 10 % is the limit at every threshold


@dataclass(frozen=True, slots=True)
class Free:
    """A number that is fitted: where the search starts, and its range."""

    start: float
    low: float
    high: float


FREE = {
    "hard": Free(0.25, 0.05, 0.95),
    "small_easy": Free(-1.4, -6, 4),
    "small_gap": Free(2.4, 0, 6),
    "small_first": Free(-1.2, -3, 1),
    "large_easy": Free(-2.8, -8, 3),
    "large_gap": Free(0.7, 0, 6),
    "large_first": Free(-0.9, -3, 1),
    "repair": Free(0.04, 0, 0.3),
    "coupling": Free(0.9, 0, 1),
    "near_zero_correct": Free(0.005, 0, 0.01),
    "near_zero_fresh": Free(0.5, 0, 0.9),
    "near_zero_propagated": Free(0.05, 0, 0.6),
    "near_one_correct": Free(0.8, 0, 0.9),
    "near_one_fresh": Free(0.02, 0, 0.1),
    "near_one_propagated": Free(0.05, 0, 0.4),
    "decay": Free(0.012, 0.005, 0.05),
    "small_tokens": Free(47.0, 20, 100),
    "large_tokens": Free(52.0, 20, 100),
}
"""What is fitted. Error chances are logits of the easy level; ``gap`` is added at the hard level, and
``first`` at the first step."""


def parameters_of(
    free: dict[str, float], models: tuple[Model, ...], verifier: Model, shares: Floats
) -> SimulatorParameters:
    """The simulator with these free numbers; ``shares`` are the confidence bins', ``float64[K, status, bin]``."""

    def error(model: str, level: str) -> tuple[float, float]:
        logit = free[f"{model}_easy"] + (free[f"{model}_gap"] if level == "hard" else 0.0)
        return _chance(logit + free[f"{model}_first"]), _chance(logit)

    def by_status(name: str) -> tuple[float, ...]:
        return tuple(round(free[f"{name}_{status}"], 4) for status in ("correct", "fresh", "propagated"))

    return SimulatorParameters(
        name="math-qwen2.5",
        description="Qwen2.5-1.5B and 7B on MATH, with a 7B process reward model: TRIM's setting (arXiv 2601.10245).",
        models=models,
        verifier=verifier,
        horizon=HORIZON,
        level_shares=(round(1 - free["hard"], 4), round(free["hard"], 4)),
        error=tuple((error(model, "easy"), error(model, "hard")) for model in ("small", "large")),
        repair=tuple((round(free["repair"], 4),) * 2 for _ in MODELS),
        recovery=RECOVERY,
        stop=tuple(tuple(stop_hazards(model).tolist()) for model in MODELS),
        coupling=round(free["coupling"], 4),
        step_tokens=StepTokens(
            mean=(round(free["small_tokens"], 2), round(free["large_tokens"], 2)),
            spread=SPREAD,
            status_ratio=STATUS_RATIO,
            level_ratio=LEVEL_RATIO,
        ),
        prompt=Prompt(tokens=(120, 120), shared=(30, 30)),
        scores=ScoreModel(
            measured=SCORES,
            scored=MODELS,
            near_zero=by_status("near_zero"),
            near_one=by_status("near_one"),
            decay=round(free["decay"], 4),
            groups=GROUPS,
        ),
        confidence=ConfidenceModel(
            measured="gsm8k-qwen2.5-coder",
            shares=tuple(tuple(tuple(row) for row in matrix) for matrix in shares.tolist()),
        ),
    )


def _chance(logit: float) -> float:
    return round(float(1 / (1 + np.exp(-logit))), 5)


def accuracy_by_level(process: Process) -> Floats:
    """Accuracy of each model alone on the problems of each level, ``float64[K, L]``."""
    levels = np.eye(len(process.shares))
    models = range(len(process.scored))
    return np.array([[solo(replace(process, shares=level), model).accuracy for level in levels] for model in models])


def residuals(process: Process, *, ends: bool = False) -> Floats:
    """Differences to the published figures, in units of what may be expected of them.

    Args:
        process: the model's side.
        ends: tokens of each model writing alone count steeply beyond 10 % too; the preset was fitted without.
    """
    curve, weight = threshold_curve(), np.ones(21)
    weight[[0, -1]] = _ANCHOR
    ours = threshold_rule(process, curve.thresholds.tolist())
    accuracy_error = np.sqrt(curve.accuracy * (1 - curve.accuracy) / PROBLEMS)
    tokens_off = (ours.large_tokens / np.maximum(curve.large_tokens, 1) - 1)[1:]
    limit, steep = _FAR_TOKENS
    parts = [
        weight * (ours.accuracy - curve.accuracy) / accuracy_error,
        tokens_off / _TOKENS,
        np.maximum(abs(tokens_off) - limit, 0) / steep,
        (ours.large_calls / np.maximum(curve.large_calls, 1e-3) - 1)[1:] / _CALLS,
        (ours.kept_tokens / np.maximum(curve.kept_tokens, 1) - 1)[:-1] / _TOKENS,
        (ours.discarded_tokens / np.maximum(curve.discarded_tokens, 1) - 1)[1:-1] / _CALLS,
    ]
    if ends:
        off = np.array([ours.kept_tokens[0] / curve.kept_tokens[0], ours.large_tokens[-1] / curve.large_tokens[-1]]) - 1
        parts.append(np.maximum(abs(off) - limit, 0) / steep)
    for index, model in enumerate(MODELS):
        alone, measured = solo(process, index), histograms(model)
        for mine, theirs in (
            (alone.right_length, measured.right_length),
            (alone.wrong_error, measured.wrong_error),
        ):
            parts.append(np.sqrt(_HISTOGRAM) * (np.sqrt(np.maximum(mine, 0)) - np.sqrt(theirs)))
    joint = measured_scores(SCORES)
    for status in range(len(STATUSES)):
        mine = np.einsum("m,ms->s", joint[status].sum(axis=1), process.scores[process.group, status])
        theirs = joint[status].sum(axis=0)
        parts.append((np.cumsum(smoothed(mine, SMOOTHING[status])) - np.cumsum(theirs))[:-1] / _SCORES)
    lost = -np.diff(accuracy_by_level(process), axis=1).ravel()
    parts.append(np.maximum(HARDER - lost, 0) / _HARDER)
    return np.concatenate(parts)


def fit(
    models: tuple[Model, ...], verifier: Model, shares: Floats, *, ends: bool = False
) -> tuple[SimulatorParameters, float]:
    """Best parameters and their sum of squared residuals; ``ends`` as of :func:`residuals`."""
    from scipy.optimize import least_squares

    def objective(values: Floats) -> Floats:
        free = dict(zip(FREE, values.tolist(), strict=True))
        return residuals(Process.of(parameters_of(free, models, verifier, shares), rounded=False), ends=ends)

    start = np.array([free.start for free in FREE.values()])
    bounds = [free.low for free in FREE.values()], [free.high for free in FREE.values()]
    found = least_squares(
        objective, start, bounds=bounds, diff_step=np.full(len(start), 2e-3), x_scale=np.maximum(abs(start), 0.05)
    )
    best = dict(zip(FREE, found.x.tolist(), strict=True))
    return parameters_of(best, models, verifier, shares), float(2 * found.cost)
