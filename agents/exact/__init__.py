"""Policy gradients through a recorded tree: exact sums over what the bank holds, nothing sampled."""

from gym_stepwise_routing.agents.exact.exact_policy_gradient import ExactPolicyGradient

__all__ = ["ExactPolicyGradient"]
