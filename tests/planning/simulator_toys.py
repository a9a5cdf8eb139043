"""Simulators small enough to be solved by hand or by brute force."""

from __future__ import annotations

from typing import Any

from gym_stepwise_routing.costs.models import Model
from gym_stepwise_routing.sources.simulator.parameters import (
    ConfidenceModel,
    Prompt,
    ScoreModel,
    SimulatorParameters,
    StepTokens,
)

LOW = (0.4, 0.2, 0.1, 0.1, 0.08, 0.06, 0.04, 0.02)
FLAT = (0.125,) * 8
HIGH = LOW[::-1]


def toy(
    *,
    models: int = 2,
    horizon: int = 3,
    scores: bool = False,
    confidence: bool = True,
    coupling: float = 0.5,
    **changes: Any,
) -> SimulatorParameters:
    """Two levels, steps of one length; larger models err less and repair more."""
    pool = tuple(Model(f"m{k}", parameters=4.0**k * 1e9) for k in range(models))
    error = tuple(((0.3 / (k + 1), 0.4 / (k + 1)), (0.6 / (k + 1),)) for k in range(models))
    parts: dict[str, Any] = {
        "name": "toy",
        "description": "for tests",
        "models": pool,
        "verifier": Model("v", parameters=1e9) if scores else None,
        "horizon": horizon,
        "level_shares": (0.6, 0.4),
        "error": error,
        "repair": tuple((0.05 * (k + 1), 0.02 * (k + 1)) for k in range(models)),
        "recovery": (0.1, 0.2),
        "stop": tuple((*(0.2 + 0.05 * k,) * (horizon - 1), 1.0) for k in range(models)),
        "coupling": coupling,
        "step_tokens": StepTokens(
            mean=tuple(10.0 + 2 * k for k in range(models)),
            spread=0.0,
            status_ratio=(1.0, 1.0, 1.0),
            level_ratio=(1.0, 1.0),
        ),
        "prompt": Prompt(tokens=(15,) * models, shared=(5,) * models),
        "scores": ScoreModel(
            measured="math-train",
            scored=tuple(m.name for m in pool),
            near_zero=(0.0, 0.5, 0.2),
            near_one=(0.5, 0.0, 0.1),
            decay=0.02,
            groups=(0.5, 1.0),
        )
        if scores
        else None,
        "confidence": ConfidenceModel(
            measured="gsm8k-qwen2.5-coder", shares=((FLAT, LOW, FLAT), (HIGH, LOW, FLAT))[:1] * models
        )
        if confidence
        else None,
    }
    return SimulatorParameters(**(parts | changes))
