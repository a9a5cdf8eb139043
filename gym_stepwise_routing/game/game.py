"""A game: source, split, mode, observation, cost unit and budget, checked and made ready to be played."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.costs.units import CostUnit
from gym_stepwise_routing.errors import NotApplicableError, check_choice, is_number
from gym_stepwise_routing.game.config import MASKED_ACTIONS, Budget, MaskedAction, RoutingSpec, check_budget
from gym_stepwise_routing.game.normaliser import always_largest_cost
from gym_stepwise_routing.game.tabulation import GameTable, tabulate
from gym_stepwise_routing.game.transitions import Rules
from gym_stepwise_routing.sources import resolve
from gym_stepwise_routing.types import DEFAULT_BLOCKS, MODES, SPLITS, Block, Mode, Split

__all__ = ["Game"]


class Game:
    """One game, ready to be played by environments and by the evaluation.

    Args:
        source: a :class:`StepSource`, a bank, the name of a bundled bank or simulator preset, or the path of a bank.
        split: ``train``, ``calibration`` or ``test``.
        mode: ``route``, ``escalate`` or ``regenerate``; see :class:`gym_stepwise_routing.game.transitions.Rules`.
        cost_unit: ``flops``, ``large_tokens``, ``dollars`` or ``latency``; see :mod:`gym_stepwise_routing.costs.units`.
        observation: blocks of the observation; see :mod:`gym_stepwise_routing.game.observation`.
        budget: cost allowed an episode, where always-largest costs 1 on average; a pair (low, high) is drawn from
            uniformly at each reset; None for no budget.
        hard_budget: an episode whose cost exceeds the budget is truncated without reward. If False the budget is only
            observed.
        masked_action: what a masked action does: ``project`` to the next larger available model (the largest available
            one if there is none), or ``error``. A router without masks may choose one in good faith, so games project
            unless told otherwise; the environments, whose caller has the masks, raise an error instead.
        normaliser: cost of always-largest in the cost unit. None: measured on the split (:func:`always_largest_cost`).

    Raises:
        ValueError: any argument out of range; the message names it, its value and what is allowed.
        NotApplicableError: the source has not recorded this mode, or the verifier block is asked of a pool without one.
    """

    def __init__(
        self,
        source: object = "gsm8k-qwen2.5-coder",
        *,
        split: Split = "train",
        mode: Mode = "route",
        cost_unit: CostUnit = "flops",
        observation: Sequence[Block] = DEFAULT_BLOCKS,
        budget: Budget = None,
        hard_budget: bool = False,
        masked_action: MaskedAction = "project",
        normaliser: float | None = None,
    ) -> None:
        check_choice("split", split, SPLITS)
        check_choice("mode", mode, MODES)
        check_choice("masked_action", masked_action, MASKED_ACTIONS)
        self.source = resolve(source)
        if mode not in self.source.modes:
            raise NotApplicableError(
                f"mode={mode!r} is not recorded in {self.source.kind} {self.source.name!r}; "
                f"allowed: {', '.join(map(repr, self.source.modes))}"
            )
        self.split: Split = split
        self.rules = Rules(self.source, mode=mode, observation=observation, cost_unit=cost_unit)
        self.cost_unit: CostUnit = cost_unit
        self.budget = check_budget(budget)
        if not isinstance(hard_budget, bool | np.bool_):
            raise ValueError(f"hard_budget={hard_budget!r}; allowed: True or False")
        if hard_budget and budget is None:
            raise ValueError("hard_budget=True with budget=None; allowed: a budget, or hard_budget=False")
        self.hard_budget = bool(hard_budget)
        self.masked_action: MaskedAction = masked_action
        self.problems = self.source.problems(split)
        if len(self.problems) == 0:
            raise ValueError(f"split={split!r}: {self.source.kind} {self.source.name!r} has no problem in it")
        self.normaliser = self._normaliser(normaliser)

    def _normaliser(self, given: float | None) -> float:
        if given is None:
            if self.source.kind == "live":
                raise ValueError(
                    "normaliser=None with a live source; allowed: the cost of always-largest, e.g. that of a bank"
                )
            return always_largest_cost(self.source, self.problems, self.cost_unit)
        if not (is_number(given) and math.isfinite(given) and given > 0):
            raise ValueError(f"normaliser={given!r}; allowed: a finite number > 0, or None")
        return float(given)

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
        )

    @cached_property
    def table(self) -> GameTable | None:
        """Every sequence of decisions, tabulated, if the source is deterministic."""
        return tabulate(self.rules, self.problems, self.normaliser) if self.source.deterministic else None

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

    def with_budget(
        self, observation: NDArray[np.float32], cost: NDArray[np.float64], budgets: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """The observations ``float32[B, features]`` with the budget columns filled in (in place)."""
        given = np.isfinite(budgets)
        if self.budget_columns is not None and given.any():
            left, known = self.budget_columns
            observation[:, left] = np.where(given, budgets - cost, 0.0)
            observation[:, known] = given
        return observation

    def draw_budgets(self, size: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Budgets of ``size`` episodes, inf where there is none."""
        if isinstance(self.budget, tuple):
            return rng.uniform(*self.budget, size=size)
        return np.full(size, np.inf if self.budget is None else self.budget)
