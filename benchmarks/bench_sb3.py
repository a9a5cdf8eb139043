"""Frames per second of Stable-Baselines3's PPO: ``python benchmarks/bench_sb3.py``.

What PPO does with a frame (mini-batches, epochs, network) costs more than making it, so each comparison states both
sets of hyperparameters, and one of them gives CartPole the same update work per frame:

- *defaults*: SB3's own update settings (batch 64, 10 epochs, networks of 64 x 64) on rollouts of 2,048 frames;
- *project*: the settings of ``agents/hyperparameters/ppo.yml``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import torch
from ratios import Case, compare, finish
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv

from gym_stepwise_routing.agents.training import hyperparameters, with_schedules
from gym_stepwise_routing.envs.sb3 import RoutingVecEnv

DEFAULT_ROLLOUT = 2048


def cartpole(num_envs: int) -> VecEnv:
    """CartPole as SB3's users make it: ``DummyVecEnv`` over ``Monitor``."""
    return make_vec_env(lambda: gym.make("CartPole-v1"), n_envs=num_envs, seed=0)


def learning(env: VecEnv, *, rollout: int, frames: int, **arguments: Any) -> Callable[[], int]:
    """PPO with rollouts of so many frames, all environments together."""
    model = PPO("MlpPolicy", env, n_steps=rollout // env.num_envs, seed=0, device="cpu", **arguments)

    def run() -> int:
        before = model.num_timesteps
        model.learn(frames, reset_num_timesteps=False)
        return model.num_timesteps - before

    return run


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=8192, help="of each case, a round")
    args = parser.parse_args()
    torch.set_num_threads(1)
    project = hyperparameters("ppo")
    update = with_schedules(project.algorithm)
    num_envs, rollout = project.n_envs, project.n_envs * update.pop("n_steps")

    def case(env: VecEnv, against: str | None = None, limit: float | None = None, **arguments: Any) -> Case:
        return Case(learning(env, frames=args.frames, **arguments), against, limit)

    first = "CartPole-v1, 8 DummyVecEnvs, defaults"
    same = "CartPole-v1, 8 DummyVecEnvs, project"
    cases = {
        first: case(cartpole(8), rollout=DEFAULT_ROLLOUT),
        "RoutingVecEnv(8), defaults": case(RoutingVecEnv(8, seed=0), first, rollout=DEFAULT_ROLLOUT),
        f"RoutingVecEnv({num_envs}), defaults": case(RoutingVecEnv(num_envs, seed=0), first, rollout=DEFAULT_ROLLOUT),
        f"RoutingVecEnv({num_envs}), project": case(
            RoutingVecEnv(num_envs, seed=0), first, 3.0, rollout=rollout, **update
        ),
        same: case(cartpole(8), rollout=rollout, **update),
        f"RoutingVecEnv({num_envs}), project, again": case(
            RoutingVecEnv(num_envs, seed=0), same, 3.0, rollout=rollout, **update
        ),
    }
    title = (
        "SB3 PPO, one thread\n"
        f"defaults: rollout {DEFAULT_ROLLOUT}, batch 64, 10 epochs, networks [64, 64]\n"
        f"project:  rollout {rollout}, batch {update['batch_size']}, {update['n_epochs']} epochs, "
        f"networks {update['policy_kwargs']['net_arch']}"
    )
    finish(compare(title, "frames", cases, rounds=args.rounds))


if __name__ == "__main__":
    main()
