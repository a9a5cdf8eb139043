"""A comparison as files: ``table.md``, ``figure.png`` and ``comparison.json``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from gym_stepwise_routing.comparison.comparison import Comparison
from gym_stepwise_routing.comparison.comparison_figure import draw
from gym_stepwise_routing.comparison.comparison_tables import tables
from gym_stepwise_routing.storage.atomic import write_json, write_text
from gym_stepwise_routing.storage.strict_json import plain
from gym_stepwise_routing.types import VERSION

__all__ = ["write"]


def write(result: Comparison, folder: Path) -> tuple[Path, ...]:
    """Write the files into a folder, made if it does not exist, and return their paths.

    Every figure of the tables is in the JSON file, with ``null`` for what is undefined and ``"inf"`` for what is
    unreached, beside the whole curves.
    """
    paths = tuple(folder / name for name in ("table.md", "figure.png", "comparison.json"))
    write_text(paths[0], "\n".join(table.markdown() for table in tables(result)))
    draw(result, paths[1])
    write_json(paths[2], plain(_numbers(result)), indent=1)
    return paths


def _numbers(result: Comparison) -> dict[str, Any]:
    reference = result.reference
    return {
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
        "rows": [replace(row, outcomes=None) for row in result.rows],
    }
