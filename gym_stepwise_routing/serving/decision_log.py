"""The decision log: one JSON line a request, rotated by size, synced to disk in batches, never in a stream's way."""

from __future__ import annotations

import json
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

from gym_stepwise_routing.serving.background import BatchWorker
from gym_stepwise_routing.serving.pool_config import LogConfig

__all__ = ["DecisionLog"]


class DecisionLog:
    """Lines of JSON in ``path``; older ones in ``path.1`` (the newest of them) to ``path.N``.

    Args:
        config: where, and when it is rotated and synced.
        first: the first record of every file, and the first of this process in a file that is there already.

    Raises:
        ValueError: the file cannot be written.
    """

    def __init__(self, config: LogConfig, first: dict[str, Any]) -> None:
        self._config = config
        self._first = _line(first)
        try:
            config.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = config.path.open("ab")
            if self._file.tell() and not _ends_a_line(config.path):  # a process was killed while it wrote
                self._file.write(b"\n")
            self._write_line(self._first)
        except OSError as error:
            raise ValueError(f"log.path={str(config.path)!r}: {error.strerror}; allowed: a file to write to") from None
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
        return self._worker.dropped + self._worker.failed

    def close(self) -> None:
        """Write what is waiting, and close the file."""
        self._worker.close()
        self._file.close()

    def _write(self, batch: list[dict[str, Any]]) -> None:
        for record in batch:
            self._write_line(_line(record))
        self._sync()

    def _write_line(self, line: bytes) -> None:
        size = self._file.tell()
        if size > len(self._first) and size + len(line) > self._config.max_bytes:
            self._rotate()
        if self._file.tell() == 0 and line is not self._first:
            self._file.write(self._first)
        self._file.write(line)

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def _rotate(self) -> None:
        self._sync()
        self._file.close()
        path = self._config.path
        numbered = [path.with_name(f"{path.name}.{number}") for number in range(1, self._config.keep + 1)]
        older: list[Path] = [path, *numbered]
        for source, target in reversed(list(pairwise(older))):
            if source.exists():
                os.replace(source, target)
        self._file = path.open("ab")


def _line(record: dict[str, Any]) -> bytes:
    return (json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"
