"""
Train a router, certify a saving
================================

Needs ``pip install '.[agents]'``.

Train a policy on recorded trees, let a statistical test choose its threshold, and see what the promise saves.
"""

# %%
# Train
# -----
#
# In mode *regenerate* the small model drafts every step, and the policy decides whether the large one writes it anew.
# The agent ``exact`` samples nothing: a bank tells what every branch leads to, so accuracy and cost of a policy are
# sums. One training serves every threshold.

from gym_stepwise_routing.errors import need_extras

need_extras("agents")

import time

from gym_stepwise_routing import GameConfig, train

config = GameConfig("gsm8k-qwen2.5-coder", mode="regenerate", cost_unit="large_tokens")
start = time.perf_counter()
model = train("exact", seed=0, game=config)
print(f"trained in {time.perf_counter() - start:.0f} s, on the train problems")

# %%
# Ask for a promise
# -----------------
#
# The threshold is chosen on calibration problems, which the training has not seen. We ask that the answer stays right
# in 90 % of the cases in which always-largest is right. The test begins at always-largest, which keeps every promise,
# and goes on to cheaper thresholds for as long as they pass. The candidates lie close together where the policy's
# scores do: they are quantiles of its scores on the train problems.

from dataclasses import replace

from gym_stepwise_routing import Game, RelativeAccuracy, calibrate
from gym_stepwise_routing.agents.scores import scored
from gym_stepwise_routing.evaluation import threshold_grid

router = scored(model)
candidates = threshold_grid(router, Game(replace(config, split="train")), 200)
practice = Game(replace(config, split="calibration"))
certified = calibrate(router, practice, target=RelativeAccuracy(0.9), delta=0.1, thresholds=candidates)
certificate = certified.certificate
print(certificate.promise)
print(f"certified: {certificate.certified}, on {certificate.n[0]} problems that always-largest solves")

# %%
# What a promise costs
# --------------------
#
# A stricter promise saves less, and from some point on nothing, since there are too few problems to tell. The
# certificate then says how many it would take.

levels = (0.8, 0.85, 0.9, 0.95, 0.99)
kept = {level: calibrate(router, practice, target=RelativeAccuracy(level), thresholds=candidates) for level in levels}
for level, calibrated in kept.items():
    told = calibrated.certificate
    print(
        f"{level:.0%}: certified" if told.certified else f"{level:.0%}: no promise, {told.items_needed} problems needed"
    )

# %%
# On the test problems
# --------------------
#
# Nothing was chosen on these. Saving and accuracy have paired intervals over the same problems.

from gym_stepwise_routing import AlwaysLargest, AlwaysSmallest, evaluate, measure_saving

test = replace(config, split="test")
small, large = evaluate(AlwaysSmallest(), test), evaluate(AlwaysLargest(), test)
for level, calibrated in kept.items():
    told = measure_saving(calibrated, Game(test))
    saving, constant = told.saving, f" (always {told.constant})" if told.constant else ""
    print(f"{level:.0%}: saves {saving.estimate:.1%} [{saving.low:.1%}, {saving.high:.1%}] of the tokens{constant}")

# %%
# The picture
# -----------
#
# Each star is a router with a certificate; the number is what it promises.

import matplotlib.pyplot as plt

from gym_stepwise_routing import sweep

curve = sweep(router, Game(test), candidates)
figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
axes.plot([small.mean_cost, large.mean_cost], [small.accuracy, large.accuracy], "--", color="grey", label="mixing")
axes.plot(curve.cost.mean(axis=1), curve.right.mean(axis=1), color="#009e73", label="all thresholds")
for place, (level, calibrated) in enumerate(kept.items()):
    played = evaluate(calibrated, test)
    axes.plot(played.mean_cost, played.accuracy, "*", ms=14, color="#d55e00")
    where = {"xytext": (0, -22 if place % 2 else 10), "textcoords": "offset points", "ha": "center"}
    axes.annotate(f"{level:.0%}", (played.mean_cost, played.accuracy), **where)
axes.margins(0.1)
axes.set(xlabel="cost (always-largest = 1)", ylabel="right", title="What each promise costs, on test problems")
axes.legend(loc="lower right")
plt.show()
