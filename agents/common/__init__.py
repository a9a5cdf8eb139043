"""Pieces that the constrained agents share: multipliers, advantage estimation, rollouts with costs."""

from importlib.util import find_spec

if find_spec("sb3_contrib") is None:
    raise ImportError("the agents need Stable-Baselines3 and sb3-contrib: pip install 'gym-stepwise-routing[agents]'")
