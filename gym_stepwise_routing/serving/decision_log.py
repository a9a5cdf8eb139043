"""The decision log: one JSON line a request, rotated by size, synced to disk in batches, never in a stream's way."""

from __future__ import annotations

import json
import os
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

from gym_stepwise_routing.serving.background import BatchWorker
from gym_stepwise_routing.serving.pool_config import LogConfig

__all__ = ["DecisionLog"]


class DecisionLog:
    """Lines of JSON in ``path``; older ones in ``path.1`` (the newest of them) to ``path.N``.

    Args:
        config: where, and when it is rotated and synced.

    Raises:
        ValueError: the file cannot be written.
    """

    def __init__(self, config: LogConfig) -> None:
        self._config = config
        try:
            config.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = _opened(config.path)
        except OSError as error:
            raise ValueError(f"log.path={str(config.path)!r}: {error.strerror}; allowed: a file to write to") from None
        self._worker: BatchWorker[dict[str, Any]] = BatchWorker(
            "decision-log", self._write, seconds=config.sync_seconds
        )

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
            line = (json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n").encode()
            if self._file.tell() and self._file.tell() + len(line) > self._config.max_bytes:
                self._rotate()
            self._file.write(line)
        self._sync()

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
        self._file = _opened(path)


def _opened(path: Path) -> BinaryIO:
    """The file to append to; a last line that a crash has cut off stays alone."""
    file = path.open("ab+")
    if file.tell():
        file.seek(-1, os.SEEK_END)
        if file.read() != b"\n":
            file.write(b"\n")
    return file
