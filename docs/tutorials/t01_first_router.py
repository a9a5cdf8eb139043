"""
Your first router
=================

Needs ``pip install '.[cli]'``.

Write a router of your own, draw its curve, choose its threshold, and see whether it beats a coin.
"""

# %%
# A router is one number a row
# ----------------------------
#
# The environment shows each trace as a row of numbers with names. A router that gives *scores* says for each row how
# much it wants the larger model, between 0 and 1. Here the small model has drafted the next step, and our score is high
# where it was unsure of its words.

from gym_stepwise_routing.errors import need_extras

need_extras("cli")

import numpy as np

from gym_stepwise_routing import Game, GameConfig, ScoringRouter, columns_of


class Unsure(ScoringRouter):
    """Has a step written anew where its draft was written with little confidence."""

    name = "unsure"

    def bind(self, spec):
        super().bind(spec)
        self.column, self.known = columns_of(spec, "p_mean", "confidence_known")

    def scores(self, observation):
        return np.where(observation[:, self.known] > 0, 1 - observation[:, self.column], 0.0)


config = GameConfig("gsm8k-qwen2.5-coder", mode="regenerate", cost_unit="large_tokens")
print(Game(config).spec.feature_names)

# %%
# Three routers on the calibration problems
# -----------------------------------------
#
# The two constants are the ends of the line that anyone can have by tossing a coin. The score is compared with a
# *threshold*: the lower, the more steps the large model writes.

from dataclasses import replace

from gym_stepwise_routing import AlwaysLargest, AlwaysSmallest, evaluate

practice = replace(config, split="calibration")
for router in (AlwaysSmallest(), Unsure(threshold=0.1), AlwaysLargest()):
    result = evaluate(router, practice)
    print(f"{router.name:16} right {result.accuracy:.3f}  cost {result.mean_cost:.3f}")

# %%
# All thresholds at once
# ----------------------
#
# ``sweep`` plays many thresholds side by side. The curve is the router's offer: accuracy for cost.

from gym_stepwise_routing import sweep
from gym_stepwise_routing.evaluation import threshold_grid

game = Game(practice)
curve = sweep(Unsure(), game, threshold_grid(Unsure(), game, 60))
costs, accuracies = curve.cost.mean(axis=1), curve.right.mean(axis=1)

# %%
# A threshold with a promise
# --------------------------
#
# We ask for 90 % of always-largest's accuracy. The calibration tests thresholds from the safe side and keeps the
# cheapest that passes. Its certificate says what is promised, and on how many problems that rests.

from gym_stepwise_routing import RelativeAccuracy, calibrate

calibrated = calibrate(Unsure(), game, target=RelativeAccuracy(0.9), delta=0.1)
print(calibrated.certificate.promise)
print("threshold:", calibrated.certificate.threshold, " problems:", calibrated.certificate.n[0])

# %%
# The test problems, once
# -----------------------
#
# Nothing was chosen on these problems, so what they show is what a user would get.

test = replace(config, split="test")
small, large, ours = (evaluate(router, test) for router in (AlwaysSmallest(), AlwaysLargest(), calibrated))
mixed = small.accuracy + (ours.mean_cost - small.mean_cost) / (large.mean_cost - small.mean_cost) * (
    large.accuracy - small.accuracy
)
print(f"ours {ours.accuracy:.3f} at cost {ours.mean_cost:.3f}; mixing at the same cost {mixed:.3f}")

# %%
# The picture
# -----------
#
# The bar is the 95 % interval of our accuracy on the test problems.

import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
axes.plot([small.mean_cost, large.mean_cost], [small.accuracy, large.accuracy], "--", color="grey", label="mixing")
axes.plot(costs, accuracies, color="#009e73", alpha=0.6, label="our router, calibration problems")
error = 1.96 * ours.right.std() / np.sqrt(len(ours))
axes.errorbar(ours.mean_cost, ours.accuracy, error, fmt="o", color="#d55e00", capsize=4, label="ours, test problems")
for name, result in {"always-smallest": small, "always-largest": large}.items():
    axes.plot(result.mean_cost, result.accuracy, "ks")
    axes.annotate(name, (result.mean_cost, result.accuracy), xytext=(0, -16), textcoords="offset points", ha="center")
axes.set(
    xlabel="cost (always-largest = 1)", ylabel="right", title="A rule of one line against a coin", xlim=(-0.12, 1.15)
)
axes.legend(loc="lower right")
plt.show()

# %%
# Next: train a router instead of writing one down.
