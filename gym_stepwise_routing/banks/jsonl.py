"""Import and export of recorded trees: JSON Lines, one tree a line, to a bank and back without loss."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gym_stepwise_routing.banks.arrays import Nodes, Problems, RowError
from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.banks.bank_tables import ANSWERS, LATER, bank_schemas
from gym_stepwise_routing.banks.bank_writer import write_bank
from gym_stepwise_routing.banks.checks import check_nodes, check_problems, check_prompts
from gym_stepwise_routing.banks.columns import to_numpy
from gym_stepwise_routing.banks.manifest import Recipe
from gym_stepwise_routing.banks.records import (
    NODE_KEYS,
    PROBLEM_KEYS,
    NodeRecord,
    ProblemRecord,
    TreeRecord,
    read_trees,
    tree_record,
)
from gym_stepwise_routing.errors import BankError
from gym_stepwise_routing.storage.atomic import replaced
from gym_stepwise_routing.types import QUESTION, TOKEN_CLASS_FIGURES

__all__ = ["QuestionCounts", "check_tree", "export_jsonl", "import_jsonl"]

QuestionCounts = Callable[[str, str, int, str], Sequence[int]]
"""Counts over a question's text, given dataset, official split, index and sha256 (see ``banks.questions``)."""


class _Columns:
    """Columns of the three tables, a tree at a time."""

    def __init__(self, models: int, *, answered: bool = False) -> None:
        self.models = models
        self.answered = answered
        self.schemas = bank_schemas(models, answered=answered)
        self.lines: list[int] = []  # of each problem
        self._columns: dict[str, dict[str, list[Any]]] = {
            file: {name: [] for name in schema.names} for file, schema in self.schemas.items()
        }

    def add(self, line: int, tree: TreeRecord, split: str, counts: Sequence[int | None]) -> None:
        """Add one tree, whose problem is in a split of the bank and has these counts over its question.

        Raises:
            ValueError: it is not a tree.
        """
        problem, base = len(self.lines), len(self._columns["nodes.parquet"]["id"])
        rows = _rows_of(tree.nodes, base)
        children = _children_of(tree.nodes, rows)
        roots = [node.id for node in tree.nodes if node.parent is None]
        if len(roots) != 1:
            raise ValueError(f"{len(roots)} nodes without a parent; allowed: exactly one, the root")
        if isinstance(tree.problem.prompt_tokens, tuple) and len(tree.problem.prompt_tokens) != self.models:
            told = len(tree.problem.prompt_tokens)
            raise ValueError(f"{told} prompt_tokens; allowed: one figure, or one for each model")
        row = asdict(tree.problem) | {"prompt_tokens": tree.problem.prompt_figures, "bank_split": split}
        self._append("problems.parquet", row | {"root": rows[roots[0]], **dict(zip(QUESTION, counts, strict=True))})
        texts = {node.id: node.text for node in tree.nodes}
        for node in tree.nodes:
            given = [name for name in ANSWERS if getattr(node, name) is not None]
            if given and not self.answered:
                raise ValueError(f"node {node.id}: {given[0]}, but the recipe names no environment; allowed: one")
            sibling = node.id if node.same_as is None else node.same_as
            if texts.get(sibling) != node.text:
                raise ValueError(f"node {node.id}: same_as is {sibling}; allowed: a sibling with the same text")
            served = [children.get((sibling, model), -1) for model in range(self.models)]
            if sibling != node.id and any(key[0] == node.id for key in children):
                raise ValueError(f"node {node.id}: has same_as and yet children of its own")
            row = asdict(node) | {f"child_{model}": child for model, child in enumerate(served)}
            self._append("texts.parquet", row)
            self._append("nodes.parquet", row | _references(node, rows) | {"problem": problem})
        self.lines.append(line)

    def _append(self, file: str, row: Mapping[str, Any]) -> None:
        for name, column in self._columns[file].items():
            column.append(row[name])

    def tables(self) -> dict[str, pa.Table]:
        """The three tables."""
        tables = {file: pa.table(self._columns[file], schema=schema) for file, schema in self.schemas.items()}
        for file, groups in LATER.items():
            for names in groups:
                if all(tables[file][name].null_count == len(tables[file]) for name in names):
                    tables[file] = tables[file].drop_columns(list(names))
        return tables


def _rows_of(nodes: Sequence[NodeRecord], base: int) -> dict[int, int]:
    """Row of each id."""
    rows: dict[int, int] = {}
    for row, node in enumerate(nodes, start=base):
        if node.id in rows:
            raise ValueError(f"node {node.id}: the id occurs twice")
        rows[node.id] = row
    return rows


def _children_of(nodes: Sequence[NodeRecord], rows: Mapping[int, int]) -> dict[tuple[int, int], int]:
    """Row of each child, by the parent's id and the model."""
    children: dict[tuple[int, int], int] = {}
    for node in nodes:
        if node.parent is None or node.model is None:
            continue
        if node.parent not in rows:
            raise ValueError(f"node {node.id}: parent is {node.parent}, which is not in the tree")
        if (node.parent, node.model) in children:
            raise ValueError(f"node {node.id}: model {node.model} has written a child of {node.parent} already")
        children[node.parent, node.model] = rows[node.id]
    return children


def _references(node: NodeRecord, rows: Mapping[int, int]) -> dict[str, Any]:
    """The columns of a node that are not spelt as in its record."""
    return {
        "parent": -1 if node.parent is None else rows[node.parent],
        "model": -1 if node.model is None else node.model,
        "tokens": node.tokens or 0,
        "terminal": node.terminal is True,
        "same_as": None if node.same_as is None else rows[node.same_as],
    }


def import_jsonl(
    trees: Path,
    recipe: Recipe,
    target: Path,
    *,
    counts: QuestionCounts | None = None,
    overwrite: bool = False,
) -> Bank:
    """Build a bank from recorded trees. Either a whole, checked bank stands in ``target`` afterwards, or nothing new.

    Args:
        trees: ``.jsonl`` or ``.jsonl.gz``, one tree a line.
        recipe: what is stated of the recording.
        target: directory to make.
        counts: counts over the question texts, where these are at hand; without it they stay unknown.
        overwrite: replace an existing ``target``.

    Raises:
        BankError: a malformed line (named by its number), trees that do not make a bank, or an existing ``target``.
    """
    columns = _Columns(len(recipe.models), answered=recipe.environment is not None)
    for line, tree in read_trees(trees):
        try:
            columns.add(line, tree, *_stated(recipe, counts, tree.problem))
        except BankError:
            raise  # from ``counts``, which names its own file
        except ValueError as error:
            raise BankError(f"{trees}: line {line}: {error}") from None
    if not columns.lines:
        raise BankError(f"{trees}: the file has no tree")
    tables = columns.tables()
    _check(trees, columns.lines, tables, recipe)
    return write_bank(recipe, tables, target, overwrite=overwrite)


def _stated(recipe: Recipe, counts: QuestionCounts | None, problem: ProblemRecord) -> tuple[str, Sequence[int | None]]:
    """Split of a problem, and the counts over its question."""
    key = (problem.dataset, problem.split, problem.index, problem.question_sha256)
    if problem.dataset not in recipe.datasets:
        raise ValueError(f"dataset is {problem.dataset!r}; allowed by the recipe: {', '.join(recipe.datasets)}")
    split = recipe.split_rule.assign(problem.split, problem.question_sha256)
    return split, counts(*key) if counts else [None] * len(QUESTION)


def check_tree(value: Any, *, horizon: int, shared_prefix: Sequence[int]) -> None:
    """Check one recorded tree by the rules by which a bank is checked, so that what is kept can become one.

    Args:
        value: the tree in the interchange form.
        horizon: most steps of a trace.
        shared_prefix: prompt tokens that all problems share, one figure a model.

    Raises:
        BankError: the tree could be no part of a bank; the message names the node or the key.
    """
    columns = _Columns(len(shared_prefix))
    try:
        columns.add(1, tree_record(value, "the tree"), "test", [None] * len(QUESTION))
        tables = columns.tables()
        problems = Problems.of(tables["problems.parquet"], columns.models)
        check_prompts(problems, tuple(shared_prefix))
        nodes = tables["nodes.parquet"]
        classed = TOKEN_CLASS_FIGURES[0] in nodes.column_names
        check_nodes(Nodes.of([nodes], len(nodes), columns.models, classed=classed), problems, horizon)
    except RowError as error:
        raise BankError(f"{error.table.removesuffix('s')} {error.row}: {error.fault}") from None
    except BankError:
        raise
    except (ValueError, OverflowError) as error:
        raise BankError(str(error)) from None


def _check(trees: Path, lines: Sequence[int], tables: Mapping[str, pa.Table], recipe: Recipe) -> None:
    """The checks of :meth:`Bank.open`, with faults told by line and node instead of by row."""
    nodes, models = tables["nodes.parquet"], len(recipe.models)
    try:
        problems = Problems.of(tables["problems.parquet"], models)
        check_problems(problems, recipe.split_rule, recipe.prompt.shared_prefix_tokens)
        answered, classed = recipe.environment is not None, TOKEN_CLASS_FIGURES[0] in nodes.column_names
        made = Nodes.of([nodes], len(nodes), models, answered=answered, classed=classed)
        check_nodes(made, problems, recipe.horizon, partial=recipe.served is not None)
    except RowError as error:
        if error.table == "problems":
            raise BankError(f"{trees}: line {lines[error.row]}: {error.fault}") from None
        line, node = lines[nodes["problem"][error.row].as_py()], nodes["id"][error.row]
        raise BankError(f"{trees}: line {line}: node {node} (row {error.row} of all nodes): {error.fault}") from None


def export_jsonl(bank: Bank, target: Path, *, overwrite: bool = False) -> None:
    """Write a bank as JSON Lines, gzipped if ``target`` ends in ``.gz``: the very objects that were imported.

    Question counts are not part of that form; they are counted anew on import.

    Raises:
        BankError: ``target`` exists and ``overwrite`` is False, or a file of the bank is missing or changed.
    """
    if target.exists() and not overwrite:
        raise BankError(f"{target}: exists already; allowed: a new file, or overwriting it")
    opened = gzip.open if target.suffix == ".gz" else open
    with replaced(target) as temporary, opened(temporary, "wt", encoding="utf-8") as file:
        for tree in _trees_of(bank):
            file.write(json.dumps(tree, ensure_ascii=False, allow_nan=False) + "\n")


def _trees_of(bank: Bank) -> Iterator[dict[str, Any]]:
    tables = {name: bank.read(name) for name in bank.manifest.files}
    nodes, texts = tables["nodes.parquet"], tables["texts.parquet"]
    ids = to_numpy(nodes["id"])
    bounds = np.searchsorted(bank.nodes.problem, np.arange(len(bank.problems) + 1)).tolist()
    for problem, (start, end) in zip(tables["problems.parquet"].to_pylist(), pairwise(bounds), strict=True):
        block = (nodes.slice(start, end - start).to_pylist(), texts.slice(start, end - start).to_pylist())
        figures = problem["prompt_tokens"]
        problem["prompt_tokens"] = figures[0] if len(figures) == 1 else figures
        yield {
            "problem": {key: problem[key] for key in PROBLEM_KEYS},
            "nodes": [_node_of(node | text, ids) for node, text in zip(*block, strict=True)],
        }


def _node_of(row: dict[str, Any], ids: Any) -> dict[str, Any]:
    """The JSON object of a node: absent keys where nothing was recorded."""
    if row["parent"] < 0:
        return {"id": row["id"], "parent": None, "depth": row["depth"]}
    row["parent"] = int(ids[row["parent"]])
    row["same_as"] = None if row["same_as"] is None else int(ids[row["same_as"]])
    row["terminal"] = row["terminal"] or None
    kept = {"final_answer"} if row["terminal"] else set()  # null there says that the trace ended without an answer
    return {key: row[key] for key in NODE_KEYS if row.get(key) is not None or key in kept}
