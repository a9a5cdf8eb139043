"""Registration with Gymnasium: the environment, and ids for the common set-ups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym

__all__ = ["ENV_ID", "SETUPS", "register"]

ENV_ID = "StepwiseRouting-v0"
_ENVS = "gym_stepwise_routing.envs"
_MODES = ("route", "escalate", "regenerate")
SETUPS: Mapping[str, Mapping[str, Any]] = {
    f"StepwiseRouting/{name}-v0": arguments
    for name, arguments in {
        **{f"gsm8k-{mode}": {"source": "gsm8k-qwen2.5-coder", "mode": mode} for mode in _MODES},
        "math500-escalate": {"source": "math500-qwen2.5-coder", "mode": "escalate"},
        "mbpp-route": {"source": "mbpp-qwen2.5-coder", "mode": "route"},
        "humaneval-route": {"source": "humaneval-qwen2.5-coder", "mode": "route"},
        "wikitablequestions-escalate": {"source": "wikitablequestions-qwen2.5-coder", "mode": "escalate"},
        "intercode-sql-restart": {"source": "intercode-sql-gpt", "mode": "restart", "cost_unit": "dollars"},
        "mixtral-gpt4-route": {"source": "gsm8k-mixtral-gpt4", "mode": "route", "cost_unit": "dollars"},
        "closed-models-route": {"source": "gsm8k-closed-models", "mode": "route", "cost_unit": "dollars"},
        **{f"simulated-math-{mode}": {"source": "math-qwen2.5", "mode": mode} for mode in _MODES},
        **{f"simulated-three-models-{mode}": {"source": "math-qwen2.5-3", "mode": mode} for mode in _MODES},
    }.items()
}
"""Ids of common set-ups, and the arguments of ``StepwiseRouting-v0`` that each stands for; ``make`` may change them."""


def register() -> None:
    """Register ``StepwiseRouting-v0`` and the ids of :data:`SETUPS`; calling it again changes nothing."""
    for name, arguments in {ENV_ID: {}, **SETUPS}.items():
        if name not in gym.registry:
            gym.register(
                id=name,
                entry_point=f"{_ENVS}.stepwise_routing:StepwiseRoutingEnv",
                vector_entry_point=f"{_ENVS}.stepwise_routing_vector:StepwiseRoutingVectorEnv",
                kwargs=dict(arguments),
            )
