"""Exact policy gradients on a bank's trees."""

from gym_stepwise_routing.agents.agent import AGENTS, Agent

AGENTS.register(
    Agent(
        name="exact",
        title="Exact policy gradient",
        module="gym_stepwise_routing.agents.exact",
        algorithm="ExactPolicyGradient",
        constrained=True,
        masks=True,
        keeps="tilt",
    )
)
