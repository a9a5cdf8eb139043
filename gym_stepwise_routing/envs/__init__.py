"""The environment, scalar and on arrays, its wrappers and its adapter to Stable-Baselines3."""

from gym_stepwise_routing.envs.stepwise_routing import StepwiseRoutingEnv
from gym_stepwise_routing.envs.stepwise_routing_vector import StepwiseRoutingVectorEnv

__all__ = ["StepwiseRoutingEnv", "StepwiseRoutingVectorEnv"]
