"""Routers to be compared with: constants, schedules, handcrafted rules and bounds. One idea a file."""

from gym_stepwise_routing.baselines.confidence import ConfidenceThreshold
from gym_stepwise_routing.baselines.constant import AlwaysLargest, AlwaysModel, AlwaysSmallest
from gym_stepwise_routing.baselines.oracle import OraclePaths, knows_paths, oracle, oracle_paths
from gym_stepwise_routing.baselines.random_mix import RandomMix
from gym_stepwise_routing.baselines.schedules import EveryOther, FirstKLarge, LastKLarge

__all__ = [
    "AlwaysLargest",
    "AlwaysModel",
    "AlwaysSmallest",
    "ConfidenceThreshold",
    "EveryOther",
    "FirstKLarge",
    "LastKLarge",
    "OraclePaths",
    "RandomMix",
    "knows_paths",
    "oracle",
    "oracle_paths",
]
