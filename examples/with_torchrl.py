"""PPO of TorchRL, masked by its policy: ``python examples/with_torchrl.py --steps 50000``."""

from __future__ import annotations

import argparse
import logging
from functools import partial

import gymnasium as gym
import torch
from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.collectors import Collector
from torchrl.envs import EnvBase, GymWrapper, SerialEnv
from torchrl.modules import MaskedOneHotCategorical, ProbabilisticActor, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

import gym_stepwise_routing
from gym_stepwise_routing.agents.scores import dense_layers
from gym_stepwise_routing.envs.wrappers import FinalTruncation, ScalarisedReward
from gym_stepwise_routing.evaluation.evaluate import evaluate
from gym_stepwise_routing.routers.policy_network import PolicyNetwork

PENALTY = 0.42
ENVS, ROLLOUT, EPOCHS, BATCH = 16, 1024, 4, 256


def one(game: dict[str, str]) -> EnvBase:
    """One environment with all of its info; ``auto_register_info_dict`` tries actions blindly, hence the projection."""
    env = gym.make(gym_stepwise_routing.ENV_ID, masked_action="project", **game)
    return GymWrapper(FinalTruncation(ScalarisedReward(env, PENALTY))).auto_register_info_dict()


def train(steps: int, seed: int, game: dict[str, str]) -> nn.Sequential:
    """The actor after so many environment steps, rounded up to whole rollouts."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    env = SerialEnv(ENVS, partial(one, game))  # ActionMask would miss partial resets: the policy masks
    env.set_seed(seed)
    features, models = env.observation_spec["observation"].shape[-1], env.action_spec.shape[-1]
    actor = nn.Sequential(nn.Linear(features, 16), nn.Tanh(), nn.Linear(16, models))
    critic = nn.Sequential(nn.Linear(features, 16), nn.Tanh(), nn.Linear(16, 1))
    policy = ProbabilisticActor(
        TensorDictModule(actor, ["observation"], ["logits"]),
        in_keys={"logits": "logits", "mask": "action_mask"},
        distribution_class=MaskedOneHotCategorical,
        return_log_prob=True,
    )
    value = ValueOperator(critic, in_keys=["observation"])
    advantage = GAE(gamma=1.0, lmbda=1.0, value_network=value)
    loss = ClipPPOLoss(policy, value, clip_epsilon=0.2, entropy_coeff=0.01, critic_coeff=0.5, normalize_advantage=True)
    optimiser = torch.optim.Adam(loss.parameters(), lr=3e-3)
    total = -(-steps // ROLLOUT) * ROLLOUT
    for data in Collector(env, policy, frames_per_batch=ROLLOUT, total_frames=total):
        assert not (data["action"].bool() & ~data["action_mask"]).any(), "a masked action was drawn"
        for _ in range(EPOCHS):
            with torch.no_grad():
                advantage(data)
            flat = data.reshape(-1)
            for rows in torch.randperm(len(flat)).split(BATCH):
                losses = loss(flat[rows])
                optimiser.zero_grad()
                sum(part for name, part in losses.items() if name.startswith("loss_")).backward()
                nn.utils.clip_grad_norm_(loss.parameters(), 0.5)
                optimiser.step()
    return actor


def main() -> None:
    """Train, and evaluate on the test split as any other router."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mode", default="regenerate", help="escalate masks smaller models than the last")
    args = parser.parse_args()
    game = {"mode": args.mode, "cost_unit": "large_tokens"}
    logging.getLogger("torchrl").setLevel(logging.WARNING)
    router = PolicyNetwork(dense_layers(train(args.steps, args.seed, game)), name="torchrl-ppo")
    played = evaluate(router, **game)
    gain = played.accuracy - PENALTY * played.mean_cost
    print(f"{router.name}: accuracy {played.accuracy:.3f} cost {played.mean_cost:.3f} return {gain:.3f}")


if __name__ == "__main__":
    main()
