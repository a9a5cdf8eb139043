"""Rows of JSON Lines, plain or packed by gzip."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from gym_stepwise_routing.storage.strict_json import parse_json

__all__ = ["gzip_json_lines", "json_lines", "numbered_lines"]


def json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file, blank lines left out.

    Raises:
        ValueError: a line that is no JSON object; the message names file and line.
    """
    return (row for _, row in numbered_lines(path))


def numbered_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The same with the line of each, from 1."""
    with path.open(encoding="utf-8") as lines:
        yield from _objects(lines, path)


def gzip_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The same of a file that gzip has packed."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from (row for _, row in _objects(lines, path))


def _objects(lines: Iterable[str], path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        row = parse_json(line, f"{path}: line {number}")
        if not isinstance(row, dict):
            raise ValueError(f"{path}: line {number} is no JSON object")
        yield number, row
