"""PPO under one constraint, by a Lagrange multiplier."""

from gym_stepwise_routing.agents.agent import AGENTS, Agent

AGENTS.register(
    Agent(
        name="lagrangian_ppo",
        title="LagrangianPPO",
        module="gym_stepwise_routing.agents.lagrangian_ppo",
        algorithm="LagrangianPPO",
        paper="arXiv 2007.03964",
        constrained=True,
        masks=True,
        keeps="tilt",
        settings_for={
            "accuracy_floor": "floor",
            "relative_floor": "floor",
        },  # the multiplier starts where accuracy counts
    )
)
