"""What tests of studies share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gym_stepwise_routing.agents import training
from gym_stepwise_routing.agents.training import Hyperparameters


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Callable[..., Hyperparameters]]:
    """Puts hyperparameters of a few training steps in the place of the shipped ones, and gives what tells them.

    ``steps`` and any other arguments are those of ``exact``.
    """
    shipped = training.hyperparameters

    def shorten(steps: int = 5, **exact: Any) -> Callable[..., Hyperparameters]:
        def quick(agent: str, variant: str | None = None) -> Hyperparameters:
            settings = shipped(agent, variant)
            if agent == "exact":
                return replace(settings, total_timesteps=steps, algorithm={**settings.algorithm, **exact})
            return replace(settings, n_envs=16, total_timesteps=32, algorithm={**settings.algorithm, "n_steps": 2})

        monkeypatch.setattr(training, "hyperparameters", quick)
        return quick

    return shorten
