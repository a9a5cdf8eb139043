"""Why the fitted baselines are linear: fitted Q with a ridge, a forest and boosted trees, on train and on test.

Run: ``python benchmarks/estimators.py [BANK] [MODE]``. Figures are the area under the hull (AIQ) over a few prices.
"""

from __future__ import annotations

import sys
from functools import partial

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor

from gym_stepwise_routing.baselines import fitted_q
from gym_stepwise_routing.baselines.estimators import OutcomeRegression
from gym_stepwise_routing.baselines.experience import experience
from gym_stepwise_routing.comparison.arena import Arena
from gym_stepwise_routing.evaluation.evaluate import play
from gym_stepwise_routing.evaluation.metrics import aiq
from gym_stepwise_routing.types import DEFAULT_BLOCKS

PRICES = (0.25, 0.5, 0.7, 0.85, 1.0, 1.3, 2.0)


class Trees:
    """A scikit-learn regressor behind the interface of ``OutcomeRegression``."""

    def __init__(self, make):
        self.make = make

    def fit_design(self, design, target):
        """Fit on weighted rows; the groups are not needed."""
        self.columns = design.columns
        self.model = self.make().fit(self.columns(design.features), target, sample_weight=design.weight)
        return self

    def predict(self, features):
        """Expected target."""
        return self.predict_columns(self.columns(features))

    def predict_columns(self, columns):
        """The same of a design's columns."""
        return self.model.predict(columns)


ESTIMATORS = {
    "ridge (shipped)": OutcomeRegression,
    "random forest, 100 trees, leaves >= 5": partial(
        Trees, partial(RandomForestRegressor, 100, min_samples_leaf=5, random_state=0)
    ),
    "boosted trees, defaults": partial(Trees, partial(HistGradientBoostingRegressor, random_state=0)),
}


def main() -> None:
    """Print one line an estimator."""
    bank = sys.argv[1] if len(sys.argv) > 1 else "gsm8k-qwen2.5-coder"
    arena = Arena(bank, mode=sys.argv[2] if len(sys.argv) > 2 else "route")
    rate = arena.exchange_rate()
    for name, estimator in ESTIMATORS.items():
        fitted_q.OutcomeRegression = estimator
        game = arena.game("train", DEFAULT_BLOCKS)
        known = experience(game)
        routers = [fitted_q.FittedQ(price * rate).fit(game, known) for price in PRICES]
        found = {}
        for split in ("train", "test"):
            played = [play(router, arena.game(split, DEFAULT_BLOCKS)) for router in routers]
            costs, accuracies = [p.mean_cost for p in played], [p.accuracy for p in played]
            found[split] = aiq(np.array(costs), np.array(accuracies), arena.reference(split).anchors)
        print(f"{name}: AIQ {found['train']:.3f} on train, {found['test']:.3f} on test")


if __name__ == "__main__":
    main()
