"""A comparison as files: ``table.md``, ``figure.png`` and ``comparison.json``."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from gym_stepwise_routing.comparison.comparison import Comparison
from gym_stepwise_routing.comparison.comparison_figure import draw
from gym_stepwise_routing.comparison.comparison_tables import tables, to_markdown
from gym_stepwise_routing.types import VERSION

__all__ = ["strict", "write"]


def write(result: Comparison, folder: Path) -> tuple[Path, ...]:
    """Write the files into a folder, made if it does not exist, and return their paths.

    Every figure of the tables is in the JSON file, with ``null`` for what is undefined and ``"inf"`` for what is
    unreached, beside the whole curves.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = tuple(folder / name for name in ("table.md", "figure.png", "comparison.json"))
    _replace(paths[0], to_markdown(tables(result)))
    draw(result, paths[1])
    _replace(paths[2], json.dumps(_plain(result), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return paths


def _plain(result: Comparison) -> dict[str, Any]:
    reference = result.reference
    plain = {
        "version": VERSION,
        "source": result.source,
        "source_hash": result.source_hash,
        "simulated": result.simulated,
        "mode": result.mode,
        "cost_unit": result.cost_unit,
        "split": result.split,
        "problems": dict(result.problems),
        "rule": str(result.rule),
        "verifier": result.verifier,
        "resamples": result.resamples,
        "seed": result.seed,
        "single_models": [
            {"name": name, "accuracy": model.accuracy, "cost": model.mean_cost}
            for name, model in zip(result.models, reference.models, strict=True)
        ],
        "oracle_frontier": None
        if reference.ceiling is None
        else {"costs": reference.ceiling.costs, "accuracies": reference.ceiling.accuracies},
        "rows": [asdict(replace(row, outcomes=None)) for row in result.rows],
    }
    converted: dict[str, Any] = strict(plain)
    return converted


def strict(value: Any) -> Any:
    """Values that strict JSON has: arrays become lists, NaN null, and infinities the strings "inf" and "-inf"."""
    if isinstance(value, Mapping):
        return {str(key): strict(part) for key, part in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [strict(part) for part in value]
    if isinstance(value, float | np.floating):
        number = float(value)
        return number if math.isfinite(number) else None if math.isnan(number) else str(number)
    return value


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.tmp")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
