"""
One policy for all budgets
==========================

Needs ``pip install '.[agents]'``.

Train one small network that routes well at every budget, compare it with a coin, and give it a certificate.
"""

# %%
# The idea
# --------
#
# A budget is part of what the environment shows. A policy that sees it can learn to spend much where much is allowed,
# and to spend a little where it helps most. The agent ``all_budgets`` learns this in one run: each episode has a
# budget of its own.
#
# In mode *escalate* nobody goes back to the small model. So the question at every step is: has this trace gone far
# enough astray that the large model should take over?

from gym_stepwise_routing.errors import need_extras

need_extras("agents")

import time
from dataclasses import replace

from gym_stepwise_routing import GameConfig, train
from gym_stepwise_routing.agents.scores import scored

config = GameConfig("gsm8k-qwen2.5-coder", mode="escalate", cost_unit="large_tokens")
start = time.perf_counter()
model = train("all_budgets", seed=0, game=config)
print(f"trained in {time.perf_counter() - start:.0f} s")

# %%
# Show it budgets
# ---------------
#
# Now the policy plays the test problems once for each budget that we show it. A budget that it sees is no promise:
# what it really spends is measured. A cost of 1 is what always-largest spends on the calibration problems, here and
# in the certificate below. The budgets are those between which the policy changes its mind; beyond them it plays a
# constant.

import numpy as np

from gym_stepwise_routing import AlwaysLargest, AlwaysSmallest, Game, evaluate

router = scored(model)
unit = Game(replace(config, split="calibration")).normaliser
test = replace(config, split="test", normaliser=unit, budget=1.0)
small, large = evaluate(AlwaysSmallest(), test), evaluate(AlwaysLargest(), test)
shown = np.linspace(0.25, 0.65, 17)
played = [evaluate(router, replace(test, budget=float(budget))) for budget in shown]
costs, accuracies = [result.mean_cost for result in played], [result.accuracy for result in played]
for budget, cost, accuracy in list(zip(shown, costs, accuracies))[::4]:
    print(f"budget {budget:.2f}: cost {cost:.2f}, right {accuracy:.3f}")

# %%
# Better than a coin?
# -------------------
#
# APGR is the area under the curve between the constants. A coin between the two models has one half.

from gym_stepwise_routing.evaluation.metrics import Anchors, apgr

anchors = Anchors(
    cost_small=small.mean_cost,
    accuracy_small=small.accuracy,
    cost_large=large.mean_cost,
    accuracy_large=large.accuracy,
)
area = apgr(costs, accuracies, anchors)
print(f"APGR {area:.3f}")

# %%
# A promise
# ---------
#
# A policy also gives scores: the probability that it calls the larger model. With them its threshold can be calibrated.
# We fix the budget that is shown, and ask for most of the large model's accuracy.

from gym_stepwise_routing import RelativeAccuracy, calibrate

practice = Game(replace(config, split="calibration", budget=0.8, normaliser=unit))
calibrated = calibrate(model, practice, target=RelativeAccuracy(0.85))
print(calibrated.certificate.promise)
certified = evaluate(calibrated, replace(test, budget=0.8))
print(f"on the test problems: right {certified.accuracy:.3f} at cost {certified.mean_cost:.2f}")

# %%
# The picture
# -----------

import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
axes.plot([small.mean_cost, large.mean_cost], [small.accuracy, large.accuracy], "--", color="grey", label="mixing")
axes.plot(costs, accuracies, color="#cccccc", zorder=1)
dots = axes.scatter(costs, accuracies, c=shown, cmap="viridis", s=60, label="one policy")
axes.plot(certified.mean_cost, certified.accuracy, "*", ms=16, color="#d55e00", label="with a certificate")
figure.colorbar(dots, label="budget that is shown")
axes.set(xlabel="cost (always-largest = 1)", ylabel="right", title=f"One policy, every budget: APGR {area:.2f}")
axes.legend(loc="lower right")
plt.show()
