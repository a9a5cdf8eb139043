"""Callbacks of Stable-Baselines3: what a policy trades, drawn while it is trained."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Figure as LoggedFigure

from gym_stepwise_routing.agents.scores import scored
from gym_stepwise_routing.baselines import AlwaysLargest, AlwaysSmallest
from gym_stepwise_routing.evaluation.evaluate import play, sweep
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.reporting.figures import BLACK, new_figure
from gym_stepwise_routing.routers.base import Scores

__all__ = ["FrontierFigure", "frontier_figure"]


class FrontierFigure(BaseCallback):
    """Logs ``frontier/train``: accuracy against cost of the policy's thresholds, with the two constants.

    Args:
        game: the game to play, normally that of the training.
        every: rollouts between two figures, >= 1.
        thresholds: thresholds of the sweep, >= 2.

    Raises:
        ValueError: a number out of range.
    """

    def __init__(self, game: Game, *, every: int = 10, thresholds: int = 21) -> None:
        super().__init__()
        for name, value, least in (("every", every, 1), ("thresholds", thresholds, 2)):
            if value < least:
                raise ValueError(f"{name}={value!r}; allowed: an integer >= {least}")
        self._game = game
        self._every = every
        self._thresholds = np.linspace(0.0, 1.0, thresholds)
        self._rollouts = 0

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self._rollouts += 1
        if self._rollouts % self._every == 0:
            figure = frontier_figure(scored(self.model), self._game, self._thresholds)
            # Only TensorBoard shows figures; the other formats would refuse it.
            exclude = ("stdout", "log", "json", "csv")
            self.logger.record("frontier/train", LoggedFigure(figure, close=True), exclude=exclude)


def frontier_figure(router: Scores, game: Game, thresholds: np.ndarray) -> Figure:
    """Accuracy against mean cost of a router's thresholds, and of always-smallest and always-largest."""
    played = sweep(router, game, thresholds)
    figure, (axes,) = new_figure(1)
    axes.plot(played.cost.mean(axis=1), played.right.mean(axis=1), "o-", ms=3, label=played.router)
    ends = [play(router, game) for router in (AlwaysSmallest(), AlwaysLargest())]
    axes.plot([end.mean_cost for end in ends], [end.accuracy for end in ends], "s--", color=BLACK, label="constants")
    title = f"{game.source.name}, {game.split}, {game.rules.mode}"
    axes.set(xlabel=f"mean cost, {game.cost_unit}", ylabel="accuracy", title=title)
    axes.legend(fontsize=8)
    return figure
