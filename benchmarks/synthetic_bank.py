"""Banks of random figures for timing; only their size and shape matter."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.banks.bank_tables import RAW_FIGURES, bank_schemas, without_absent
from gym_stepwise_routing.banks.bank_writer import seal_bank
from gym_stepwise_routing.banks.manifest import Recipe
from gym_stepwise_routing.costs.models import Model
from gym_stepwise_routing.types import QUESTION

__all__ = ["Shape", "full_tree", "ladder", "synthetic_bank"]


@dataclass(frozen=True, slots=True)
class Shape:
    """One problem's tree. ``child`` is ``int64[n, K]``, -1 for none; parents come before their children."""

    depth: NDArray[np.int64]
    parent: NDArray[np.int64]
    model: NDArray[np.int64]
    child: NDArray[np.int64]

    @property
    def horizon(self) -> int:
        """Steps of the longest trace."""
        return int(self.depth.max())


def full_tree(models: int, depth: int) -> Shape:
    """Every model at every step, all traces equally long: ``models`` to the power of ``depth`` leaves."""
    starts = np.cumsum([0, *(models**level for level in range(depth + 1))])
    place = np.arange(starts[-1])
    level = np.searchsorted(starts, place, side="right") - 1
    child = models * place[:, None] + 1 + np.arange(models)
    child[level == depth] = -1
    parent, model = (place - 1) // models, (place - 1) % models
    parent[0] = model[0] = -1
    return Shape(level, parent, model, child)


def ladder(horizon: int) -> Shape:
    """Two models in *escalate*: the smaller one writes up to some step, and the larger one from there on."""
    rungs = np.arange(horizon + 1)
    depth, parent, model = [rungs], [rungs - 1], [np.where(rungs > 0, 0, -1)]
    child = [np.stack([rungs + 1, np.zeros_like(rungs)], axis=1)]
    child[0][-1] = -1
    at = horizon + 1
    for rung in range(horizon):
        length = horizon - rung
        own = at + np.arange(length)
        child[0][rung, 1] = at
        depth.append(rung + 1 + np.arange(length))
        parent.append(np.append(rung, own[:-1]))
        model.append(np.ones(length, dtype=np.int64))
        child.append(np.stack([np.full(length, -1), np.append(own[1:], -1)], axis=1))
        at += length
    return Shape(*(np.concatenate(parts) for parts in (depth, parent, model, child)))


def synthetic_bank(target: Path, nodes: int, shape: Shape, *, mode: str = "route", letters: int = 0) -> int:
    """Write a bank of at least ``nodes`` nodes, and at least three problems.

    Args:
        target: folder to make.
        nodes: least number of nodes.
        shape: every problem's tree.
        mode: the mode that it is recorded in.
        letters: of each step's text, 0 for no texts.

    Returns:
        The number of nodes.
    """
    rng = np.random.default_rng(0)
    size, models = shape.child.shape
    trees = max(-(-nodes // size), 3)
    recipe = _recipe(models, shape.horizon, mode)
    target.mkdir(parents=True)
    schemas = {name: without_absent(name, schema, ()) for name, schema in bank_schemas(models).items()}
    hashes = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(trees)]
    problems = {
        "dataset": ["gsm8k"] * trees,
        "split": ["train"] * trees,
        "index": np.arange(trees),
        "question_sha256": hashes,
        "answer": ["0"] * trees,
        "prompt_tokens": [[500]] * trees,
        "bank_split": [recipe.split_rule.assign("train", value) for value in hashes],
        "root": size * np.arange(trees),
        **{name: pa.nulls(trees) for name in QUESTION},
    }
    rows = trees * size
    none = pa.nulls(rows)
    texts = {"text": _texts(rng, rows, letters) if letters else none, "final_answer": none}
    contents = {"problems.parquet": problems, "nodes.parquet": _nodes(rng, shape, trees), "texts.parquet": texts}
    seal_bank(recipe, {name: pa.table(contents[name]).cast(schemas[name]) for name in schemas}, target)
    return rows


def _recipe(models: int, horizon: int, mode: Any) -> Recipe:
    recipe = Bank.open("gsm8k-qwen2.5-coder").manifest.recipe
    shared = recipe.prompt.shared_prefix_tokens[0]
    return replace(
        recipe,
        name="synthetic",
        description="Random figures, for timing.",
        simulated=True,
        models=tuple(Model(f"model-{number}", parameters=1e9 * (1 + number)) for number in range(models)),
        verifier=None,
        prompt=replace(recipe.prompt, shared_prefix_tokens=(shared,) * models),
        horizon=horizon,
        recorded_mode=mode,
        endings=None,
    )


def _nodes(rng: np.random.Generator, shape: Shape, trees: int) -> dict[str, Any]:
    size, models = shape.child.shape
    rows = size * trees
    first = size * np.arange(trees)[:, None]
    inner, leaf = np.tile(shape.depth > 0, trees), np.tile((shape.child < 0).all(axis=1), trees)

    def figures(name: str) -> Any:
        sign = -1 if name.startswith("logprob") else 1
        return pa.array(sign * np.round(rng.random(rows), 4), mask=~inner)

    def rows_of(column: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.where(column < 0, -1, first + column).ravel()

    return {
        "problem": np.repeat(np.arange(trees), size),
        "id": np.tile(np.arange(size), trees),
        "parent": rows_of(shape.parent),
        "depth": np.tile(shape.depth, trees),
        "model": np.tile(shape.model, trees),
        "tokens": np.where(inner, rng.integers(1, 60, rows), 0),
        "first_step_tokens": pa.nulls(rows),
        **{name: figures(name) for name in RAW_FIGURES},
        "terminal": leaf,
        "correct": pa.array(rng.random(rows) < 0.5, mask=~leaf),
        "same_as": pa.nulls(rows),
        "verifier_score": figures("verifier_score"),
        **{f"child_{model}": rows_of(shape.child[:, model]) for model in range(models)},
    }


def _texts(rng: np.random.Generator, rows: int, letters: int) -> Any:
    drawn = rng.bytes(letters * rows // 2).hex()  # of which half is all that can be compressed
    return pa.array([drawn[start : start + letters] for start in range(0, letters * rows, letters)])
