"""Structural checks of a bank, as array operations: what no hash can tell, because the files were written wrong.

Each fault raises one :class:`gym_stepwise_routing.errors.BankError` that names the file, the row and the fault.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.banks.arrays import Nodes, Problems
from gym_stepwise_routing.banks.splits import SplitRule
from gym_stepwise_routing.errors import BankError

__all__ = ["check_nodes", "check_problems"]


def _first(mask: NDArray[Any]) -> tuple[int, ...] | None:
    """Index of the first True, or None."""
    if not mask.any():
        return None
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(mask)), mask.shape))


def check_nodes(path: Path, nodes: Nodes, problems: Problems, horizon: int) -> None:
    """Check that the nodes are one tree a problem.

    Raises:
        BankError: unknown model, child out of range, cycle, child whose parent, depth, model or problem disagrees,
            unreachable node, ended trace with children, open trace without any, wrong root, depth beyond the horizon.
    """
    models = nodes.child.shape[1]
    _check_columns(path, nodes, len(problems), models, horizon)
    _check_roots(path, nodes, problems)
    _check_children(path, nodes, models)
    recorded = (nodes.child >= 0).any(axis=1)
    if found := _first(nodes.terminal & recorded):
        raise BankError(f"{path}: row {found[0]}: the trace has ended (terminal) and yet has children")
    if found := _first(~nodes.terminal & ~recorded):
        raise BankError(f"{path}: row {found[0]}: the trace has not ended and yet no model has a child")
    if found := _first(nodes.correct & ~nodes.terminal):
        raise BankError(f"{path}: row {found[0]}: correct, and yet the trace has not ended")


def _check_columns(path: Path, nodes: Nodes, problems: int, models: int, horizon: int) -> None:
    """Ranges of the single columns, so that the later checks may use them as indices."""
    count = len(nodes)
    root = nodes.depth == 0
    ranges: tuple[tuple[str, NDArray[Any], NDArray[Any], str], ...] = (
        ("problem", nodes.problem, (nodes.problem < 0) | (nodes.problem >= problems), f"0 to {problems - 1}"),
        ("depth", nodes.depth, (nodes.depth < 0) | (nodes.depth > horizon), f"0 to the horizon, {horizon}"),
        (
            "model",
            nodes.model,
            np.where(root, nodes.model != -1, (nodes.model < 0) | (nodes.model >= models)),
            f"0 to {models - 1}, or -1 at a root",
        ),
        (
            "parent",
            nodes.parent,
            np.where(root, nodes.parent != -1, (nodes.parent < 0) | (nodes.parent >= count)),
            f"0 to {count - 1}, or -1 at a root",
        ),
        ("same_as", nodes.same_as, (nodes.same_as < -1) | (nodes.same_as >= count), f"0 to {count - 1}, or nothing"),
        ("tokens", nodes.tokens, np.where(root, nodes.tokens != 0, nodes.tokens < 1), ">= 1, or 0 at a root"),
    )
    for name, column, wrong, allowed in ranges:
        if found := _first(wrong):
            raise BankError(f"{path}: row {found[0]}: {name} is {column[found]}; allowed: {allowed}")
    if found := _first((nodes.child < -1) | (nodes.child >= count)):
        raise BankError(
            f"{path}: row {found[0]}: child_{found[1]} is {nodes.child[found]}, out of range; "
            f"allowed: 0 to {count - 1}, or -1 where it was not recorded"
        )
    if found := _first(nodes.problem[1:] < nodes.problem[:-1]):
        raise BankError(f"{path}: row {found[0] + 1}: the nodes of a problem must be one block, in the problems' order")


def _check_roots(path: Path, nodes: Nodes, problems: Problems) -> None:
    """Every problem has exactly one root, and knows it."""
    roots = np.flatnonzero(nodes.depth == 0)
    owners = nodes.problem[roots]
    if found := _first(owners[1:] == owners[:-1]):
        raise BankError(f"{path}: row {roots[found[0] + 1]}: a second root for problem {owners[found[0]]}")
    if len(roots) != len(problems):
        missing = int(np.setdiff1d(np.arange(len(problems)), owners)[0])
        raise BankError(f"{path}: problem {missing} has no root (no node of depth 0)")
    if found := _first(problems.root != roots):
        file = path.with_name("problems.parquet")
        raise BankError(f"{file}: row {found[0]}: root is {problems.root[found]}, but the root node is {roots[found]}")


def _check_children(path: Path, nodes: Nodes, models: int) -> None:
    """Every edge leads one step deeper to a node that names it as its own, and every node is reached."""
    rows = np.arange(len(nodes), dtype=np.int32)
    # A node that repeats its sibling's text shares the sibling's children, whose parent is the sibling.
    twin = nodes.same_as >= 0
    owner = np.where(twin, nodes.same_as, rows)
    twin_wrong = twin & (
        (nodes.parent[owner] != nodes.parent)
        | (nodes.problem[owner] != nodes.problem)
        | (nodes.same_as[owner] >= 0)
        | (owner == rows)
        | (nodes.terminal[owner] != nodes.terminal)
    )
    if found := _first(twin_wrong):
        raise BankError(
            f"{path}: row {found[0]}: same_as is {nodes.same_as[found]}; allowed: another child of the same parent, "
            "which ends where this one ends and is not itself a repetition"
        )
    for model in range(models):
        child = nodes.child[:, model]
        has = child >= 0
        target = np.where(has, child, 0)
        if found := _first(has & (nodes.depth[target] <= nodes.depth)):
            row = found[0]
            closed = _reaches(nodes, int(child[row]), row)
            fault = "closes a cycle" if closed else f"leads to depth {nodes.depth[child[row]]}, no deeper"
            raise BankError(f"{path}: row {row} (depth {nodes.depth[row]}): child_{model} = {child[row]} {fault}")
        for name, wrong in (
            ("depth", nodes.depth[target] != nodes.depth + 1),
            ("parent", nodes.parent[target] != owner),
            ("model", nodes.model[target] != model),
            ("problem", nodes.problem[target] != nodes.problem),
        ):
            if found := _first(has & wrong):
                row, other = found[0], int(child[found])
                raise BankError(
                    f"{path}: row {row}: child_{model} is row {other}, whose {name} "
                    f"({getattr(nodes, name)[other]}) does not fit"
                )
        if found := _first(twin & (child != nodes.child[owner, model])):
            raise BankError(
                f"{path}: row {found[0]}: child_{model} is {child[found]}, but its sibling (same_as) has "
                f"{nodes.child[owner[found], model]}"
            )
    inner = np.flatnonzero(nodes.depth > 0)
    reached = nodes.child[nodes.parent[inner], nodes.model[inner]] == inner
    if found := _first(~reached):
        row = int(inner[found])
        raise BankError(
            f"{path}: row {row}: not a child of its parent (row {nodes.parent[row]}), so no trace leads to it"
        )


def _reaches(nodes: Nodes, start: int, goal: int) -> bool:
    """Whether child edges lead from ``start`` to ``goal``; only asked once a fault is known, so speed is no matter."""
    seen, front = {start}, [start]
    while front:
        row = front.pop()
        if row == goal:
            return True
        fresh = {int(child) for child in nodes.child[row] if child >= 0} - seen
        seen |= fresh
        front.extend(fresh)
    return False


def check_problems(path: Path, problems: Problems, rule: SplitRule, shared_prefix: tuple[int, ...]) -> None:
    """Check that the splits are disjoint, by id and by question, and are what the rule of the manifest says.

    Raises:
        BankError: a problem or a question in two splits, a problem twice, a split that differs from the rule, or a
            prompt shorter than its shared prefix.
    """
    splits = problems.split.to_pylist()
    for label, keys in (("problem", problems.ids()), ("question_sha256", problems.question_sha256.to_pylist())):
        home: dict[str, tuple[int, str]] = {}
        for row, (key, split) in enumerate(zip(keys, splits, strict=True)):
            first, other = home.setdefault(key, (row, split))
            if other != split:
                raise BankError(
                    f"{path}: splits overlap: {label} {key} is in {other!r} (row {first}) and in {split!r} (row {row})"
                )
            if label == "problem" and first != row:
                raise BankError(f"{path}: row {row}: problem {key} is in the bank already (row {first})")
    try:
        ruled = rule.assign(problems.official_split.to_pylist(), problems.question_sha256.to_pylist())
    except ValueError as error:
        raise BankError(f"{path}: {error}") from None
    for row, (stored, wanted) in enumerate(zip(splits, ruled, strict=True)):
        if stored != wanted:
            raise BankError(f"{path}: row {row}: bank_split is {stored!r}, but the split rule says {wanted!r}")
    if found := _first(problems.prompt_tokens <= np.asarray(shared_prefix)):
        raise BankError(
            f"{path}: row {found[0]}: {problems.prompt_tokens[found]} prompt tokens for model {found[1]}; allowed: more "
            f"than the {shared_prefix[found[1]]} that all problems share"
        )
