"""
Hand the task over: GPT-3.5 and GPT-4
=====================================

Needs ``pip install '.[cli]'``.

In mode *restart* the cheap model works on until a router hands the whole task to the dear one. On recorded attempts at
database questions, a rule of four signs costs less than GPT-4 alone.
"""

# %%
# The bank
# --------
#
# The bank ``intercode-sql-gpt`` holds attempts of both models at the same tasks, as InterCode released them. A step is
# a turn: one command, and what the database answers. GPT-4 begins afresh and never sees what GPT-3.5 wrote. Whole
# attempts that were recorded apart are therefore exact in this mode. What was spent before stays spent.

from gym_stepwise_routing.errors import need_extras

need_extras("cli")

from gym_stepwise_routing import Bank

bank = Bank.open("intercode-sql-gpt")
print("models, smallest first:", bank.pool.names)
for model in bank.pool.models:
    print(f"{model.name}: ${model.price.input} in, ${model.price.output} out, per million tokens ({model.price.date})")

# %%
# An episode
# ----------
#
# There are no log-probabilities of closed models. The block ``feedback`` tells what the database answered.

import gymnasium as gym

import gym_stepwise_routing  # noqa: F401  # registers the environment

GAME = {"mode": "restart", "cost_unit": "dollars", "observation": ("progress", "feedback", "ledger")}
env = gym.make("StepwiseRouting-v0", source="intercode-sql-gpt", render_mode="ansi", **GAME)
names = env.unwrapped.feature_names
signs = [names.index(name) for name in ("answer_error", "answer_empty", "answer_repeat")]
observation, info = env.reset(seed=8)
ended, handed_over = False, False
while not ended:
    handed_over = handed_over or observation[signs].sum() > 0
    observation, right, terminated, truncated, info = env.step(int(handed_over))
    ended = terminated or truncated
print(env.render())
print(f"right: {right}, cost: {info['spent']:.2f} of GPT-4 alone")

# %%
# A rule, and its threshold
# -------------------------
#
# ``FeedbackRule`` adds up four signs that an attempt goes badly: turns used, an error, an empty answer, a repeated
# command. Its threshold is chosen on the calibration problems, whose databases are others than those of the test.

from gym_stepwise_routing import AlwaysLargest, AlwaysSmallest, Game, GameConfig, RelativeAccuracy, calibrate, evaluate
from gym_stepwise_routing.baselines.feedback_rule import FeedbackRule

GAME["observation"] = ("progress", "feedback")
calibration = Game("intercode-sql-gpt", split="calibration", **GAME)
router = calibrate(FeedbackRule(), calibration, target=RelativeAccuracy(0.95), delta=0.1)
print(router.certificate.promise)

# %%
# On the test databases
# ---------------------

test = GameConfig("intercode-sql-gpt", split="test", **GAME)
small, ours, large = (evaluate(r, test) for r in (AlwaysSmallest(), router, AlwaysLargest()))
for name, result in {"GPT-3.5": small, "the rule": ours, "GPT-4": large}.items():
    print(f"{name:10} right {result.accuracy:.3f}  cost {result.mean_cost:.2f}")

# %%
# Paired by task, the saving has an interval of its own.

from gym_stepwise_routing.calibration.saving import measure_saving

saved = measure_saving(router, Game(test))
print(f"saved: {saved.saving.estimate:.0%} of GPT-4's dollars [{saved.saving.low:.0%}, {saved.saving.high:.0%}]")

# %%
# All thresholds
# --------------

from gym_stepwise_routing import sweep
from gym_stepwise_routing.evaluation import threshold_grid

game = Game(test)
curve = sweep(FeedbackRule(), game, threshold_grid(FeedbackRule(), game, 40))

# %%
# The picture
# -----------

import matplotlib.pyplot as plt
import numpy as np

figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
axes.plot([small.mean_cost, large.mean_cost], [small.accuracy, large.accuracy], "--", color="grey", label="mixing")
axes.plot(curve.cost.mean(axis=1), curve.right.mean(axis=1), color="#009e73", lw=2, label="rule, all thresholds")
error = 1.96 * ours.right.std() / np.sqrt(len(ours))
axes.errorbar(ours.mean_cost, ours.accuracy, error, fmt="*", ms=14, color="#d55e00", capsize=4, label="calibrated")
for name, result in {"GPT-3.5": small, "GPT-4": large}.items():
    axes.plot(result.mean_cost, result.accuracy, "ks")
    axes.annotate(name, (result.mean_cost, result.accuracy), xytext=(0, 8), textcoords="offset points", ha="center")
axes.set(xlabel="dollars (GPT-4 alone = 1)", ylabel="right", title="Handing over in time costs less than GPT-4")
axes.margins(0.1)
axes.legend(loc="lower right")
plt.show()
