"""Policies of :class:`LagrangianPPO`, by the names its ``policy`` argument takes."""

from gym_stepwise_routing.agents.common.policies import CostActorCriticPolicy

MlpPolicy = CostActorCriticPolicy
