"""Recorded trees on disk: JSON Lines to which whole lines are appended, so that a kill at any moment loses no tree."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gym_stepwise_routing.datasets.problem import problem_id
from gym_stepwise_routing.errors import BankError
from gym_stepwise_routing.storage.atomic import naming
from gym_stepwise_routing.storage.lines import numbered_lines
from gym_stepwise_routing.storage.strict_json import parse_json

__all__ = ["TreeStore", "read_trees"]


def read_trees(path: Path, *, whole_lines: bool = False) -> Iterator[dict[str, Any]]:
    """Trees of one file, in order.

    Args:
        path: the file.
        whole_lines: pass over a last line without its end, which a kill has cut short.

    Raises:
        BankError: the file cannot be read, or a line is not a JSON object with a problem and nodes.
    """
    for number, line in numbered_lines(path, BankError):  # of bytes: a kill may cut a line inside a character
        if whole_lines and not line.endswith(b"\n"):
            return
        tree = parse_json(line, f"{path}: line {number}", BankError)
        if not _is_tree(tree):
            raise BankError(f"{path}: line {number} is no routing tree")
        yield tree


_IDENTITY = {"dataset": str, "split": str, "index": int}


def _is_tree(value: Any) -> bool:
    """Whether it is as much of a tree as is needed to tell which; the bank checks the rest."""
    problem = value.get("problem") if isinstance(value, dict) else None
    if not isinstance(problem, dict) or not isinstance(value.get("nodes"), list):
        return False
    return all(type(problem.get(key)) is kind for key, kind in _IDENTITY.items())


class TreeStore:
    """One file of trees, appended to by one process.

    A tree is one line, written without a buffer and flushed to the disk before :meth:`append` returns. A line that a
    kill or a full disk cut short is dropped when the file is opened again.

    Args:
        path: file; created if absent.

    Raises:
        BankError: another process has the file open, or a complete line is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = path.open("ab", buffering=0)  # a buffer would keep what a full disk refused, and write it later
        self._lock()
        self._drop_partial_line()
        self.ids = {problem_id(tree["problem"]) for tree in read_trees(path)}

    def append(self, tree: dict[str, Any]) -> None:
        """Add a complete tree.

        Raises:
            BankError: the problem is in the file already.
            OSError: the disk is full or gone; what was written of the line is taken back.
        """
        identity = problem_id(tree["problem"])
        if identity in self.ids:
            raise BankError(f"{self.path}: problem {identity} is recorded already")
        line = json.dumps(tree, ensure_ascii=False, separators=(", ", ": ")).encode() + b"\n"
        start = os.fstat(self._stream.fileno()).st_size
        try:
            with naming(self.path):
                rest = memoryview(line)
                while rest:  # a nearly full disk takes a part, and refuses the rest
                    rest = rest[self._stream.write(rest) :]
                os.fsync(self._stream.fileno())
        except OSError:
            os.ftruncate(self._stream.fileno(), start)
            raise
        self.ids.add(identity)

    def close(self) -> None:
        """Close the file and let other processes have it."""
        self._stream.close()

    def _lock(self) -> None:
        import fcntl

        try:
            fcntl.flock(self._stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._stream.close()
            raise BankError(f"{self.path}: another recording writes to this file") from None

    def _drop_partial_line(self) -> None:
        content = self.path.read_bytes()
        if content and not content.endswith(b"\n"):
            os.ftruncate(self._stream.fileno(), content.rfind(b"\n") + 1)
            self._stream.seek(0, os.SEEK_END)
