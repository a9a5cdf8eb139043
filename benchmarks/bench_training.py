"""Time of one training run of each agent: ``python benchmarks/bench_training.py`` (one thread, shipped settings).

The recorded GSM8K bank, cost: tokens of the larger model. Steps a second depend on the machine; the ratio to plain PPO
does not much, and tells what the constraint costs.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace

import torch

from gym_stepwise_routing.agents.agent import AGENTS
from gym_stepwise_routing.agents.training import hyperparameters, train
from gym_stepwise_routing.game.config import GameConfig


def main() -> None:
    """Train each agent once and write one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=0.25, help="share of the shipped number of steps to take")
    parser.add_argument("--agents", nargs="*", choices=list(AGENTS), default=list(AGENTS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    seconds: dict[str, float] = {}
    for agent in sorted(arguments.agents, key=lambda name: name != "ppo"):
        settings = hyperparameters(agent)
        settings = replace(settings, total_timesteps=max(1, int(arguments.share * settings.total_timesteps)))
        limit = {"limit": 0.5, "constraint": "cost_limit"} if AGENTS.get(agent).constrained else {}
        # Once for imports, the bank and the first allocations, which are no part of the training.
        train(
            agent,
            seed=0,
            game=GameConfig(cost_unit="large_tokens"),
            settings=replace(settings, total_timesteps=1),
            **limit,
        )
        begin = time.perf_counter()
        model = train(agent, seed=0, game=GameConfig(cost_unit="large_tokens"), settings=settings, **limit)
        seconds[agent] = (time.perf_counter() - begin) / model.num_timesteps
        whole = seconds[agent] * hyperparameters(agent).total_timesteps
        ratio = f"{seconds[agent] / seconds['ppo']:5.2f} x ppo a step" if "ppo" in seconds else ""
        sys.stdout.write(f"{agent:16} {1 / seconds[agent]:9,.0f} steps/s   whole run {whole:6.1f} s   {ratio}\n")


if __name__ == "__main__":
    main()
