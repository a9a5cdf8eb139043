"""PPO in one file, in CleanRL's style, on the vector environment: ``python examples/with_cleanrl.py --steps 50000``.

The reward is ``right - PENALTY * cost``; masked actions are never drawn. Needs nothing but torch.
"""

from __future__ import annotations

import argparse

import gymnasium as gym
import torch
from gymnasium.vector import AutoresetMode
from torch import nn
from torch.distributions import Categorical

import gym_stepwise_routing
from gym_stepwise_routing.agents.scores import dense_layers
from gym_stepwise_routing.evaluation.evaluate import evaluate
from gym_stepwise_routing.routers.policy_network import PolicyNetwork

PENALTY = 0.42
ENVS, LENGTH, EPOCHS, BATCH, CLIP, RATE, ENTROPY = 64, 16, 4, 256, 0.2, 3e-3, 0.01


def network(inputs: int, outputs: int) -> nn.Sequential:
    """A small network; the last layer begins near 0."""
    last = nn.Linear(16, outputs)
    nn.init.orthogonal_(last.weight, 0.01)
    return nn.Sequential(nn.Linear(inputs, 16), nn.Tanh(), last)


def policy(actor: nn.Module, observation: torch.Tensor, mask: torch.Tensor) -> Categorical:
    """The distribution over allowed actions."""
    return Categorical(logits=actor(observation).masked_fill(~mask, -1e9))


def train(steps: int, seed: int, game: dict[str, str]) -> nn.Sequential:
    """The actor after so many environment steps, rounded up to whole rollouts."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    env = gym.make_vec(gym_stepwise_routing.ENV_ID, num_envs=ENVS, autoreset_mode=AutoresetMode.SAME_STEP, **game)
    features, models = env.single_observation_space.shape[0], int(env.single_action_space.n)
    actor, critic = network(features, models), network(features, 1)
    optimiser = torch.optim.Adam([*actor.parameters(), *critic.parameters()], lr=RATE)
    observation, info = env.reset(seed=seed)
    for _ in range(-(-steps // (ENVS * LENGTH))):
        kept = {name: [] for name in ("observation", "mask", "action", "log_prob", "value", "reward", "done")}
        for _ in range(LENGTH):
            now, mask = torch.as_tensor(observation), torch.as_tensor(info["action_mask"])
            with torch.no_grad():
                chosen = policy(actor, now, mask)
                action, value = chosen.sample(), critic(now)[:, 0]
            observation, reward, terminated, truncated, info = env.step(action.numpy())
            step = {"observation": now, "mask": mask, "action": action, "log_prob": chosen.log_prob(action)}
            step |= {"value": value, "reward": torch.as_tensor(reward - PENALTY * info["cost"], dtype=torch.float32)}
            step |= {"done": torch.as_tensor(terminated | truncated)}  # nothing comes after a truncation here
            for name, part in step.items():
                kept[name].append(part)
        data = {name: torch.stack(parts) for name, parts in kept.items()}
        with torch.no_grad():
            after = critic(torch.as_tensor(observation))[:, 0]
        returns = torch.empty_like(data["reward"])  # gamma = lambda = 1: what is still to come, to the rollout's end
        for t in reversed(range(LENGTH)):
            after = data["reward"][t] + after * ~data["done"][t]
            returns[t] = after
        data["return"], data["advantage"] = returns, returns - data["value"]
        flat = {name: part.flatten(0, 1) for name, part in data.items()}
        for _ in range(EPOCHS):
            for rows in torch.randperm(ENVS * LENGTH).split(BATCH):
                part = {name: values[rows] for name, values in flat.items()}
                chosen = policy(actor, part["observation"], part["mask"])
                ratio = (chosen.log_prob(part["action"]) - part["log_prob"]).exp()
                gain = (part["advantage"] - part["advantage"].mean()) / (part["advantage"].std() + 1e-8)
                surrogate = torch.minimum(ratio * gain, ratio.clamp(1 - CLIP, 1 + CLIP) * gain).mean()
                error = (critic(part["observation"])[:, 0] - part["return"]).square().mean()
                loss = 0.5 * error - surrogate - ENTROPY * chosen.entropy().mean()
                optimiser.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_([*actor.parameters(), *critic.parameters()], 0.5)
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
    router = PolicyNetwork(dense_layers(train(args.steps, args.seed, game)), name="cleanrl-ppo")
    played = evaluate(router, **game)
    gain = played.accuracy - PENALTY * played.mean_cost
    print(f"{router.name}: accuracy {played.accuracy:.3f} cost {played.mean_cost:.3f} return {gain:.3f}")


if __name__ == "__main__":
    main()
