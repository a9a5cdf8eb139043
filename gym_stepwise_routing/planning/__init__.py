"""Optima of simulated games: with full information, and with what a router really sees."""

try:
    import scipy.sparse  # noqa: F401
except ImportError as error:
    raise ImportError("the planner needs scipy: pip install 'gym-stepwise-routing[cli]'") from error

from gym_stepwise_routing.planning.optimal_frontier import Frontier, Mixture
from gym_stepwise_routing.planning.planner import INFORMATION, Information, Planner
from gym_stepwise_routing.planning.program import Solution

__all__ = ["INFORMATION", "Frontier", "Information", "Mixture", "Planner", "Solution"]
