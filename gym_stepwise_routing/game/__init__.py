"""The game: what an episode is, what it charges and shows, and where it stands."""

from gym_stepwise_routing.game.config import GameConfig, RoutingSpec
from gym_stepwise_routing.game.game import Game

__all__ = ["Game", "GameConfig", "RoutingSpec"]
