"""Lines of a file, plain or gzipped, as bytes: the one way in which JSON Lines are read."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

__all__ = ["MOST_LINE", "numbered_lines", "unpacked"]

Error = type[ValueError]

MOST_LINE = 1 << 25
"""Bytes of a line that is read: as JSON it takes less than 1 GB, whatever it holds."""


def numbered_lines(path: Path, error: Error = ValueError) -> Iterator[tuple[int, bytes]]:
    """Number, from 1, and bytes of every line, with the end that it has.

    Args:
        path: the file; gzipped if its name ends in ``.gz``.
        error: what is raised.

    Raises:
        ValueError: ``error``: the file is missing, cannot be read, is damaged, or has a line of more than
            :data:`MOST_LINE` bytes; the message names file and line.
    """
    number = 1
    with unpacked(path, error, lambda: f"line {number}: ") as file:
        while line := file.readline(MOST_LINE + 1):
            if len(line) > MOST_LINE:
                raise error(f"{path}: line {number} has more than {MOST_LINE} bytes; allowed: {MOST_LINE}")
            yield number, line
            number += 1


@contextmanager
def unpacked(path: Path, error: Error = ValueError, place: Callable[[], str] = str) -> Iterator[IO[bytes]]:
    """A file to read from, unpacked on the way if its name ends in ``.gz``.

    Args:
        path: the file.
        error: what is raised.
        place: where in the file one is, for messages.

    Raises:
        ValueError: ``error``: it is missing, cannot be read, or is damaged; the message names it.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            yield file  # type: ignore[misc]
    except FileNotFoundError:
        raise error(f"{path}: the file is missing") from None
    except (EOFError, OSError, zlib.error) as fault:
        raise error(f"{path}: {place()}cannot be read ({getattr(fault, 'strerror', None) or fault})") from None
