"""Registration of the environment with Gymnasium."""

from __future__ import annotations

import gymnasium as gym

__all__ = ["ENV_ID", "register"]

ENV_ID = "StepwiseRouting-v0"
_ENVS = "gym_stepwise_routing.envs"


def register() -> None:
    """Register ``StepwiseRouting-v0``; calling it again changes nothing."""
    if ENV_ID not in gym.registry:
        gym.register(
            id=ENV_ID,
            entry_point=f"{_ENVS}.stepwise_routing:StepwiseRoutingEnv",
            vector_entry_point=f"{_ENVS}.stepwise_routing_vector:StepwiseRoutingVectorEnv",
        )
