"""
Offline: learn from a bank's trees
==================================

Needs ``pip install '.[agents]'``, for scikit-learn.

A bank holds every branch, not only the one that was taken. So the value of each decision can be computed backwards, and
routing becomes regression.
"""

# %%
# What was recorded
# -----------------
#
# Each node of a bank is a step that a model has written after a prefix. ``child[node, model]`` is what comes next.

from gym_stepwise_routing.errors import need_extras

need_extras("agents")

from gym_stepwise_routing import Bank

bank = Bank.open("gsm8k-qwen2.5-coder")
print(f"{len(bank.problems)} problems, {len(bank.child)} nodes, {bank.child.shape[1]} models")

# %%
# Play, keep what was seen
# ------------------------
#
# Offline data of any behaviour would do. Each decision is kept with what followed: whether the answer was right, and
# what was spent until the end.

import gymnasium as gym
import numpy as np

import gym_stepwise_routing  # noqa: F401  # registers the environment

MODE, UNIT, ENVS = "regenerate", "large_tokens", 640


def collect(behave, steps, seed):
    """Decisions of a behaviour: observations, actions, whether it ended right, what was spent from there on."""
    rng = np.random.default_rng(seed)
    envs = gym.make_vec(
        "StepwiseRouting-v0",
        num_envs=ENVS,
        vectorization_mode="vector_entry_point",
        mode=MODE,
        cost_unit=UNIT,
        masked_action="project",
    )
    observation, _ = envs.reset(seed=seed)
    rows, open_rows, resetting = [], [[] for _ in range(ENVS)], np.zeros(ENVS, dtype=bool)
    level = rng.random(ENVS)
    for _ in range(steps):
        actions = behave(observation, level, rng)
        following, reward, terminated, truncated, info = envs.step(actions)
        for k in np.flatnonzero(~resetting):
            open_rows[k].append((observation[k], actions[k], info["cost"][k]))
            if terminated[k] or truncated[k]:
                left = 0.0
                for seen, action, cost in reversed(open_rows[k]):
                    left += cost
                    rows.append((seen, action, reward[k], left))
                open_rows[k], level[k] = [], rng.random()
        observation, resetting = following, terminated | truncated
    return [np.array(column) for column in zip(*rows)]


data = collect(lambda observation, level, rng: rng.integers(2, size=ENVS), steps=120, seed=0)
print(f"{len(data[0]):,} decisions of random play")

# %%
# Two regressions
# ---------------
#
# One forest predicts whether the answer will be right, another what will be spent, both for each action. A router wants
# the large model where the gain in accuracy is worth more than the extra cost. That is one step of improvement over
# the behaviour that was recorded.

from sklearn.ensemble import HistGradientBoostingRegressor

from gym_stepwise_routing import ScoringRouter


class Offline(ScoringRouter):
    """Squashes the gain in accuracy over the extra cost into a score."""

    def __init__(self, data, name, threshold=0.5):
        super().__init__(threshold)
        self.name = name
        seen, action, right, left = data
        self.forests = [
            HistGradientBoostingRegressor(max_iter=80, max_leaf_nodes=15, learning_rate=0.08, random_state=0).fit(
                seen[action == a], target[action == a]
            )
            for target in (right, left)
            for a in (0, 1)
        ]

    def scores(self, observation):
        keep, call, cheap, dear = (forest.predict(observation) for forest in self.forests)
        return 1 / (1 + np.exp(-(call - keep) / np.maximum(dear - cheap, 0.02)))


first = Offline(data, "after one round")

# %%
# Once more
# ---------
#
# The first router judges a decision by what random play makes of it afterwards. So let the router play, at thresholds
# of all levels and with some random decisions, and learn from that as well.

levels = np.quantile(first.scores(data[0][:20_000]), np.linspace(0, 1, 101))


def follow(observation, level, rng):
    """The router at a threshold for each episode; every seventh decision is random."""
    wanted = first.scores(observation) >= levels[(100 * level).astype(int)]
    return np.where(rng.random(ENVS) < 1 / 7, rng.integers(2, size=ENVS), wanted)


second = Offline(collect(follow, steps=120, seed=1), "after two rounds")

# %%
# On test problems
# ----------------

from gym_stepwise_routing import AlwaysLargest, AlwaysSmallest, ConfidenceThreshold, Game, GameConfig, evaluate, sweep
from gym_stepwise_routing.evaluation import threshold_grid
from gym_stepwise_routing.evaluation.metrics import Anchors, apgr

test = GameConfig("gsm8k-qwen2.5-coder", split="test", mode=MODE, cost_unit=UNIT)
game = Game(test)
small, large = evaluate(AlwaysSmallest(), test), evaluate(AlwaysLargest(), test)
anchors = Anchors(
    cost_small=small.mean_cost,
    accuracy_small=small.accuracy,
    cost_large=large.mean_cost,
    accuracy_large=large.accuracy,
)
curves = {}
for router in (first, second, ConfidenceThreshold("p_mean")):
    played = sweep(router, game, threshold_grid(router, game, 40))
    costs, accuracies = played.cost.mean(axis=1), played.right.mean(axis=1)
    curves[router.name] = costs, accuracies
    print(f"{router.name:20} APGR {apgr(costs, accuracies, anchors):.3f}")

# %%
# The picture
# -----------

import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
axes.plot([small.mean_cost, large.mean_cost], [small.accuracy, large.accuracy], "--", color="grey", label="mixing")
for (name, (costs, accuracies)), colour in zip(curves.items(), ("#56b4e9", "#009e73", "#d55e00")):
    axes.plot(costs, accuracies, color=colour, lw=2, label=name)
axes.set(xlabel="cost (always-largest = 1)", ylabel="right", title="Learned from recorded play")
axes.legend(loc="lower right")
plt.show()
