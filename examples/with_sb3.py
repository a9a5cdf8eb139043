"""MaskablePPO of sb3-contrib, beside which the other examples stand: ``python examples/with_sb3.py --steps 50000``."""

from __future__ import annotations

import argparse

import torch
from sb3_contrib import MaskablePPO

from gym_stepwise_routing.agents.scores import scored
from gym_stepwise_routing.envs.sb3 import RoutingVecEnv
from gym_stepwise_routing.evaluation.evaluate import evaluate

PENALTY = 0.42


def main() -> None:
    """Train, and evaluate on the test split as any other router."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mode", default="regenerate", help="escalate masks smaller models than the last")
    args = parser.parse_args()
    game = {"mode": args.mode, "cost_unit": "large_tokens"}
    torch.set_num_threads(1)
    env = RoutingVecEnv(64, penalty=PENALTY, seed=args.seed, masked_action="error", **game)
    settings = {"n_steps": 16, "batch_size": 256, "n_epochs": 4, "learning_rate": 3e-3, "ent_coef": 0.01}
    shape = {"gamma": 1.0, "gae_lambda": 1.0, "policy_kwargs": {"net_arch": [16]}, "device": "cpu"}
    model = MaskablePPO("MlpPolicy", env, seed=args.seed, **settings, **shape).learn(args.steps)
    router = scored(model, name="sb3-maskable-ppo")
    played = evaluate(router, **game)
    gain = played.accuracy - PENALTY * played.mean_cost
    print(f"{router.name}: accuracy {played.accuracy:.3f} cost {played.mean_cost:.3f} return {gain:.3f}")


if __name__ == "__main__":
    main()
