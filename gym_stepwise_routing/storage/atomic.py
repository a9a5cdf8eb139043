"""Files that are either complete or not there: written under a temporary name, then renamed."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import sys
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

from gym_stepwise_routing.storage.locks import open_locked, sole_writer

__all__ = ["naming", "new_folder", "read_arrays", "replaced", "write_arrays", "write_json", "write_text"]

_MOST_BYTES = 1 << 28  # of the arrays that are read from one file
_HERE = -100
_EXCHANGE = 2
"""``AT_FDCWD`` and ``RENAME_EXCHANGE`` of Linux."""
_DAMAGED = (
    *(OSError, EOFError, LookupError, ArithmeticError, RuntimeError, TypeError, ValueError, SyntaxError, MemoryError),
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError),
)
"""What NumPy, zlib and Python raise for a damaged ``.npz`` file."""


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place if the block ends well; it always ends in ``.tmp``.

    What a kill left there is written over. Of two processes that write the same file, one waits for the other.

    Raises:
        OSError: it cannot be written; the message names ``path``.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with naming(path):
        lock = open_locked(temporary, wait=True)
        try:
            os.ftruncate(lock, 0)
            yield temporary
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        finally:
            os.close(lock)


@contextmanager
def new_folder(path: Path, *, overwrite: bool = False, error: type[ValueError] = ValueError) -> Iterator[Path]:
    """A temporary folder that becomes ``path`` if the block ends well; what a kill left of one before is removed.

    Args:
        path: the folder.
        overwrite: take the place of a folder that is there, in one step where the system can exchange two folders.
        error: what is raised where the place is taken.

    Raises:
        ValueError: ``path`` is a link, or is there already and not empty, without ``overwrite``; or another process is
            writing it.
        OSError: it cannot be written; the message names ``path``.
    """
    _check_free(path, overwrite, error)
    temporary, aside = (path.with_name(f".{path.name}.{end}.tmp") for end in ("new", "old"))
    with naming(path), sole_writer(path, error=error):
        if aside.exists() and not path.exists():  # a kill between the two steps of a system that has no exchange
            os.rename(aside, path)
        for left in (temporary, aside):
            shutil.rmtree(left, ignore_errors=True)
        try:
            temporary.mkdir()
            yield temporary
            _check_free(path, overwrite, error)
            if not (path.exists() and overwrite):
                os.rename(temporary, path)  # an empty folder gives way
            elif not _exchange(temporary, path):
                os.rename(path, aside)
                os.rename(temporary, path)
        except BaseException:
            if aside.exists() and not path.exists():
                os.rename(aside, path)
            raise
        finally:
            for left in (temporary, aside):
                shutil.rmtree(left, ignore_errors=True)


def _check_free(path: Path, overwrite: bool, error: type[ValueError]) -> None:
    if path.is_symlink():
        raise error(f"folder={str(path)!r} is a link; allowed: a folder itself")
    if path.exists() and (not path.is_dir() or (not overwrite and any(path.iterdir()))):
        raise error(f"folder={str(path)!r} exists and is not empty; allowed: a new folder, or an empty one")


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders change places in one step; False where the system or the file system cannot."""
    swap = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    if swap is None:
        return False
    if swap(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number), str(other))


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Faults of the disk name the file: those of writing into an open one do not."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


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
