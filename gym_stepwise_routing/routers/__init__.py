"""What is compared: the router's contract, policies as arrays, and where they come from."""

from gym_stepwise_routing.routers.base import Predicts, Router, Scores, ScoringRouter, ThresholdRouter, columns_of

__all__ = ["Predicts", "Router", "Scores", "ScoringRouter", "ThresholdRouter", "columns_of"]
