"""Rows of JSON Lines, plain or packed by gzip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gym_stepwise_routing.storage.lines import numbered_lines
from gym_stepwise_routing.storage.strict_json import parse_json

__all__ = ["json_lines", "numbered_rows"]


def json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file, blank lines left out.

    Raises:
        ValueError: the file cannot be read, or a line is no JSON object; the message names file and line.
    """
    return (row for _, row in numbered_rows(path))


def numbered_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The same with the line of each, from 1."""
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        row = parse_json(line, f"{path}: line {number}")
        if not isinstance(row, dict):
            raise ValueError(f"{path}: line {number} is no JSON object")
        yield number, row
