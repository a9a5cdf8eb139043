"""What a game is made of, in one frozen object, and what routers may know of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, TypedDict, get_args

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.costs.units import DEFAULT_UNIT, CostUnit
from gym_stepwise_routing.errors import check_choice, is_finite
from gym_stepwise_routing.game.observation import Feature, check_blocks
from gym_stepwise_routing.types import DEFAULT_BLOCKS, MODES, SPLITS, Block, Mode, Split

__all__ = [
    "DEFAULT_BANK",
    "Budget",
    "GameArguments",
    "GameConfig",
    "MaskedAction",
    "PlayArguments",
    "RoutingSpec",
    "check_budget",
    "draw_budgets",
]

Budget = float | tuple[float, float] | None
MaskedAction = Literal["error", "project"]
MASKED_ACTIONS: tuple[MaskedAction, ...] = get_args(MaskedAction)
DEFAULT_BANK = "gsm8k-qwen2.5-coder"
"""The bundled bank that is played where none is named."""


class PlayArguments(TypedDict, total=False):
    """The fields of :class:`GameConfig` but source and split, as keyword arguments."""

    mode: Mode
    cost_unit: CostUnit
    observation: Sequence[Block]
    budget: Budget
    hard_budget: bool
    masked_action: MaskedAction | None
    normaliser: float | None


class GameArguments(PlayArguments, total=False):
    """The fields of :class:`GameConfig` but the source, as keyword arguments."""

    split: Split


@dataclass(frozen=True, slots=True, eq=False)
class GameConfig:
    """A game. Environments, evaluation, training, calibration and tracks all take it.

    Attributes:
        source: a :class:`...sources.contract.StepSource`, a bank, the name of a bundled bank or simulator preset, or
            the path of a bank.
        split: ``train``, ``calibration`` or ``test``.
        mode: ``route``, ``escalate``, ``regenerate`` or ``restart``; see :class:`...game.transitions.Rules`.
        cost_unit: name of a registered unit; see :mod:`gym_stepwise_routing.costs.units`.
        observation: blocks of the observation; see :mod:`gym_stepwise_routing.game.observation`.
        budget: cost allowed an episode, where always-largest costs 1 on average; a pair (low, high) is drawn from
            uniformly at each reset; None for no budget.
        hard_budget: an episode whose cost exceeds the budget is truncated without reward. If False the budget is only
            observed.
        masked_action: what a masked action does: ``project`` to the next larger available model (the largest available
            one if there is none), or ``error``. None: an error in environments, whose caller has the masks, and a
            projection elsewhere, where a router without masks may choose one in good faith.
        normaliser: cost of always-largest in the cost unit, > 0. None: measured on the split
            (:func:`gym_stepwise_routing.game.normaliser.always_largest_cost`).

    Raises:
        ValueError: a field out of range; the message names it, its value and what is allowed.
    """

    source: object = DEFAULT_BANK
    split: Split = "train"
    mode: Mode = "route"
    cost_unit: CostUnit = DEFAULT_UNIT
    observation: Sequence[Block] = DEFAULT_BLOCKS
    budget: Budget = None
    hard_budget: bool = False
    masked_action: MaskedAction | None = None
    normaliser: float | None = None

    def __post_init__(self) -> None:
        check_choice("split", self.split, SPLITS)
        check_choice("mode", self.mode, MODES)
        check_choice("masked_action", self.masked_action, [*MASKED_ACTIONS, None])
        if not isinstance(self.hard_budget, bool | np.bool_):
            raise ValueError(f"hard_budget={self.hard_budget!r}; allowed: True or False")
        if self.hard_budget and self.budget is None:
            raise ValueError("hard_budget=True with budget=None; allowed: a budget, or hard_budget=False")
        given = self.normaliser
        if given is not None and not (is_finite(given) and given > 0):
            raise ValueError(f"normaliser={given!r}; allowed: a finite number > 0, or None")
        object.__setattr__(self, "observation", check_blocks(self.observation))
        object.__setattr__(self, "budget", check_budget(self.budget))

    @classmethod
    def of(cls, given: object, **changes: Any) -> Self:
        """A config from a config or a source, with changes.

        Raises:
            TypeError: an argument that no game has.
            ValueError: a value out of range.
        """
        return replace(given, **changes) if isinstance(given, cls) else cls(given, **changes)


@dataclass(frozen=True, slots=True)
class RoutingSpec:
    """What a router may know of a game before it plays: names, sizes and the budget, no numbers of any problem.

    Attributes:
        models: names of the models, smallest first; the action is an index into them.
        mode: ``route``, ``escalate``, ``regenerate`` or ``restart``.
        cost_unit: unit of the costs.
        horizon: most steps of a trace; in *restart* of each attempt. 0 where nobody knows, of a game
            that is read from a file.
        features: the components of the observation, in order.
        source: name of the bank, preset or live pool.
        simulated: True if the figures come from a random process instead of language models.
        budget: budget of an episode, or the range that it is drawn from.
        hard_budget: whether exceeding it ends an episode.
        normaliser: what cost 1, and so a budget of 1, is in the cost unit.
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
    normaliser: float

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the observation's components, in order."""
        return tuple(feature.name for feature in self.features)


def draw_budgets(budget: Budget, size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Budgets of ``size`` episodes, inf where there is none."""
    if isinstance(budget, tuple):
        return rng.uniform(*budget, size=size)
    return np.full(size, np.inf if budget is None else budget)


def check_budget(budget: object) -> Budget:
    """The budget, or ``ValueError``."""
    allowed = "allowed: a finite number > 0, a pair 0 < low <= high, or None"
    if budget is None:
        return None
    pair = isinstance(budget, tuple | list)
    values: list[object] = list(budget) if isinstance(budget, tuple | list) else [budget]
    numbers = [float(value) for value in values if is_finite(value) and value > 0]
    if len(numbers) != len(values) or len(values) != (2 if pair else 1) or numbers[0] > numbers[-1]:
        raise ValueError(f"budget={budget!r}; {allowed}")
    return (numbers[0], numbers[1]) if pair else numbers[0]
