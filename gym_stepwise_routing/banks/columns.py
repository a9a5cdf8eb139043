"""Arrow columns as numpy arrays.

``ChunkedArray.to_numpy`` and ``pyarrow.scalar`` import pandas wherever it is installed, which takes longer and more
memory than opening a bank of a million nodes. These few types need only the buffers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["to_numpy"]

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
