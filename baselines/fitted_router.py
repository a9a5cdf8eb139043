"""What the fitted baselines have in common: they say what they were fitted on."""

from __future__ import annotations

from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.base import ScoringRouter
from gym_stepwise_routing.routers.provenance import GameDescription

__all__ = ["FittedRouter"]


class FittedRouter(ScoringRouter):
    """A router with something to fit, whose ``fit`` begins with :meth:`bind_to`.

    Attributes:
        trained_on: the game that it was fitted on, whose problems no promise about it can rest on; None before that.
    """

    trained_on: GameDescription | None = None

    def bind_to(self, game: Game) -> None:
        """Bind to the game that it is fitted on, and remember which one that is."""
        self.bind(game.spec)
        self.trained_on = GameDescription.of(game)
