"""Whether live traffic still looks like the problems that the certificate speaks of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from gym_stepwise_routing.game.episode_standing import ending
from gym_stepwise_routing.game.episodes import positions
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.game.row_table import project_actions
from gym_stepwise_routing.routers.base import Predicts, bind

__all__ = ["DriftAlarm", "DriftReport", "reference_features"]


@dataclass(frozen=True, slots=True)
class DriftReport:
    """The test of one window.

    Attributes:
        window: which window, from 1.
        alarm: whether it looks different.
        p_value: least p-value of a feature, corrected for the number of features.
        feature: the feature that differs most.
    """

    window: int
    alarm: bool
    p_value: float
    feature: str


def reference_features(router: Predicts, game: Game) -> NDArray[np.float64]:
    """What the router sees of each problem of a bank's split, averaged over its decisions, ``float64[n, features]``."""
    bind(router, game.spec)
    size = len(game.problems)
    rng = np.random.default_rng(0)
    played = positions(game, size)
    played.begin(np.arange(size), np.arange(size), rng)
    budgets = np.full(size, np.inf)
    total, count = np.zeros((size, len(game.spec.features))), np.zeros(size)
    while True:
        stands = played.standing()
        alive = ~ending(stands, budgets, game.hard_budget).ended
        if not alive.any():
            return total / count[:, None]
        observation = game.show_budget(stands.observation, stands.cost, budgets)
        total[alive] += observation[alive]
        count[alive] += 1
        actions, _ = router.predict(observation, deterministic=True)
        masks = stands.mask | ~alive[:, None]
        played.move(project_actions(np.asarray(actions, dtype=np.int64), masks), rng, ~alive)


class DriftAlarm:
    """Compares windows of requests with the calibration split, feature by feature.

    Each window is tested once, by two-sample Kolmogorov-Smirnov tests with Bonferroni's correction over the features.
    If live requests are like the calibration problems, the probability that a window raises the alarm is at most
    ``false_alarm``.

    Args:
        reference: ``float64[n, features]`` of the calibration split.
        names: names of the features.
        window: requests a window.
        false_alarm: highest probability of a false alarm, for each window.
    """

    def __init__(
        self, reference: NDArray[np.float64], names: tuple[str, ...], *, window: int, false_alarm: float
    ) -> None:
        self._reference = reference
        self._names = names
        self._size = window
        self._false_alarm = false_alarm
        self._seen: list[NDArray[np.float64]] = []
        self._windows = 0

    def add(self, features: NDArray[np.float64]) -> DriftReport | None:
        """Enter a request's mean features; a report where that fills a window."""
        self._seen.append(features)
        if len(self._seen) < self._size:
            return None
        live, self._seen = np.stack(self._seen), []
        self._windows += 1
        p_values = [float(ks_2samp(here, there).pvalue) for here, there in zip(self._reference.T, live.T, strict=True)]
        least = int(np.argmin(p_values))
        corrected = min(p_values[least] * len(self._names), 1.0)
        return DriftReport(self._windows, corrected <= self._false_alarm, corrected, self._names[least])
