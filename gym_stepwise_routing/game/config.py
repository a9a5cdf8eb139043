"""What a game is made of: its budget, what masked actions do, and what routers may know of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gym_stepwise_routing.costs.units import CostUnit
from gym_stepwise_routing.errors import is_number
from gym_stepwise_routing.game.observation import Feature
from gym_stepwise_routing.types import Mode

__all__ = ["Budget", "MaskedAction", "RoutingSpec", "check_budget", "draw_budget"]

Budget = float | tuple[float, float] | None
MaskedAction = Literal["error", "project"]
MASKED_ACTIONS = ("error", "project")


@dataclass(frozen=True, slots=True)
class RoutingSpec:
    """What a router may know of a game before it plays: names, sizes and the budget, no numbers of any problem.

    Attributes:
        models: names of the models, smallest first; the action is an index into them.
        mode: ``route``, ``escalate`` or ``regenerate``.
        cost_unit: unit of the costs.
        horizon: most steps of an episode.
        features: the components of the observation, in order.
        source: name of the bank, preset or live pool.
        simulated: True if the figures come from a random process instead of language models.
        budget: budget of an episode, or the range that it is drawn from.
        hard_budget: whether exceeding it ends an episode.
    """

    models: tuple[str, ...]
    mode: Mode
    cost_unit: CostUnit
    horizon: int
    features: tuple[Feature, ...]
    source: str
    simulated: bool
    budget: Budget
    hard_budget: bool

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the observation's components, in order."""
        return tuple(feature.name for feature in self.features)


def draw_budget(budget: Budget, rng: np.random.Generator) -> float:
    """Budget of one episode, inf where there is none."""
    if isinstance(budget, tuple):
        return float(rng.uniform(*budget))
    return math.inf if budget is None else budget


def check_budget(budget: object) -> Budget:
    """The budget, or ``ValueError``."""
    allowed = "allowed: a finite number > 0, a pair 0 < low <= high, or None"
    if budget is None:
        return None
    pair = isinstance(budget, tuple | list)
    values: list[object] = list(budget) if isinstance(budget, tuple | list) else [budget]
    numbers = [float(value) for value in values if is_number(value) and math.isfinite(value) and value > 0]
    if len(numbers) != len(values) or len(values) != (2 if pair else 1) or numbers[0] > numbers[-1]:
        raise ValueError(f"budget={budget!r}; {allowed}")
    return (numbers[0], numbers[1]) if pair else numbers[0]
