"""
How far from the best possible?
===============================

Needs ``pip install '.[cli]'``.

On recorded traces nobody knows the best router. The simulator knows: its optimum can be computed. Everything on this
page is **simulated**.
"""

# %%
# The optimum
# -----------
#
# The planner solves the constrained problem. It can be told what the router knows: everything that is hidden, or only
# the confidence figures that the environment shows.

from gym_stepwise_routing.errors import need_extras

need_extras("cli")

from gym_stepwise_routing.planning import Planner

GAME = {"mode": "regenerate", "cost_unit": "large_tokens"}
hidden = Planner("gsm8k-like", information="full", **GAME).frontier()
seen = Planner("gsm8k-like", information="confidence", resolution=6, **GAME).frontier()
print(
    f"at half of always-largest's cost: {hidden.upper(0.5):.3f} knowing all, {seen.upper(0.5):.3f} knowing the figures"
)

# %%
# Some routers
# ------------

import numpy as np

from gym_stepwise_routing import AlwaysLargest, AlwaysSmallest, ConfidenceThreshold, Game, sweep
from gym_stepwise_routing.evaluation import play, threshold_grid
from gym_stepwise_routing.sources.simulator import SimulatorSource

game = Game(SimulatorSource("gsm8k-like", problems=8000), split="test", **GAME)
small, large = play(AlwaysSmallest(), game), play(AlwaysLargest(), game)
curves = {}
for figure in ("entropy_mean", "p_min"):
    router = ConfidenceThreshold(figure)
    played = sweep(router, game, threshold_grid(router, game, 25))
    curves[router.name] = played.cost.mean(axis=1), played.right.mean(axis=1)

# %%
# What they leave on the table
# ----------------------------
#
# Regret is the optimum at the router's own cost, minus its accuracy.

for name, (costs, accuracies) in curves.items():
    middle = int(np.abs(costs - 0.5).argmin())
    missing = seen.upper(costs[middle]) - accuracies[middle]
    print(f"{name:24} cost {costs[middle]:.2f}: {100 * missing:.1f} points below the optimum")

# %%
# The picture
# -----------

import matplotlib.pyplot as plt

grid = np.linspace(0.02, 1.0, 60)
figure, axes = plt.subplots(figsize=(7, 4.4), layout="constrained")
axes.plot(grid, [hidden.upper(c) for c in grid], color="#999999", label="optimum, everything known")
axes.plot(grid, [seen.upper(c) for c in grid], color="black", lw=2, label="optimum, figures known")
for (name, (costs, accuracies)), colour in zip(curves.items(), ("#009e73", "#0072b2")):
    axes.plot(costs, accuracies, color=colour, label=name)
axes.plot([small.mean_cost, large.mean_cost], [small.accuracy, large.accuracy], "--", color="grey", label="mixing")
axes.set(
    xlabel="cost (always-largest = 1)", ylabel="right", title="SIMULATED: rules and the best possible", xlim=(0, 1.05)
)
axes.legend(loc="lower right", fontsize=9)
plt.show()
