"""Columns of the Parquet files of a bank, and how such a file is opened: hash first.

``problems.parquet`` has a row a problem, ``nodes.parquet`` and ``texts.parquet`` a row a node, in the order of the
recording; the nodes of a problem are one block. ``-1`` in an index column means "none".
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from gym_stepwise_routing.banks.manifest import FileEntry
from gym_stepwise_routing.errors import BankError
from gym_stepwise_routing.types import QUESTION, TOKEN_CLASS_FIGURES

__all__ = [
    "ANSWERS",
    "LATER",
    "RAW_FIGURES",
    "RowError",
    "bank_schemas",
    "check_file",
    "check_unpacked",
    "open_table",
    "reading",
    "without_absent",
]

RAW_FIGURES = (
    "logprob_sum",
    "logprob_min",
    "entropy_mean",
    "entropy_max",
    "entropy_first",
    "margin_first",
    "margin_mean",
    "margin_min",
    "top1_mean",
)
"""Confidence figures as they were recorded, in the order of the JSON Lines form (see ``docs/banks.md``)."""
LATER: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "texts.parquet": (("ending",),),
    "nodes.parquet": (("propensity",), TOKEN_CLASS_FIGURES),
}
"""Columns that came later, in groups, by file: a bank without a value in a group is written without it, and keeps its
hash."""
ANSWERS = ("context_tokens", "answer_error", "answer_rows", "answer_repeat")
"""Columns of a bank whose steps an environment answers: all input tokens of the call that wrote the step; whether the
answer is an error (or the step held no action); rows of the answer, null where it is no table; whether the trace has
taken the same action before. Null where nothing was recorded."""
_MOST_UNPACKED, _ALWAYS_UNPACKED = 2000, 1 << 26  # times the file's size, and bytes


class RowError(ValueError):
    """A fault of one row. Whoever knows the file turns it into a ``BankError``.

    Args:
        table: which table it is in.
        row: which row it is in.
        fault: what is wrong, and what is allowed.
    """

    def __init__(self, table: Literal["problems", "nodes"], row: int, fault: str) -> None:
        super().__init__(f"{table} row {row}: {fault}")
        self.table = table
        self.row = row
        self.fault = fault


def bank_schemas(models: int, *, answered: bool = False) -> Mapping[str, pa.Schema]:
    """Schema of each file of a bank with that many models; a file may lack :data:`LATER`.

    Args:
        models: size of the pool.
        answered: an environment answered the steps, see :data:`ANSWERS`.
    """

    def required(name: str, kind: pa.DataType) -> pa.Field[Any]:
        return pa.field(name, kind, nullable=False)

    problems = [
        required("dataset", pa.string()),
        required("split", pa.string()),  # official split
        required("index", pa.int32()),  # row of the official file
        required("question_sha256", pa.string()),
        required("answer", pa.string()),
        required("prompt_tokens", pa.list_(required("item", pa.int32()))),  # one figure for all models, or one a model
        required("bank_split", pa.string()),
        required("root", pa.int32()),
        *(pa.field(name, pa.int32()) for name in QUESTION),
    ]
    nodes = [
        required("problem", pa.int32()),
        required("id", pa.int32()),
        required("parent", pa.int32()),
        required("depth", pa.int32()),
        required("model", pa.int32()),
        required("tokens", pa.int32()),
        pa.field("first_step_tokens", pa.int32()),
        *(pa.field(name, pa.float64()) for name in RAW_FIGURES),
        required("terminal", pa.bool_()),
        pa.field("correct", pa.bool_()),
        pa.field("same_as", pa.int32()),
        pa.field("verifier_score", pa.float64()),
        *(required(f"child_{model}", pa.int32()) for model in range(models)),
    ]
    kinds = (pa.int32(), pa.bool_(), pa.int32(), pa.bool_())
    nodes += [pa.field(name, kind) for name, kind in zip(ANSWERS, kinds, strict=True)] if answered else []
    nodes.append(pa.field("propensity", pa.float64()))
    nodes += [pa.field(name, pa.int32() if name.endswith("_tokens") else pa.float64()) for name in TOKEN_CLASS_FIGURES]
    texts = [pa.field(name, pa.string()) for name in ("text", "final_answer", "ending")]
    files = {"problems.parquet": problems, "nodes.parquet": nodes, "texts.parquet": texts}
    return {name: pa.schema(columns) for name, columns in files.items()}


def without_absent(file: str, schema: pa.Schema, there: Collection[str]) -> pa.Schema:
    """The schema of a file without the groups of :data:`LATER` of which none of the columns ``there`` is one."""
    absent = {name for group in LATER.get(file, ()) if not set(group) & set(there) for name in group}
    return pa.schema([field for field in schema if field.name not in absent])


def check_file(path: Path, entry: FileEntry, *, verify: bool) -> None:
    """Check a file that is not read yet; its bytes pass through a small buffer and take no memory.

    Args:
        path: the file.
        entry: what the manifest says of it.
        verify: check size and SHA-256, not only that it is there.

    Raises:
        BankError: missing file, other size or hash; the message names the file.
    """
    _check_size(path, entry, verify=verify)
    if verify:
        with path.open("rb") as file:
            _check_digest(path, entry, hashlib.file_digest(file, "sha256").hexdigest())


def _check_size(path: Path, entry: FileEntry, *, verify: bool) -> None:
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise BankError(f"{path}: the file is missing") from None
    if verify and size != entry.bytes:
        raise BankError(f"{path}: the file has {size} bytes, the manifest says {entry.bytes}")


def _check_digest(path: Path, entry: FileEntry, digest: str) -> None:
    if digest != entry.sha256:
        raise BankError(f"{path}: the file's sha256 is {digest}, the manifest says {entry.sha256}")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever goes wrong with a Parquet file in the block becomes one error.

    Raises:
        BankError: the file is damaged, is none, or unpacks to far more than it holds; the message names it.
    """
    try:
        yield
    except (BankError, RowError):
        raise
    except FileNotFoundError:
        raise BankError(f"{path}: the file is missing") from None
    except (pa.ArrowException, OSError, ValueError, TypeError, LookupError, ArithmeticError) as error:
        raise BankError(f"{path}: not a Parquet file ({error})") from None


def check_unpacked(metadata: pq.FileMetaData, size: int) -> None:
    """Refuse a Parquet file that declares to unpack to far more than the ``size`` bytes that it has.

    Raises:
        ValueError: it does; in a block of :func:`reading` the message names the file.
    """
    declared = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
    if declared > max(_MOST_UNPACKED * size, _ALWAYS_UNPACKED):
        raise ValueError(f"{size} bytes that unpack to {declared}; allowed: {_MOST_UNPACKED} times as many")


class MappedTable(pq.ParquetFile):  # type: ignore[misc]
    """A Parquet file in mapped memory."""

    def __init__(self, mapped: mmap.mmap) -> None:
        super().__init__(pa.BufferReader(pa.py_buffer(mapped)))
        self._mapped = mapped

    def forget(self) -> None:
        """Let go of the pages that were read: they count as memory of the process, and are read again if need be."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._mapped.madvise(mmap.MADV_DONTNEED)


def _mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


@contextmanager
def open_table(path: Path, entry: FileEntry, schema: pa.Schema, *, verify: bool) -> Iterator[MappedTable]:
    """Open one Parquet file of a bank, to be read in the block; the bytes that are hashed are those that are read.

    Args:
        path: the file.
        entry: what the manifest says of it.
        schema: the columns it must have.
        verify: check size and SHA-256.

    Raises:
        BankError: missing file, other size, hash, columns or number of rows, or damage that shows only when it is
            read; the message names the file.
    """
    _check_size(path, entry, verify=verify)
    with reading(path):
        mapped = _mapped(path)
        if verify:
            _check_digest(path, entry, hashlib.sha256(mapped).hexdigest())
        table = MappedTable(mapped)
        table.forget()
        check_unpacked(table.metadata, len(mapped))
        schema = without_absent(path.name, schema, table.schema_arrow.names)
        if not table.schema_arrow.equals(schema):
            found = {(field.name, str(field.type)) for field in table.schema_arrow}
            wanted = {(field.name, str(field.type)) for field in schema}
            raise BankError(f"{path}: wrong columns; differing: {sorted(found ^ wanted) or 'order or nullability'}")
        if table.metadata.num_rows != entry.rows:
            raise BankError(f"{path}: the file has {table.metadata.num_rows} rows, the manifest says {entry.rows}")
        yield table
