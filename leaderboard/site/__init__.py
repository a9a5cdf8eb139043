"""The board as static HTML and JSON. Nothing is fetched from a network, and every page opens from a file path."""

from gym_stepwise_routing.leaderboard.site.site_builder import build_site

__all__ = ["build_site"]
