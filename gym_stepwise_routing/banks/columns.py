"""Arrow columns as numpy arrays.

``ChunkedArray.to_numpy`` and ``pyarrow.scalar`` import pandas wherever it is installed, and ``is_valid``, ``cast`` and
the like ``pyarrow.compute``: both take longer and more memory than a bank of a million nodes should. These few types
need only the buffers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["is_known", "to_floats", "to_lists", "to_numpy"]

_DTYPES: dict[pa.DataType, np.dtype[Any]] = {
    pa.int32(): np.dtype(np.int32),
    pa.float64(): np.dtype(np.float64),
    pa.bool_(): np.dtype(np.bool_),
}


def to_numpy(column: Any, missing: float | bool = 0) -> NDArray[Any]:
    """Values of an int32, float64 or boolean column, with ``missing`` where there is none.

    Args:
        column: a ``pyarrow.ChunkedArray``.
        missing: value of the same kind that stands for null.

    Returns:
        An array of the column's length and type; it may share the column's memory.
    """
    parts = [_chunk_to_numpy(chunk, missing) for chunk in column.chunks]
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([np.empty(0, dtype=_DTYPES[column.type]), *parts])


def is_known(column: Any) -> NDArray[np.bool_]:
    """Where a column has a value, ``bool[n]``."""
    parts = [_known(chunk) for chunk in column.chunks]
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, dtype=np.bool_), *parts])


def to_floats(column: Any) -> NDArray[np.float64]:
    """Values of an int32 or boolean column as ``float64[n]``, NaN where there is none."""
    return np.where(is_known(column), to_numpy(column).astype(np.float64), np.nan)


def to_lists(column: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lengths and items of a column of lists of integers without nulls, both ``int64``."""
    offsets = [_chunk_to_numpy(chunk.offsets, 0) for chunk in column.chunks]
    items = [  # flatten() would import pyarrow.compute
        _chunk_to_numpy(chunk.values, 0)[ends[0] : ends[-1]] for chunk, ends in zip(column.chunks, offsets, strict=True)
    ]
    none = np.empty(0, dtype=np.int64)
    return np.concatenate([none, *map(np.diff, offsets)]), np.concatenate([none, *items])


def _known(chunk: Any) -> NDArray[np.bool_]:
    validity = chunk.buffers()[0]
    if validity is None or chunk.null_count in (0, len(chunk)):
        return np.full(len(chunk), chunk.null_count == 0)
    return _bits(validity, chunk)


def _chunk_to_numpy(chunk: Any, missing: float | bool) -> NDArray[Any]:
    validity, data = chunk.buffers()
    if chunk.null_count == len(chunk):
        return np.full(len(chunk), missing, dtype=_DTYPES[chunk.type])
    values: NDArray[Any]
    if chunk.type == pa.bool_():
        values = _bits(data, chunk)
    else:
        values = np.frombuffer(data, dtype=_DTYPES[chunk.type])[chunk.offset : chunk.offset + len(chunk)]
    return values if chunk.null_count == 0 else np.where(_bits(validity, chunk), values, values.dtype.type(missing))


def _bits(buffer: Any, chunk: Any) -> NDArray[np.bool_]:
    bits = np.unpackbits(np.frombuffer(buffer, dtype=np.uint8), count=chunk.offset + len(chunk), bitorder="little")
    return bits[chunk.offset :].view(np.bool_)
