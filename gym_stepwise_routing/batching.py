"""Structs of arrays: frozen dataclasses whose arrays all have one row per trace."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Self

from numpy.typing import NDArray

__all__ = ["Batch"]


def _take(value: Any, rows: NDArray[Any]) -> Any:
    if isinstance(value, dict):
        return {key: part[rows] for key, part in value.items()}
    if isinstance(value, Batch):
        return value.take(rows)
    return None if value is None else value[rows]


def _put(value: Any, rows: NDArray[Any], other: Any) -> Any:
    if isinstance(value, dict):
        return {key: _put(part, rows, other[key]) for key, part in value.items()}
    if isinstance(value, Batch):
        return value.put(rows, other)
    if value is None or other is None:
        return None
    merged: NDArray[Any] = value.copy()
    merged[rows] = other
    return merged


class Batch:
    """Mixin for a dataclass of arrays with equally many rows (or dicts of such arrays, or further batches, or None)."""

    __slots__ = ()

    def take(self, rows: NDArray[Any]) -> Self:
        """The rows ``rows`` (indices or a mask) as a batch of their own."""
        return type(self)(*(_take(getattr(self, f.name), rows) for f in fields(self)))  # type: ignore[arg-type]

    def put(self, rows: NDArray[Any], other: Self) -> Self:
        """A copy in which ``rows`` are those of ``other``, which has as many rows as ``rows`` selects."""
        return type(self)(*(_put(getattr(self, f.name), rows, getattr(other, f.name)) for f in fields(self)))  # type: ignore[arg-type]

    def __len__(self) -> int:
        first = getattr(self, fields(self)[0].name)  # type: ignore[arg-type]
        return len(first)
