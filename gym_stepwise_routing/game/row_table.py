"""A table, arranged for many episodes at once: where every action leads, and one look-up for each figure."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.game.tabulation import GameTable

__all__ = ["RowTable", "project_actions"]


class RowTable:
    """Columns of a :class:`GameTable`, those that follow from them, and the row after each action.

    Args:
        table: the table.
        project: whether a masked action is projected; otherwise it leads nowhere, and whoever takes one is told so by
            the environment.

    Attributes:
        landing: ``int64[N * K]`` row after each action: its own where no action is left, or a masked one is taken.
        terminal: ``bool[N]`` the trace has ended.
        right: ``bool[N]`` it has, with the right answer.
        stuck: ``bool[N]`` no action is left.
        complete: whether every trace without an action has ended.
        heeds_masks: whether some action has to be looked up in the masks before it is taken.
    """

    def __init__(self, table: GameTable, *, project: bool) -> None:
        self._made_of = table, project
        rows, models = table.child.shape
        actions = np.tile(np.arange(models), (rows, 1))
        if project:
            actions = np.stack([project_actions(column, table.mask) for column in actions.T], axis=1)
        child = np.take_along_axis(table.child.astype(np.int64), actions, axis=1)
        self.landing = np.where(child >= 0, child, np.arange(rows)[:, None]).ravel()
        self.heeds_masks = not project and not bool((table.mask.all(axis=1) | table.stuck).all())
        parent = np.arange(rows)
        came_from, action = np.nonzero(table.child >= 0)
        parent[table.child[came_from, action]] = came_from
        self.terminal, self.stuck, self.right = table.terminal, table.stuck, table.terminal & table.correct
        self._columns: dict[str, NDArray[Any]] = {
            "observation": table.observation,
            "cost": table.cost,
            "raw_cost": table.raw_cost,
            "step_cost": table.cost - table.cost[parent],
            "step_raw_cost": table.raw_cost - table.raw_cost[parent],
            "ledger": table.ledger,
            "mask": table.mask,
            "depth": table.depth,
            "terminal": table.terminal,
            "correct": table.correct,
            "stuck": self.stuck,
            "capped": table.capped,
            "problem": table.problems[table.problem],
        }
        self.complete = bool(table.terminal[table.stuck].all())

    def __reduce__(self) -> tuple[Any, ...]:
        """All of it follows from the table."""
        return _arranged, self._made_of

    def __deepcopy__(self, memo: dict[int, object]) -> RowTable:
        """Nothing in it changes: copies of an environment share it, as they share the table."""
        return self

    def look_up(self, name: str, row: NDArray[np.int64]) -> NDArray[Any]:
        """A figure at each of the rows, as a fresh array.

        Args:
            name: an attribute of ``Standing``; ``step_cost`` or ``step_raw_cost``, the cost of the step to the row
                (0 at a root); or ``problem``, its number in the source.
            row: ``int64[n]``.

        Raises:
            AttributeError: no such figure.
        """
        column = self._columns.get(name)
        if column is not None:
            return column.take(row, 0)
        if name == "failed":
            return np.zeros(len(row), dtype=np.bool_)
        if name == "reason":
            return np.full(len(row), "", dtype=object)
        raise AttributeError(name)


def _arranged(table: GameTable, project: bool) -> RowTable:
    return RowTable(table, project=project)


def project_actions(actions: NDArray[np.int64], masks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Replace masked actions by the next larger allowed one, or else by the largest allowed one (if there is any)."""
    models = masks.shape[1]
    larger = masks & (np.arange(models) >= actions[:, None])
    largest = models - 1 - np.argmax(masks[:, ::-1], axis=1)
    projected: NDArray[np.int64] = np.where(larger.any(axis=1), np.argmax(larger, axis=1), largest)
    return projected
