"""What the tests of the leaderboard share."""

from __future__ import annotations

from gym_stepwise_routing.leaderboard.entry import About

ABOUT = About(title="A router", authors="the tests", description="It decides somehow.")
