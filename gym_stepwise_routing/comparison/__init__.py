"""Comparison of families of routers: calibrated on one split, reported on another, in a table and a figure."""

from gym_stepwise_routing.comparison.arena import Arena
from gym_stepwise_routing.comparison.choose import Rule
from gym_stepwise_routing.comparison.comparison import Comparison, compare
from gym_stepwise_routing.comparison.roster import ROUTERS, roster

__all__ = ["ROUTERS", "Arena", "Comparison", "Rule", "compare", "roster"]
