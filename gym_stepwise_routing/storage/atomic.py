"""Files that are either complete or not there: written under a temporary name, then renamed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

__all__ = ["new_folder", "read_arrays", "replaced", "write_arrays", "write_json", "write_text"]

_MOST_BYTES = 1 << 28  # of the arrays that are read from one file
_DAMAGED = (
    *(OSError, EOFError, LookupError, ArithmeticError, RuntimeError, TypeError, ValueError, SyntaxError, MemoryError),
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError),
)
"""What NumPy, zlib and Python raise for a damaged ``.npz`` file."""


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place if the block ends well; it always ends in ``.tmp``."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A temporary folder that becomes ``path`` if the block ends well.

    Args:
        path: the folder.
        overwrite: take the place of a folder that is there.

    Raises:
        ValueError: ``path`` is there already and not empty, without ``overwrite``.
    """
    if not overwrite and path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ValueError(f"folder={str(path)!r} exists and is not empty; allowed: a new folder, or an empty one")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    aside = temporary.with_suffix(".old.tmp")
    try:
        yield temporary
        temporary.chmod(0o755)  # mkdtemp's folders are private
        # A folder cannot be replaced in one step: the old one is set aside, and put back if the new one fails.
        if path.exists():
            os.replace(path, aside)
        try:
            os.replace(temporary, path)
        except OSError:
            if aside.exists():
                os.replace(aside, path)
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8 with line feeds; folders above are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, content: object, *, indent: int | None = 2) -> None:
    """Write ``content`` as JSON; what JSON has no word for is an error."""
    write_text(path, json.dumps(content, indent=indent, ensure_ascii=False, allow_nan=False) + "\n")


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
            assert file.zip is not None  # it is None once the file is closed
            size = sum(info.file_size for info in file.zip.infolist() if info.filename.startswith(start))
            if size > _MOST_BYTES:
                raise ValueError(f"its arrays have {size} bytes; allowed: {_MOST_BYTES}")
            stored = {name.removeprefix(start): file[name] for name in file.files if name.startswith(start)}
        if foreign := [name for name, array in stored.items() if not isinstance(array, np.ndarray)]:
            raise ValueError(f"{foreign[0]!r} in it is no array")
        if not stored:
            raise ValueError(f"it has nothing named {start!r}")
        yield stored
    except _DAMAGED as error:
        raise ValueError(f"{path} is no {what}: {error}") from error
