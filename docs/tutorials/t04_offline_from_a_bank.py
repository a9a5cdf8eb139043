"""
Offline: learn from a bank's trees
==================================

A bank holds every branch, not only the one that was taken. So the value of each decision can be computed backwards, and
routing becomes regression.

Needs ``pip install '.[agents]'``, for scikit-learn.
"""

# %%
# What was recorded
# -----------------
#
# Each node of a bank is a step that a model has written after a prefix. ``child[node, model]`` is what comes next.

from gym_stepwise_routing import Bank

bank = Bank.open("gsm8k-qwen2.5-coder")
print(f"{len(bank.problems)} problems, {len(bank.child)} nodes, {bank.child.shape[1]} models")

# %%
# Play at random, keep what was seen
# ----------------------------------
#
# Offline data of any behaviour would do. Here every action is drawn at random, thirty times for each training problem,
# and what was spent afterwards and whether the answer was right are written beside it.

import gymnasium as gym
import numpy as np

import gym_stepwise_routing  # noqa: F401  # registers the environment

MODE, UNIT = "regenerate", "large_tokens"
rng = np.random.default_rng(0)
envs = gym.make_vec(
    "StepwiseRouting-v0",
    num_envs=640,
    vectorization_mode="vector_entry_point",
    mode=MODE,
    cost_unit=UNIT,
    masked_action="project",
)
observation, info = envs.reset(seed=0)
rows, open_rows, resetting = [], [[] for _ in range(640)], np.zeros(640, dtype=bool)
for _ in range(180):
    actions = rng.integers(2, size=640)
    following, reward, terminated, truncated, info = envs.step(actions)
    for k in np.flatnonzero(~resetting):
        open_rows[k].append((observation[k], actions[k], info["cost"][k]))
        if terminated[k] or truncated[k]:
            left = 0.0
            for seen, action, cost in reversed(open_rows[k]):
                left += cost
                rows.append((seen, action, reward[k], left))
            open_rows[k] = []
    observation, resetting = following, terminated | truncated
seen, action, right, left = (np.array(column) for column in zip(*rows))
print(f"{len(seen):,} decisions")

# %%
# Two regressions
# ---------------
#
# One forest predicts whether the answer will be right, another what will be spent, both for each action. A router wants
# the large model where the gain in accuracy is worth more than the extra cost. It is one step of improvement over
# playing at random.

from sklearn.ensemble import HistGradientBoostingRegressor

from gym_stepwise_routing import ScoringRouter


def forests(target):
    return [
        HistGradientBoostingRegressor(max_iter=80, max_leaf_nodes=15, learning_rate=0.08, random_state=0).fit(
            seen[action == a], target[action == a]
        )
        for a in (0, 1)
    ]


accurate, costly = forests(right), forests(left)


class Offline(ScoringRouter):
    """Squashes the gain in accuracy over the extra cost into a score."""

    name = "offline"

    def scores(self, observation):
        gain = accurate[1].predict(observation) - accurate[0].predict(observation)
        extra = costly[1].predict(observation) - costly[0].predict(observation)
        worth = gain / np.maximum(extra, 0.02)
        return 1 / (1 + np.exp(-worth))


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
for router in (Offline(), ConfidenceThreshold("p_mean")):
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
for (name, (costs, accuracies)), colour in zip(curves.items(), ("#009e73", "#0072b2")):
    axes.plot(costs, accuracies, color=colour, lw=2, label=name)
axes.set(xlabel="cost (always-largest = 1)", ylabel="right", title="Learned from random play alone")
axes.legend(loc="lower right")
plt.show()
