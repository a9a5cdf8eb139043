"""Evaluation: play routers on a split, and measure what they did."""

from gym_stepwise_routing.evaluation.evaluate import Evaluation, Sweep, evaluate, play, sweep, threshold_grid

__all__ = ["Evaluation", "Sweep", "evaluate", "play", "sweep", "threshold_grid"]
