"""What verifiers finds as the taskset ``stepwise-routing``: put this folder on the path."""

from gym_stepwise_routing.envs.verifiers_routing import RoutingEnv, RoutingTaskset

__all__ = ["RoutingEnv", "RoutingTaskset"]
