"""Runs of one entry whose weights differ by noise alone: one training that is passed off as several.

Two trainings with other seeds begin with other weights and end far apart. Here each unit of a layer is held against
all units of the same layer of the other run, whatever their order, scale and sign: these change the arrays and not what
the network does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.leaderboard.entry import Artefact, Entry
from gym_stepwise_routing.leaderboard.faults import Fault
from gym_stepwise_routing.storage.atomic import read_arrays

__all__ = ["alike_faults", "is_one_training"]

_ALIKE = 0.99
"""Cosine of the weights of two units from which they count as one."""
_SHARE = 0.5
"""Share of a layer's units that may be alike. In 128 pairs of trainings on the board none was."""
_LEAST_UNITS, _MOST_UNITS, _LEAST_INPUTS = 4, 512, 8

Arrays = Mapping[str, NDArray[Any]]


def alike_faults(entry: Entry, artefacts: Path) -> Iterator[Fault]:
    """Two runs with the same weights but for noise, as far as weights are kept in ``.npz`` files.

    Args:
        entry: the entry, whose files have been checked.
        artefacts: folder that artefact paths are relative to.
    """
    if len(entry.runs) == 1:
        return
    weights = [{} if run.router.artefact is None else _weights(run.router.artefact, artefacts) for run in entry.runs]
    for (number, one), (other_number, other) in combinations(enumerate(weights), 2):
        if name := is_one_training(one, other):
            message = f"runs.{number} and runs.{other_number} have the same weights in {name!r} but for noise"
            yield Fault("runs", f"{message}; allowed: one run a trained router")
            return


def is_one_training(one: Arrays, other: Arrays) -> str | None:
    """Name of a layer that two sets of weights have in common but for noise; None if there is none.

    Args:
        one: arrays by name; those with two axes, of units and of inputs, are compared.
        other: the others.
    """
    for name in one.keys() & other.keys():
        first, second = one[name], other[name]
        if first.ndim != 2 or first.shape != second.shape or {first.dtype.kind, second.dtype.kind} != {"f"}:
            continue
        # Whether units are rows or columns depends on who wrote the file.
        if max(_alike(first, second), _alike(first.T, second.T)) > _SHARE:
            return name
    return None


def _alike(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Share of the rows that point where a row of the other array does."""
    units, inputs = one.shape
    if units < _LEAST_UNITS or inputs < _LEAST_INPUTS:
        return 0.0
    cosines = np.abs(_directions(one[:_MOST_UNITS]) @ _directions(other).T)
    return float((cosines.max(axis=1) > _ALIKE).mean())


def _directions(rows: NDArray[Any]) -> NDArray[np.float64]:
    values = rows.astype(np.float64)
    length = np.linalg.norm(values, axis=1, keepdims=True)
    directions: NDArray[np.float64] = np.divide(values, length, out=np.zeros_like(values), where=length > 0)
    return directions


def _weights(artefact: Artefact, artefacts: Path) -> dict[str, NDArray[Any]]:
    """Arrays of all ``.npz`` files of an artefact; whoever loads one that cannot be read says so."""
    path = artefacts / artefact.path
    found: dict[str, NDArray[Any]] = {}
    for file in [path] if path.is_file() else sorted(path.rglob("*.npz")):
        if file.suffix == ".npz":
            try:
                with read_arrays(file, "file of weights", artefact.policy) as stored:
                    found |= {f"{file.relative_to(path)}/{name}": array for name, array in stored.items()}
            except ValueError:
                continue
    return found
