"""A game: source, split, mode, observation, cost unit and budget, checked and made ready to be played."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import cached_property
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.costs.units import CostUnit
from gym_stepwise_routing.errors import NotApplicableError, TooManyPathsError
from gym_stepwise_routing.game.config import DEFAULT_BANK, GameArguments, GameConfig, MaskedAction, RoutingSpec
from gym_stepwise_routing.game.normaliser import always_largest_cost
from gym_stepwise_routing.game.row_table import RowTable
from gym_stepwise_routing.game.tabulation import GameTable, tabulate
from gym_stepwise_routing.game.transitions import Rules
from gym_stepwise_routing.sources import resolve

__all__ = ["Game"]


class Game:
    """One game, ready to be played by environments and by the evaluation.

    Args:
        config: a :class:`GameConfig`, or the source of one.
        **changes: further fields of the config, or other values of them.

    Attributes:
        config: the same, with the source found, masked actions settled and the normaliser measured.
        source: where steps come from.
        rules: what steps cost, show and allow.
        problems: ``int64[n]`` the problems of the split.
        normaliser: cost of always-largest in the cost unit.

    Raises:
        ValueError: a field out of range; the message names it, its value and what is allowed.
        NotApplicableError: the source has not recorded this mode, or the verifier block is asked of a pool without one.
    """

    def __init__(self, config: object = DEFAULT_BANK, **changes: Unpack[GameArguments]) -> None:
        asked = GameConfig.of(config, **changes)
        self.source = resolve(asked.source)
        if asked.mode not in self.source.modes:
            raise NotApplicableError(
                f"mode={asked.mode!r} is not recorded in {self.source.kind} {self.source.name!r}; "
                f"allowed: {', '.join(map(repr, self.source.modes))}"
            )
        self.rules = Rules(self.source, mode=asked.mode, observation=asked.observation, cost_unit=asked.cost_unit)
        self.problems = self.source.problems(asked.split)
        if len(self.problems) == 0:
            raise ValueError(f"split={asked.split!r}: {self.source.kind} {self.source.name!r} has no problem in it")
        self.normaliser = self._measured(asked.cost_unit) if asked.normaliser is None else float(asked.normaliser)
        self.config = replace(
            asked,
            source=self.source,
            masked_action=asked.masked_action or "project",
            normaliser=self.normaliser,
        )
        self.split = asked.split
        self.cost_unit = asked.cost_unit
        self.budget = asked.budget
        self.hard_budget = bool(asked.hard_budget)
        self.masked_action: MaskedAction = asked.masked_action or "project"

    def _measured(self, cost_unit: CostUnit) -> float:
        if self.source.kind == "live":
            raise ValueError(
                "normaliser=None with a live source; allowed: the cost of always-largest, e.g. that of a bank"
            )
        return always_largest_cost(self.source, self.problems, cost_unit)

    @property
    def source_hash(self) -> str:
        """Content hash of the bank, '' for a source that is not a bank."""
        bank = getattr(self.source, "bank", None)
        return "" if bank is None else str(bank.hash)

    @property
    def split_hash(self) -> str:
        """Hash of the problems of the split and of the bank's content, '' for a source that is not a bank."""
        bank = getattr(self.source, "bank", None)
        return "" if bank is None else str(bank.split_hash(self.split))

    @property
    def spec(self) -> RoutingSpec:
        """What routers may know of the game."""
        return RoutingSpec(
            models=self.source.pool.names,
            mode=self.rules.mode,
            cost_unit=self.cost_unit,
            horizon=self.source.horizon,
            features=self.rules.features,
            source=self.source.name,
            simulated=self.source.simulated,
            budget=self.budget,
            hard_budget=self.hard_budget,
            normaliser=self.normaliser,
        )

    @cached_property
    def table(self) -> GameTable | None:
        """Every sequence of decisions, tabulated; None of a random source, or where they are too many.

        Where they are too many, a warning says so, once a game.
        """
        if not self.source.deterministic:
            return None
        try:
            return tabulate(self.rules, self.problems, self.normaliser)
        except TooManyPathsError as error:
            # told of here, whoever asks, so that Python says it once a split
            warnings.warn(f"split={self.split!r}: {error}; the game is played without a table", stacklevel=1)
            return None

    @cached_property
    def rows(self) -> RowTable:
        """The table, arranged for many episodes at once; of a game that has one."""
        assert self.table is not None
        return RowTable(self.table, project=self.masked_action == "project")

    def tree(self, unknown: str) -> GameTable:
        """The table, for what cannot be done without it.

        Args:
            unknown: what nobody knows without it, for the message.

        Raises:
            NotApplicableError: a random source, or one with too many sequences of decisions.
        """
        if self.table is None:
            fault = "has too many paths for a table" if self.source.deterministic else "is random"
            raise NotApplicableError(f"source {self.source.name!r} {fault}: {unknown}")
        return self.table

    @property
    def most_decisions(self) -> int:
        """Most decisions of an episode: the horizon, or more where a model may fail before a step is written."""
        return self.rules.longest * (1 if self.source.deterministic else len(self.spec.models))

    @cached_property
    def budget_columns(self) -> tuple[int, int] | None:
        """Columns of the observation that show what is left of the budget, and that there is one."""
        names = self.spec.feature_names
        return (names.index("budget_left"), names.index("budget_known")) if "budget_left" in names else None

    def position_of(self, problem: object) -> int:
        """Position in the split of a problem given by id (``str``) or number (``int``).

        Raises:
            ValueError: the problem does not exist or belongs to another split.
        """
        found = None
        if isinstance(problem, str):
            found = self._ids.get(problem)
        elif isinstance(problem, int | np.integer) and not isinstance(problem, bool):
            matches = np.flatnonzero(self.problems == problem)
            found = int(matches[0]) if len(matches) else None
        if found is None:
            example = self.source.problem_ids(self.problems[:1])[0]
            raise ValueError(
                f"problem={problem!r} is not in split {self.split!r} of {self.source.name!r}; "
                f"allowed: its {len(self.problems)} problems, such as {example!r}"
            )
        return found

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {name: position for position, name in enumerate(self.source.problem_ids(self.problems))}

    def show_budget(
        self, observation: NDArray[np.float32], cost: Any, budget: Any, *, limited: bool = False
    ) -> NDArray[np.float32]:
        """The observations with the budget columns filled in (in place).

        Args:
            observation: ``float32[B, features]``, or ``float32[features]`` of one episode; budget columns 0.
            cost: normalised cost so far, ``float64[B]`` or a number.
            budget: budget, inf for none, ``float64[B]`` or a number.
            limited: whether it is known that each has a budget.
        """
        if self.budget_columns is not None:
            left, known = self.budget_columns
            if limited:
                observation[..., left] = budget - cost
                observation[..., known] = 1.0
                return observation
            given = budget < np.inf
            observation[..., left] = np.where(given, budget - cost, 0.0)
            observation[..., known] = given
        return observation
