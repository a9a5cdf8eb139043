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
# and goes on to cheaper thresholds for as long as they pass.

from dataclasses import replace

from gym_stepwise_routing import Game, RelativeAccuracy, calibrate

practice = Game(replace(config, split="calibration"))
certified = calibrate(model, practice, target=RelativeAccuracy(0.9), delta=0.1)
certificate = certified.certificate
print(certificate.promise)
print(f"certified: {certificate.certified}, on {certificate.n[0]} problems that always-largest solves")

# %%
# What a promise costs
# --------------------
#
# A stricter promise saves less, and from some point on nothing: the test has too few problems to tell. The certificate
# then says how many it would take.

levels = (0.8, 0.85, 0.9, 0.95, 0.99)
kept = {level: calibrate(model, practice, target=RelativeAccuracy(level), delta=0.1) for level in levels}
for level, router in kept.items():
    told = "" if router.certificate.certified else f", needs {router.certificate.items_needed} problems"
    print(f"{level:.0%} of always-largest: certified {router.certificate.certified}{told}")

# %%
# On the test problems
# --------------------
#
# Nothing was chosen on these. Saving and accuracy have paired intervals over the same problems.

from gym_stepwise_routing import AlwaysLargest, AlwaysSmallest, evaluate, measure_saving

test = replace(config, split="test")
small, large = evaluate(AlwaysSmallest(), test), evaluate(AlwaysLargest(), test)
saved = {level: measure_saving(router, Game(test)) for level, router in kept.items()}
for level, told in saved.items():
    saving = told.saving
    print(f"{level:.0%} promised: saves {saving.estimate:.1%} [{saving.low:.1%}, {saving.high:.1%}] of the tokens")

# %%
# The picture
# -----------
#
# Each star is a router with a certificate; the number is what it promises.

import matplotlib.pyplot as plt

from gym_stepwise_routing import sweep
from gym_stepwise_routing.evaluation import threshold_grid

game = Game(test)
curve = sweep(certified, game, threshold_grid(certified, game, 40))
figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
axes.plot([small.mean_cost, large.mean_cost], [small.accuracy, large.accuracy], "--", color="grey", label="mixing")
axes.plot(curve.cost.mean(axis=1), curve.right.mean(axis=1), color="#009e73", label="all thresholds")
for level, router in kept.items():
    played = evaluate(router, test)
    axes.plot(played.mean_cost, played.accuracy, "*", ms=14, color="#d55e00")
    axes.annotate(f"{level:.0%}", (played.mean_cost, played.accuracy), xytext=(-4, 9), textcoords="offset points")
axes.set(xlabel="cost (always-largest = 1)", ylabel="right", title="What each promise costs, on test problems")
axes.legend(loc="lower right")
plt.show()
