"""
A training loop of your own
===========================

Needs ``pip install '.[agents]'``, for PyTorch.

PPO in one file, as CleanRL writes it: no framework between you and the environment. A price on cost is enough to make
it route.
"""

# %%
# The vector environment
# ----------------------
#
# ``StepwiseRouting-v0`` has a vector environment of its own, which plays many episodes on arrays. It follows
# Gymnasium's mode *next step*: after an episode has ended, one step resets it. That step teaches nothing and is left
# out of the loss. Masked actions are projected to the next larger model.

from gym_stepwise_routing.errors import need_extras

need_extras("agents")

import gymnasium as gym
import numpy as np
import torch
from torch import nn

import gym_stepwise_routing  # noqa: F401  # registers the environment

torch.manual_seed(0)
torch.set_num_threads(1)
ENVS, STEPS, UPDATES, PRICE = 256, 12, 60, 0.25

envs = gym.make_vec(
    "StepwiseRouting-v0",
    num_envs=ENVS,
    vectorization_mode="vector_entry_point",
    mode="regenerate",
    cost_unit="large_tokens",
    masked_action="project",
)
features, actions = envs.single_observation_space.shape[0], int(envs.single_action_space.n)

# %%
# The network
# -----------
#
# One body, two heads: which model to take, and what the rest of the episode is worth.


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(features, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh())
        self.choice, self.value = nn.Linear(64, actions), nn.Linear(64, 1)

    def forward(self, observation):
        hidden = self.body(observation)
        return torch.distributions.Categorical(logits=self.choice(hidden)), self.value(hidden)[:, 0]


policy = Policy()
optimiser = torch.optim.Adam(policy.parameters(), lr=2e-3)

# %%
# Rollout, advantages, update
# ---------------------------
#
# The reward is 1 for a right answer, less the price of what was spent. A truncation ends an episode here for good:
# there is nothing to bootstrap from.

observation, _ = envs.reset(seed=0)
resetting = np.zeros(ENVS, dtype=bool)
history = []
for _ in range(UPDATES):
    shape = (STEPS, ENVS)
    seen = torch.zeros(*shape, features)
    taken, logs, values = torch.zeros(shape, dtype=torch.int64), torch.zeros(shape), torch.zeros(shape)
    rewards, ended, valid = torch.zeros(shape), torch.zeros(shape), torch.zeros(shape, dtype=torch.bool)
    right, spent = [], []
    for step in range(STEPS):
        with torch.no_grad():
            seen[step] = torch.from_numpy(observation)
            chosen, values[step] = policy(seen[step])
            taken[step] = chosen.sample()
            logs[step] = chosen.log_prob(taken[step])
        valid[step] = torch.from_numpy(~resetting)
        observation, reward, terminated, truncated, info = envs.step(taken[step].numpy())
        rewards[step] = torch.from_numpy(np.where(resetting, 0.0, reward - PRICE * info["cost"])).float()
        now = (terminated | truncated) & ~resetting
        ended[step] = torch.from_numpy(now).float()
        right += list(reward[now])
        spent += list(info["spent"][now])
        resetting = terminated | truncated
    with torch.no_grad():
        following = policy(torch.from_numpy(observation))[1]
    advantages, last = torch.zeros(shape), torch.zeros(ENVS)
    for step in reversed(range(STEPS)):
        error = rewards[step] + following * (1 - ended[step]) - values[step]
        advantages[step] = last = torch.where(valid[step], error + 0.95 * (1 - ended[step]) * last, 0.0)
        following = values[step]
    targets = advantages + values
    rows = valid.reshape(-1).nonzero()[:, 0]
    flat = [part.reshape(STEPS * ENVS, *part.shape[2:]) for part in (seen, taken, logs, advantages, targets)]
    for _ in range(4):
        for batch in rows[torch.randperm(len(rows))].split(1024):
            o, a, old, advantage, target = (part[batch] for part in flat)
            chosen, value = policy(o)
            ratio = (chosen.log_prob(a) - old).exp()
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
            clipped = torch.min(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage).mean()
            loss = -clipped + 0.5 * (value - target).square().mean() - 0.003 * chosen.entropy().mean()
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(policy.parameters(), 0.5)
            optimiser.step()
    history.append((np.mean(right), np.mean(spent)))
print(f"last update: right {history[-1][0]:.2f}, cost {history[-1][1]:.2f}")

# %%
# The network as a router
# -----------------------
#
# A few lines make it one, and then everything else of the package works with it: here a sweep over thresholds on test
# problems that it has not seen.

from gym_stepwise_routing import AlwaysLargest, AlwaysSmallest, Game, GameConfig, ScoringRouter, evaluate, sweep
from gym_stepwise_routing.evaluation import threshold_grid


class Learned(ScoringRouter):
    name = "learned"

    def scores(self, observation):
        with torch.no_grad():
            return policy(torch.from_numpy(np.ascontiguousarray(observation)))[0].probs[:, 1].numpy()


test = GameConfig("gsm8k-qwen2.5-coder", split="test", mode="regenerate", cost_unit="large_tokens")
game = Game(test)
curve = sweep(Learned(), game, threshold_grid(Learned(), game, 40))
small, large = evaluate(AlwaysSmallest(), test), evaluate(AlwaysLargest(), test)

# %%
# The picture
# -----------

import matplotlib.pyplot as plt

figure, (left, axes) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
left.plot([r for r, _ in history], color="#0072b2", label="right")
left.plot([c for _, c in history], color="#d55e00", label="cost")
left.set(xlabel="update", title="While it trains", ylim=(0, 1))
left.legend()
axes.plot([small.mean_cost, large.mean_cost], [small.accuracy, large.accuracy], "--", color="grey", label="mixing")
axes.plot(curve.cost.mean(axis=1), curve.right.mean(axis=1), color="#009e73", lw=2, label="our PPO, all thresholds")
axes.set(xlabel="cost (always-largest = 1)", ylabel="right", title="On test problems")
axes.legend(loc="lower right")
plt.show()
