"""Conformal constrained policy optimisation, a reconstruction."""

from gym_stepwise_routing.agents.agent import AGENTS, Agent

AGENTS.register(
    Agent(
        name="ccpo",
        title="CCPO (reconstruction)",
        module="gym_stepwise_routing.agents.ccpo",
        algorithm="CCPO",
        paper="arXiv 2605.06116",
        constrained=True,
        masks=True,
        plays="threshold",
        keeps="held_out",
    )
)
