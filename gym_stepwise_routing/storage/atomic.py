"""Files that are either complete or not there: written under a temporary name, then renamed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

__all__ = ["new_folder", "read_arrays", "read_json", "replaced", "to_record", "write_arrays", "write_json"]

Record = TypeVar("Record")


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place if the block ends well."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A temporary folder that becomes ``path`` if the block ends well.

    Raises:
        ValueError: ``path`` is there already and not empty; nothing is overwritten.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ValueError(f"folder={str(path)!r} exists and is not empty; allowed: a new folder, or an empty one")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        yield temporary
        temporary.chmod(0o755)  # mkdtemp's folders are private
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_json(path: Path, content: object) -> None:
    """Write ``content`` as indented JSON."""
    with replaced(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def write_arrays(path: Path, arrays: Mapping[str, Any], *, compressed: bool = False) -> None:
    """Write arrays, and what becomes one, to an ``.npz`` file."""
    with replaced(path) as temporary, temporary.open("wb") as file:
        (np.savez_compressed if compressed else np.savez)(file, **arrays)


@contextmanager
def read_arrays(path: Path, what: str, part: str | None = None) -> Iterator[dict[str, NDArray[Any]]]:
    """The arrays of an ``.npz`` file; no code of it is run.

    Args:
        path: the file.
        what: what the block takes it for, such as ``policy network``.
        part: only the arrays whose names begin with ``part/``, which is left out; all if None.

    Raises:
        ValueError: the file is missing or damaged, has no such part, or the block finds that it is something else.
    """
    start = "" if part is None else f"{part}/"
    try:
        file = np.load(path, allow_pickle=False)
        if not isinstance(file, NpzFile):
            raise ValueError("it holds a single array")
        with file:
            stored = {name.removeprefix(start): file[name] for name in file.files if name.startswith(start)}
        if foreign := [name for name, array in stored.items() if not isinstance(array, np.ndarray)]:
            raise ValueError(f"{foreign[0]!r} in it is no array")
        if not stored:
            raise ValueError(f"it has nothing named {start!r}")
        yield stored
    except (OSError, EOFError, KeyError, IndexError, RuntimeError, zipfile.BadZipFile, zlib.error, ValueError) as error:
        raise ValueError(f"{path} is no {what}: {error}") from error


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        ValueError: no such file, or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def to_record(content: Any, kind: type[Record], where: Path) -> Record:
    """A dataclass from the dictionary that ``dataclasses.asdict`` and JSON made of it; lists become tuples.

    Raises:
        ValueError: other fields than those of ``kind``; the message names the file ``where``.
    """
    names = sorted(field.name for field in fields(kind))  # type: ignore[arg-type]
    if not isinstance(content, dict) or sorted(content) != names:
        found = sorted(content) if isinstance(content, dict) else type(content).__name__
        raise ValueError(f"{where} has {found}; allowed: {names}")
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in content.items()})
