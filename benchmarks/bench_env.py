"""Steps per second beside CartPole-v1: ``python benchmarks/bench_env.py``; the exit status is 1 if a target is missed.

Both environments are made by ``gym.make`` or ``gym.make_vec`` with all the wrappers that it adds, play random actions,
and are reset when an episode ends (episodes here are about four steps, CartPole's about twenty).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from ratios import Case, compare, finish

import gym_stepwise_routing

ENV = gym_stepwise_routing.ENV_ID
ALL_BLOCKS = ("progress", "confidence", "aggregates", "ledger", "probe", "question")


def scalar(name: str, steps: int, **arguments: Any) -> Callable[[], int]:
    """Random play in one environment."""
    env = gym.make(name, **arguments)
    actions = np.random.default_rng(0).integers(2, size=steps).tolist()

    def run() -> int:
        env.reset(seed=0)
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        return steps

    return run


def vector(name: str, num_envs: int, steps: int, **arguments: Any) -> Callable[[], int]:
    """Random play in the environment's own vector form, which resets by itself."""
    env = gym.make_vec(name, num_envs=num_envs, vectorization_mode="vector_entry_point", **arguments)
    actions = np.random.default_rng(0).integers(2, size=(steps, num_envs))

    def run() -> int:
        env.reset(seed=0)
        for action in actions:
            env.step(action)
        return steps * num_envs

    return run


def main() -> None:
    """Measure and write both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=20_000, help="of the scalar environments, a round")
    parser.add_argument("--num-envs", type=int, default=1024)
    parser.add_argument("--vector-steps", type=int, default=400, help="of the vector environments, a round")
    args = parser.parse_args()
    project = {"masked_action": "project"}
    games = {
        "route": {},
        "escalate, masked actions projected": {"mode": "escalate", **project},
        "regenerate": {"mode": "regenerate"},
        "route, every block, hard budget": {"observation": ALL_BLOCKS, "budget": (0.3, 1.0), "hard_budget": True},
    }
    base = "CartPole-v1"
    cases = {base: Case(scalar(base, args.steps))}
    cases |= {
        name: Case(scalar(ENV, args.steps, **game), base, 0.5 if name == "route" else None)
        for name, game in games.items()
    }
    met = compare("Scalar environment, gym.make", "steps", cases, rounds=args.rounds)
    cases = {base: Case(vector(base, args.num_envs, args.vector_steps))}
    cases |= {
        name: Case(vector(ENV, args.num_envs, args.vector_steps, **game), base, 1.0 if name == "route" else None)
        for name, game in games.items()
    }
    title = f"Vector environment, {args.num_envs:,} episodes, gym.make_vec"
    finish(compare(title, "steps", cases, rounds=args.rounds) and met)


if __name__ == "__main__":
    main()
