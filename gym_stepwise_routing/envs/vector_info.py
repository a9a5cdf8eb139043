"""Infos of the vector environment: dictionaries whose arrays are made when they are read.

Most loops read one or two of them a step, and making all would take longer than the step.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.game.episode_standing import Ending, PlayStanding, RowStanding, truncation_numbers
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.types import SOURCES

__all__ = ["BeganInfo", "StepInfo"]

_FIGURES = (
    "cost",
    "raw_cost",
    "spent",
    "budget",
    "bankrupt",
    "ledger",
    "action_mask",
    "problem",
    "source",
    "simulated",
    "failed",
    "truncated_by",
)
_NAMES = (*_FIGURES, *(f"_{name}" for name in _FIGURES))
_KNOWN = frozenset(_NAMES)


class _Info(dict[str, Any]):
    """A dictionary that lacks some of its values until somebody asks for them.

    What asks for one key gets that one; what asks for all (``len``, ``items``, ``==``, ``|``, ``pickle``, ...) makes
    all. Values that were set stay.
    """

    __slots__ = ("_budget", "_game", "_stands", "_whole")

    def __init__(self, game: Game, stands: RowStanding | PlayStanding, budget: NDArray[np.float64]) -> None:
        self._game = game
        self._stands = stands
        self._budget = budget
        self._whole = False

    def __missing__(self, name: str) -> Any:
        if self._whole or name not in _KNOWN:
            raise KeyError(name)
        value = np.ones(len(self._budget), dtype=np.bool_) if name[0] == "_" else getattr(self, f"_make_{name}")()
        self[name] = value
        return value

    def _all(self) -> dict[str, Any]:
        if not self._whole:
            values = {name: self[name] for name in _NAMES}
            values.update(dict.items(self))
            self._whole = True
            dict.clear(self)
            dict.update(self, values)
        return self

    def _make_spent(self) -> Any:
        return self._stands.cost.copy()  # the next step compares with cost and mask

    def _make_budget(self) -> Any:
        return self._budget.copy()

    def _make_ledger(self) -> Any:
        return self._stands.ledger.astype(np.int64, copy=False)

    def _make_action_mask(self) -> Any:
        return self._stands.mask.copy()

    def _make_problem(self) -> Any:
        return self._stands.problem

    def _make_source(self) -> Any:
        return np.full(len(self._budget), SOURCES.index(self._game.source.kind), dtype=np.uint8)

    def _make_simulated(self) -> Any:
        return np.full(len(self._budget), self._game.source.simulated, dtype=np.uint8)

    def _make_failed(self) -> Any:
        stands = self._stands
        failed = stands.failed if self._game.table is not None else stands.failed | (stands.reason != "")
        return failed.astype(np.uint8)

    def _make_bankrupt(self) -> Any:
        return np.zeros(len(self._budget), dtype=np.uint8)

    def _make_truncated_by(self) -> Any:
        return np.zeros(len(self._budget), dtype=np.uint8)

    def __contains__(self, name: object) -> bool:
        return dict.__contains__(self, name) or (not self._whole and name in _KNOWN)

    def __iter__(self) -> Iterator[str]:
        return dict.__iter__(self._all())

    def __reversed__(self) -> Iterator[str]:
        return dict.__reversed__(self._all())

    def __len__(self) -> int:
        return dict.__len__(self._all())

    def __eq__(self, other: object) -> bool:
        return dict.__eq__(self._all(), other)

    def __ne__(self, other: object) -> bool:
        return dict.__ne__(self._all(), other)

    def __repr__(self) -> str:
        return dict.__repr__(self._all())

    def __or__(self, other: Any) -> dict[str, Any]:  # type: ignore[override]
        whole: dict[str, Any] = {**self._all(), **other}
        return whole

    def __ror__(self, other: Any) -> dict[str, Any]:  # type: ignore[override]
        whole: dict[str, Any] = {**other, **self._all()}
        return whole

    def __delitem__(self, name: str) -> None:
        dict.__delitem__(self._all(), name)

    def __reduce__(self) -> tuple[Any, ...]:  # type: ignore[override]
        return dict, (dict(self._all()),)

    def keys(self) -> KeysView[str]:  # type: ignore[override]
        """See ``dict``."""
        return dict.keys(self._all())

    def values(self) -> ValuesView[Any]:  # type: ignore[override]
        """See ``dict``."""
        return dict.values(self._all())

    def items(self) -> ItemsView[str, Any]:  # type: ignore[override]
        """See ``dict``."""
        return dict.items(self._all())

    def get(self, name: str, default: Any = None) -> Any:  # type: ignore[override]
        """See ``dict``."""
        return self[name] if name in self else default  # noqa: SIM401 (that is this method)

    def setdefault(self, name: str, default: Any = None) -> Any:  # type: ignore[override]
        """See ``dict``."""
        return dict.setdefault(self._all(), name, default)

    def pop(self, *arguments: Any) -> Any:  # type: ignore[override]
        """See ``dict``."""
        return dict.pop(self._all(), *arguments)

    def popitem(self) -> tuple[str, Any]:
        """See ``dict``."""
        return dict.popitem(self._all())

    def copy(self) -> dict[str, Any]:
        """See ``dict``."""
        return dict(self._all())

    def clear(self) -> None:
        """See ``dict``."""
        self._whole = True
        dict.clear(self)


class BeganInfo(_Info):
    """Infos of episodes that have just begun, all of them or (SAME_STEP) some.

    Args:
        game: the game.
        stands: where the episodes stand.
        budget: ``float64[n]`` their budgets.
        costs: ``float64[n]`` what the step cost; or the infos of the step after which some began anew.
        more: further keys.
    """

    __slots__ = ("_costs",)

    def __init__(
        self,
        game: Game,
        stands: RowStanding | PlayStanding,
        budget: NDArray[np.float64],
        costs: NDArray[np.float64] | dict[str, Any],
        more: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(game, stands, budget)
        self._costs = costs
        dict.update(self, more or {})

    def _make_cost(self) -> Any:
        return self._costs["cost"] if isinstance(self._costs, dict) else self._costs

    def _make_raw_cost(self) -> Any:
        return self._costs["raw_cost"] if isinstance(self._costs, dict) else self._costs


class StepInfo(_Info):
    """Infos of a step.

    Args:
        game: the game.
        before: where the episodes stood.
        stands: where they stand.
        resets: ``int64[m]`` those of them that began anew instead of taking the step.
        end: whether and how they ended.
        ended: ``bool[n]`` whether they did, as the game sees it.
    """

    __slots__ = ("_before", "_end", "_ended", "_resets")

    def __init__(
        self,
        game: Game,
        before: RowStanding | PlayStanding,
        stands: RowStanding | PlayStanding,
        resets: NDArray[np.int64],
        end: Ending,
        ended: NDArray[np.bool_],
    ) -> None:
        super().__init__(game, stands, end.budget)
        self._before = before
        self._resets = resets
        self._end = end
        self._ended = ended

    def _make_cost(self) -> Any:
        return self._difference("cost")

    def _make_raw_cost(self) -> Any:
        return self._difference("raw_cost")

    def _difference(self, name: str) -> Any:
        if isinstance(self._stands, RowStanding):
            return getattr(self._stands, f"step_{name}")
        now, before = getattr(self._stands, name), getattr(self._before, name)
        if len(self._resets):
            before = before.copy()
            before[self._resets] = now[self._resets]
        return now - before

    def _make_bankrupt(self) -> Any:
        return (self._end.over & self._ended).astype(np.uint8)

    def _make_truncated_by(self) -> Any:
        if not self._end.truncated.any():
            return np.zeros(len(self._budget), dtype=np.uint8)
        return truncation_numbers(self._end, self._game.hard_budget)
