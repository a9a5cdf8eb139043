"""Conformal constrained policy optimisation, reconstructed on sb3-contrib's TRPO."""

from gym_stepwise_routing.agents.ccpo.ccpo import CCPO
from gym_stepwise_routing.agents.ccpo.conformal import ConformalFit, conformal_fit
from gym_stepwise_routing.agents.ccpo.policies import MlpPolicy, ThresholdPolicy

__all__ = ["CCPO", "ConformalFit", "MlpPolicy", "ThresholdPolicy", "conformal_fit"]
