"""The decision log: one JSON line a request, rotated by size, synced to disk in batches, never in a stream's way."""

from __future__ import annotations

import json
import logging
import os
from contextlib import ExitStack
from io import FileIO
from itertools import pairwise
from pathlib import Path
from typing import Any

from gym_stepwise_routing.serving.background import BatchWorker
from gym_stepwise_routing.serving.pool_config import LogConfig
from gym_stepwise_routing.storage.locks import sole_writer

__all__ = ["DecisionLog"]

_LOGGER = logging.getLogger("gym_stepwise_routing.serving")


class DecisionLog:
    """Lines of JSON in ``path``; older ones in ``path.1`` (the newest of them) to ``path.N``.

    Args:
        config: where, and when it is rotated and synced.
        first: the first record of every file, and the first of this process in a file that is there already.

    One process writes it, in whole lines: what a full disk took of one is taken back; a kill leaves at most half of
    the last.

    Raises:
        ValueError: the file cannot be written, or another process writes it.
    """

    def __init__(self, config: LogConfig, first: dict[str, Any]) -> None:
        self._config = config
        self._first = _line(first)
        self._refused = 0
        path = config.path
        try:
            with ExitStack() as stack:
                stack.enter_context(sole_writer(path))
                self._file = stack.enter_context(_appended(path))
                if self._size and not _ends_a_line(path):  # a process was killed while it wrote
                    self._append(b"\n")
                self._write_line(self._first)
                self._held = stack.pop_all()
        except OSError as error:
            raise ValueError(f"log.path={str(path)!r}: {error.strerror}; allowed: a file to write to") from None
        self._worker: BatchWorker[dict[str, Any]] = BatchWorker(
            "decision-log", self._write, seconds=config.sync_seconds
        )

    @property
    def texts(self) -> bool:
        """Whether questions and answers belong in it."""
        return self._config.texts

    def put(self, record: dict[str, Any]) -> None:
        """Hand over a record; never waits."""
        self._worker.put(record)

    @property
    def lost(self) -> int:
        """Records that are not in the file: too many were waiting, or the disk refused them."""
        return self._worker.dropped + self._worker.failed + self._refused

    def close(self) -> None:
        """Write what is waiting, and close the file."""
        self._worker.close()
        self._file.close()
        self._held.close()

    def _write(self, batch: list[dict[str, Any]]) -> None:
        for line in map(_line, batch):
            try:
                self._write_line(line)
            except OSError as error:  # the next record may be shorter, or the disk emptier
                self._refused += 1
                _LOGGER.error("%s: a record is lost: %s", self._config.path, error.strerror)
        os.fsync(self._file.fileno())

    def _write_line(self, line: bytes) -> None:
        size = self._size
        if size > len(self._first) and size + len(line) > self._config.max_bytes:
            self._rotate()
        if self._size == 0 and line is not self._first:
            self._append(self._first)
        self._append(line)

    def _append(self, line: bytes) -> None:
        start, rest = self._size, memoryview(line)
        try:
            while rest:  # a nearly full disk takes a part, and refuses the rest
                rest = rest[self._file.write(rest) :]
        except OSError:
            os.ftruncate(self._file.fileno(), start)
            raise

    @property
    def _size(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def _rotate(self) -> None:
        os.fsync(self._file.fileno())
        path = self._config.path
        numbered = [path.with_name(f"{path.name}.{number}") for number in range(1, self._config.keep + 1)]
        older: list[Path] = [path, *numbered]
        for source, target in reversed(list(pairwise(older))):
            if source.exists():
                os.replace(source, target)
        fresh = _appended(path)
        self._file.close()
        self._file = fresh


def _appended(path: Path) -> FileIO:
    return path.open("ab", buffering=0)  # a buffer would keep what a full disk refused, and write it later


def _line(record: dict[str, Any]) -> bytes:
    return (json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"
