"""PPO under one constraint, by a Lagrange multiplier."""

from gym_stepwise_routing.agents.common.policies import CostActorCriticPolicy
from gym_stepwise_routing.agents.lagrangian_ppo.lagrangian_ppo import LagrangianPPO
from gym_stepwise_routing.agents.lagrangian_ppo.policies import MlpPolicy

__all__ = ["CostActorCriticPolicy", "LagrangianPPO", "MlpPolicy"]
