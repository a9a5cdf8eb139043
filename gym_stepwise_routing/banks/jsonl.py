"""Import of recorded trees: JSON Lines, one tree a line, to the Parquet form of a bank (see ``docs/banks.md``)."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

import gym_stepwise_routing
from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.banks.manifest import MANIFEST, Manifest, Recipe
from gym_stepwise_routing.banks.strict import to_json
from gym_stepwise_routing.banks.tables import RAW_FIGURES, bank_schemas, replaced_directory, write_table
from gym_stepwise_routing.errors import BankError
from gym_stepwise_routing.sources.base import QUESTION

__all__ = ["NODE_KEYS", "PROBLEM_KEYS", "QuestionCounts", "import_jsonl"]

PROBLEM_KEYS = ("dataset", "split", "index", "question_sha256", "answer", "prompt_tokens")
NODE_KEYS = (
    "id",
    "parent",
    "depth",
    "model",
    "text",
    "tokens",
    "first_step_tokens",
    *RAW_FIGURES,
    "verifier_score",
    "terminal",
    "final_answer",
    "correct",
    "same_as",
)
"""Keys of a problem and of a node, in the order in which they are exported."""

QuestionCounts = Callable[[str, str, int, str], Sequence[int] | None]
"""Counts over a question's text, given dataset, official split, index and sha256; None where the text is not at hand."""

_STEP_REQUIRED = ("model", "tokens")
_ENDING = ("terminal", "final_answer", "correct")


class _Fault(ValueError):
    """What is wrong with the present line."""


def _read_lines(path: Path) -> Iterator[tuple[int, str]]:
    opener = gzip.open if path.suffix == ".gz" else open
    number = 0
    try:
        with opener(path, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line
    except FileNotFoundError:
        raise BankError(f"{path}: the file is missing") from None
    except (EOFError, UnicodeDecodeError, OSError) as error:
        raise BankError(f"{path}: line {number + 1}: cannot be read ({error})") from None


def _take(
    source: Mapping[str, Any],
    key: str,
    kind: type,
    owner: str,
    *,
    low: int | None = None,
    high: int | None = None,
    required: bool = False,
) -> Any:
    """``source[key]``, checked; None where it is absent and may be."""
    if key not in source:
        if required:
            raise _Fault(f"{owner}: key {key!r} is missing")
        return None
    value = source[key]
    fits = isinstance(value, (int, float) if kind is float else kind) and (kind is bool or not isinstance(value, bool))
    if not fits or (kind is float and not math.isfinite(value)):
        raise _Fault(f"{owner}: {key} is {value!r:.60}; allowed: a JSON {_KINDS[kind]}")
    if (low is not None and value < low) or (high is not None and value > high):
        raise _Fault(f"{owner}: {key} is {value!r}; allowed: {low} to {high}")
    return value


_KINDS = {int: "integer", float: "number (finite)", str: "string", bool: "boolean", list: "list", dict: "object"}
_INT32 = 2**31 - 1


def _only(source: Mapping[str, Any], allowed: Sequence[str], owner: str) -> None:
    if unknown := [key for key in source if key not in allowed]:
        raise _Fault(f"{owner}: unknown key {unknown[0]!r}; allowed: {', '.join(allowed)}")


class _Columns:
    """Columns of the three tables, a tree at a time."""

    def __init__(self, recipe: Recipe, counts: QuestionCounts | None) -> None:
        self.recipe = recipe
        self.counts = counts
        self.models = len(recipe.models)
        self.schemas = bank_schemas(self.models)
        self.columns: dict[str, dict[str, list[Any]]] = {
            file: {name: [] for name in schema.names} for file, schema in self.schemas.items()
        }

    def add_tree(self, tree: Any) -> None:
        """Add the tree of one line.

        Raises:
            ValueError: what is wrong with it.
        """
        if not isinstance(tree, dict):
            raise _Fault("not a JSON object")
        _only(tree, ("problem", "nodes"), "tree")
        problem = _take(tree, "problem", dict, "tree", required=True)
        nodes = _take(tree, "nodes", list, "tree", required=True)
        base = len(self.columns["nodes.parquet"]["id"])
        number = len(self.columns["problems.parquet"]["index"])
        root = self._add_nodes(nodes, base, number)
        self._add_problem(problem, root)

    def _add_problem(self, problem: Mapping[str, Any], root: int) -> None:
        _only(problem, PROBLEM_KEYS, "problem")
        row = {
            key: _take(problem, key, str, "problem", required=True)
            for key in ("dataset", "split", "question_sha256", "answer")
        }
        row["index"] = _take(problem, "index", int, "problem", low=0, high=_INT32, required=True)
        if row["dataset"] not in self.recipe.datasets:
            raise _Fault(f"problem: dataset is {row['dataset']!r}; allowed: {', '.join(self.recipe.datasets)} (recipe)")
        tokens = problem.get("prompt_tokens")
        figures = tokens if isinstance(tokens, list) else [tokens]
        if isinstance(tokens, list) and len(tokens) != self.models:
            raise _Fault(
                f"problem: {len(tokens)} prompt_tokens; allowed: one number, or one for each of {self.models} models"
            )
        row["prompt_tokens"] = [
            _take({"prompt_tokens": figure}, "prompt_tokens", int, "problem", low=1, high=_INT32) for figure in figures
        ]
        row["bank_split"] = self.recipe.split_rule.assign([row["split"]], [row["question_sha256"]])[0]
        row["root"] = root
        known = self.counts and self.counts(row["dataset"], row["split"], row["index"], row["question_sha256"])
        row |= dict(zip(QUESTION, known or [None] * len(QUESTION), strict=True))
        self._append("problems.parquet", row)

    def _add_nodes(self, nodes: Sequence[Any], base: int, problem: int) -> int:
        """Add the nodes of one tree, which starts at row ``base``, and return the row of its root."""
        rows: dict[int, int] = {}
        for place, node in enumerate(nodes):
            if not isinstance(node, dict):
                raise _Fault(f"node number {place}: not a JSON object")
            _only(node, NODE_KEYS, f"node number {place}")
            identity = _take(node, "id", int, f"node number {place}", low=0, high=_INT32, required=True)
            if rows.setdefault(identity, base + place) != base + place:
                raise _Fault(f"node {identity}: the id occurs twice")
        roots = [node["id"] for node in nodes if node.get("parent") is None]
        if len(roots) != 1:
            raise _Fault(f"{len(roots)} nodes without a parent; allowed: exactly one, the root")
        children: dict[tuple[int, int], int] = {}
        for node in nodes:
            if node["id"] != roots[0]:
                key = (_take(node, "parent", int, f"node {node['id']}", required=True), node.get("model", -1))
                if key in children:
                    raise _Fault(f"node {node['id']}: model {key[1]} has written a child of node {key[0]} already")
                children[key] = node["id"]
        by_id = {node["id"]: node for node in nodes}
        for node in nodes:
            self._append("texts.parquet", {"text": node.get("text"), "final_answer": node.get("final_answer")})
            self._append("nodes.parquet", self._node_row(node, by_id, rows, children) | {"problem": problem})
        return rows[roots[0]]

    def _node_row(
        self,
        node: Mapping[str, Any],
        by_id: Mapping[int, Mapping[str, Any]],
        rows: Mapping[int, int],
        children: Mapping[tuple[int, int], int],
    ) -> dict[str, Any]:
        owner = f"node {node['id']}"
        row: dict[str, Any] = {
            "id": node["id"],
            "depth": _take(node, "depth", int, owner, low=0, high=self.recipe.horizon, required=True),
        }
        is_root = node.get("parent") is None
        if is_root:
            if "parent" not in node:
                raise _Fault(f"{owner}: key 'parent' is missing")
            if extra := [key for key in node if key not in ("id", "parent", "depth")]:
                raise _Fault(f"{owner}: the root has a key {extra[0]!r}; allowed: id, parent, depth")
            row |= {"parent": -1, "model": -1, "tokens": 0}
        else:
            if node["parent"] not in rows:
                raise _Fault(f"{owner}: parent {node['parent']} is not in the tree")
            row["parent"] = rows[node["parent"]]
            row["model"] = _take(node, "model", int, owner, low=0, high=self.models - 1, required=True)
            row["tokens"] = _take(node, "tokens", int, owner, low=1, high=_INT32, required=True)
            if node["depth"] != by_id[node["parent"]].get("depth", -1) + 1:
                raise _Fault(f"{owner}: depth is {node['depth']}; allowed: its parent's plus 1")
        _take(node, "text", str, owner)
        row["first_step_tokens"] = _take(node, "first_step_tokens", int, owner, low=1, high=row["tokens"])
        row |= {name: _take(node, name, float, owner) for name in RAW_FIGURES}
        row["verifier_score"] = _take(node, "verifier_score", float, owner, low=0, high=1)
        ending = [key for key in _ENDING if key in node]
        row["terminal"] = bool(ending)
        if ending:
            if len(ending) < len(_ENDING) or node["terminal"] is not True:
                raise _Fault(
                    f"{owner}: an ended trace has terminal = true, final_answer and correct; an open one has none"
                )
            if node["final_answer"] is not None:
                _take(node, "final_answer", str, owner)
        row["correct"] = _take(node, "correct", bool, owner)
        row["same_as"] = None
        sibling = node["id"]
        if "same_as" in node:
            sibling = _take(node, "same_as", int, owner)
            if sibling not in rows or by_id[sibling].get("text") != node.get("text"):
                raise _Fault(f"{owner}: same_as is {sibling}; allowed: a sibling with the same text")
            if any((node["id"], model) in children for model in range(self.models)):
                raise _Fault(f"{owner}: has same_as and yet children of its own")
            row["same_as"] = rows[sibling]
        for model in range(self.models):
            child = children.get((sibling, model))
            row[f"child_{model}"] = -1 if child is None else rows[child]
        return row

    def _append(self, file: str, row: Mapping[str, Any]) -> None:
        for name, column in self.columns[file].items():
            column.append(row[name])

    def tables(self) -> dict[str, pa.Table]:
        """The three tables."""
        return {file: pa.table(self.columns[file], schema=schema) for file, schema in self.schemas.items()}


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
        counts: counts over the question texts, where these are at hand; otherwise they stay unknown.
        overwrite: replace an existing ``target``.

    Raises:
        BankError: a malformed line (named by its number), or trees that do not make a valid bank.
    """
    columns = _Columns(recipe, counts)
    for number, line in _read_lines(trees):
        try:
            columns.add_tree(json.loads(line))
        except ValueError as error:
            raise BankError(f"{trees}: line {number}: {error}") from None
    if not columns.columns["problems.parquet"]["index"]:
        raise BankError(f"{trees}: no tree in the file")
    with replaced_directory(target, overwrite=overwrite) as directory:
        files = {name: write_table(directory / name, table) for name, table in columns.tables().items()}
        created_with = f"gym-stepwise-routing {gym_stepwise_routing.__version__}, pyarrow {pa.__version__}"
        manifest = Manifest.seal(recipe, created_with=created_with, files=files)
        text = json.dumps(to_json(manifest), indent=2, ensure_ascii=False, allow_nan=False)
        (directory / MANIFEST).write_text(text + "\n", encoding="utf-8")
        Bank.open(directory)
    return Bank.open(target)
