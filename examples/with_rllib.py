"""PPO of RLlib (new API stack) with masks by a module of its own, and a limit on the cost by a callback.

``python examples/with_rllib.py --steps 50000 --limit 0.5``: the price of cost rises while episodes cost more than that.
"""

from __future__ import annotations

import argparse
from typing import Any

import gymnasium as gym
import ray
import torch
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis import ValueFunctionAPI
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch import TorchRLModule
from ray.tune.registry import register_env
from torch import nn

import gym_stepwise_routing
from gym_stepwise_routing.agents.scores import dense_layers
from gym_stepwise_routing.envs.wrappers import FinalTruncation, MaskInObservation, ScalarisedReward
from gym_stepwise_routing.evaluation.evaluate import evaluate
from gym_stepwise_routing.routers.policy_network import PolicyNetwork

PENALTY = 0.42
ROLLOUT = 1024


class MaskedModule(TorchRLModule, ValueFunctionAPI):
    """Two small networks; masked actions have no chance."""

    def setup(self) -> None:
        """Make the networks."""
        features = self.observation_space["observations"].shape[0]
        self.actor = nn.Sequential(nn.Linear(features, 16), nn.Tanh(), nn.Linear(16, int(self.action_space.n)))
        self.critic = nn.Sequential(nn.Linear(features, 16), nn.Tanh(), nn.Linear(16, 1))

    def _forward(self, batch: dict[str, Any], **_: Any) -> dict[str, Any]:
        seen = batch[Columns.OBS]
        return {Columns.ACTION_DIST_INPUTS: self.actor(seen["observations"]) - 1e9 * (1 - seen["action_mask"])}

    def compute_values(self, batch: dict[str, Any], embeddings: Any = None) -> torch.Tensor:
        """What is still to come."""
        return self.critic(batch[Columns.OBS]["observations"])[:, 0]


class CostLimit(RLlibCallback):
    """Lagrange multiplier: the penalty of the environments follows the mean cost of an episode."""

    limit: float | None = None
    rate = 0.5
    penalty = PENALTY

    def on_episode_end(self, *, episode: Any, metrics_logger: Any, **_: Any) -> None:
        """Keep the cost of the episode."""
        metrics_logger.log_value("cost", float(episode.get_infos(-1)["spent"]), window=200)

    def on_train_result(self, *, algorithm: Any, result: dict[str, Any], **_: Any) -> None:
        """Move the penalty, and tell the environments."""
        if self.limit is None:
            return
        self.penalty = max(0.0, self.penalty + self.rate * (result["env_runners"]["cost"] - self.limit))
        algorithm.env_runner_group.foreach_env_runner(
            lambda runner: runner.env.unwrapped.set_attr("penalty", self.penalty)
        )


def main() -> None:
    """Train, and evaluate on the test split as any other router."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mode", default="regenerate", help="escalate masks smaller models than the last")
    parser.add_argument("--limit", type=float, help="highest mean cost; default: a fixed price of cost")
    args = parser.parse_args()
    game = {"mode": args.mode, "cost_unit": "large_tokens"}
    CostLimit.limit = args.limit

    def make(_: Any) -> gym.Env:
        env = gym.make(gym_stepwise_routing.ENV_ID, **game)  # a masked action would be an error
        return MaskInObservation(FinalTruncation(ScalarisedReward(env, PENALTY)))

    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    register_env("routing", make)
    config = (
        PPOConfig()
        .environment("routing")
        .env_runners(num_env_runners=0, num_envs_per_env_runner=16)
        .rl_module(rl_module_spec=RLModuleSpec(module_class=MaskedModule))
        .callbacks(CostLimit)
        .training(train_batch_size_per_learner=ROLLOUT, minibatch_size=256, num_epochs=4, lr=3e-3, gamma=1.0)
        .training(lambda_=1.0, clip_param=0.2, entropy_coeff=0.01, use_kl_loss=False, grad_clip=0.5)
        .debugging(seed=args.seed)
    )
    algorithm = config.build_algo()
    for _ in range(-(-args.steps // ROLLOUT)):
        algorithm.train()
    router = PolicyNetwork(dense_layers(algorithm.get_module().actor), name="rllib-ppo")
    played = evaluate(router, **game)
    gain = played.accuracy - PENALTY * played.mean_cost
    print(f"{router.name}: accuracy {played.accuracy:.3f} cost {played.mean_cost:.3f} return {gain:.3f}")
    algorithm.stop()
    ray.shutdown()


if __name__ == "__main__":
    main()
