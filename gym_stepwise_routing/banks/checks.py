"""Structural checks of a bank, as array operations: what no hash can tell, because the files were written wrong.

The first fault found is raised as a :class:`gym_stepwise_routing.banks.arrays.RowError`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.banks.arrays import Nodes, Problems, RowError, first_true
from gym_stepwise_routing.banks.splits import SplitRule
from gym_stepwise_routing.types import CONFIDENCE, FEEDBACK, TOKEN_CLASS_FIGURES

__all__ = ["check_nodes", "check_problems", "check_prompts"]

_LARGEST = float(np.finfo(np.float32).max)
_LIMITS = {"logprob": (-_LARGEST, 0.0), "entropy": (0.0, _LARGEST), "margin": (0.0, 1.0), "top1": (0.0, 1.0)}
_ROUNDING = 1e-5
_PART = 1 << 15
"""Nodes that are checked at a time."""


def check_nodes(nodes: Nodes, problems: Problems, horizon: int, *, partial: bool = False) -> None:
    """Check that the nodes are one tree a problem.

    Args:
        nodes: the nodes.
        problems: their problems.
        horizon: most steps of a trace.
        partial: the bank was made from a log; then a step may be an open end, a draft that nobody went on from.

    Raises:
        RowError: unknown model, child out of range, cycle, child whose parent, depth, model or problem disagrees,
            unreachable node, ended trace with children, open trace without any, wrong root, depth beyond the horizon,
            or a confidence figure that cannot be.
    """
    _check_ranges(nodes, len(problems), horizon)
    _check_figures(nodes)
    _check_roots(nodes, problems)
    _check_twins(nodes)
    for rows in _parts(nodes):
        for model in range(nodes.child.shape[1]):
            _check_edges(nodes, rows, model)
    _check_reached(nodes)
    recorded = nodes.child.max(axis=1) >= 0
    if found := first_true(nodes.terminal & recorded):
        raise RowError("nodes", found[0], "the trace has ended (terminal) and yet has children")
    if found := first_true(~nodes.terminal & ~recorded & (not partial or nodes.depth == 0)):
        raise RowError("nodes", found[0], "the trace has not ended and yet no model has a child")


def _check_ranges(nodes: Nodes, problems: int, horizon: int) -> None:
    """Ranges of the single columns, so that the later checks may use them as indices."""
    count, models = nodes.child.shape
    root = nodes.depth == 0
    _check_range("problem", nodes.problem, _outside(nodes.problem, 0, problems), f"0 to {problems - 1}")
    _check_range("depth", nodes.depth, _outside(nodes.depth, 0, horizon + 1), f"0 to the horizon, {horizon}")
    wrong = np.where(root, nodes.model != -1, _outside(nodes.model, 0, models))
    _check_range("model", nodes.model, wrong, f"0 to {models - 1}, or -1 at a root")
    wrong = np.where(root, nodes.parent != -1, _outside(nodes.parent, 0, count))
    _check_range("parent", nodes.parent, wrong, f"0 to {count - 1}, or -1 at a root")
    wrong = np.where(root, nodes.tokens != 0, nodes.tokens < 1)
    _check_range("tokens", nodes.tokens, wrong, ">= 1, or 0 at a root")
    _check_range("same_as", nodes.same_as, _outside(nodes.same_as, -1, count), f"0 to {count - 1}, or nothing")
    for model in range(models):
        child = nodes.child[:, model]
        allowed = f"0 to {count - 1}, or -1 where the step was not recorded"
        _check_range(f"child_{model}", child, _outside(child, -1, count), allowed)
    if found := first_true(nodes.problem[1:] < nodes.problem[:-1]):
        raise RowError("nodes", found[0] + 1, "the nodes of a problem must be one block, in the order of the problems")


def _check_figures(nodes: Nodes) -> None:
    """Logarithms of probabilities are not positive, entropies not negative, margins and probabilities in [0, 1]."""
    for rows in _parts(nodes):
        for number, name in enumerate(CONFIDENCE):
            _check_figure(name, nodes.confidence[rows, number], *_LIMITS[name.split("_")[0]], start=rows.start)
    _check_figure("verifier_score", nodes.score, 0.0, 1.0)
    for number, name in enumerate(TOKEN_CLASS_FIGURES if nodes.classes is not None else ()):
        assert nodes.classes is not None
        figure = name.split("_")[1]
        _check_figure(name, nodes.classes[:, number], *_LIMITS.get(figure, (0.0, _LARGEST)))
    if nodes.feedback is not None and nodes.context is not None:
        _check_figure("answer_rows", nodes.feedback[:, FEEDBACK.index("rows")], 0.0, _LARGEST)
        _check_range("context_tokens", nodes.context, (nodes.context < 1) & (nodes.context != -1), ">= 1, or nothing")


def _parts(nodes: Nodes) -> Iterator[slice]:
    """The rows in parts that stay in a cache, and whose intermediate results take little memory."""
    return (slice(start, min(start + _PART, len(nodes))) for start in range(0, len(nodes), _PART))


def _check_figure(name: str, column: NDArray[np.float32], low: float, high: float, start: int = 0) -> None:
    # A missing figure is NaN, and compares False.
    wrong = (column < low - _ROUNDING) | (column > high + _ROUNDING)
    _check_range(name, column, wrong, f"{low:.3g} to {high:.3g}", start)


def _outside(column: NDArray[Any], low: int, high: int) -> NDArray[np.bool_]:
    return (column < low) | (column >= high)


def _check_range(name: str, column: NDArray[Any], wrong: NDArray[Any], allowed: str, start: int = 0) -> None:
    if found := first_true(wrong):
        raise RowError("nodes", start + found[0], f"{name} is {column[found]}, out of range; allowed: {allowed}")


def _check_roots(nodes: Nodes, problems: Problems) -> None:
    """Every problem has exactly one root, and knows it."""
    roots = np.flatnonzero(nodes.depth == 0)
    owners = nodes.problem[roots]
    if found := first_true(owners[1:] == owners[:-1]):
        raise RowError("nodes", int(roots[found[0] + 1]), f"a second root for problem {owners[found]}")
    if len(roots) != len(problems):
        missing = int(np.setdiff1d(np.arange(len(problems)), owners)[0])
        raise RowError("problems", missing, "the problem has no root (no node of depth 0)")
    if found := first_true(problems.root != roots):
        raise RowError(
            "problems", found[0], f"root is {problems.root[found]}; allowed: {roots[found]}, its node of depth 0"
        )


def _owner(nodes: Nodes, rows: slice) -> NDArray[Any]:
    """Whose children a node has: its own, or those of the sibling whose text it repeats."""
    twin = nodes.same_as[rows]
    return np.where(twin >= 0, twin, np.arange(rows.start, rows.stop, dtype=np.int32))


def _check_twins(nodes: Nodes) -> None:
    """A node that repeats a sibling's text shares that sibling's children."""
    twins = np.flatnonzero(nodes.same_as >= 0)
    others = nodes.same_as[twins]
    wrong = (
        (others == twins)
        | (nodes.parent[others] != nodes.parent[twins])
        | (nodes.same_as[others] >= 0)
        | (nodes.terminal[others] != nodes.terminal[twins])
    )
    if found := first_true(wrong):
        raise RowError(
            "nodes",
            int(twins[found]),
            f"same_as is {others[found]}; allowed: another child of the same parent that has ended alike and is not "
            "itself a repetition",
        )
    if found := first_true(nodes.child[twins] != nodes.child[others]):
        twin, other = int(twins[found[0]]), int(others[found[0]])
        raise RowError("nodes", twin, f"its children differ from those of the sibling that it repeats, {other}")


def _check_edges(nodes: Nodes, rows: slice, model: int) -> None:
    """Every edge leads one step deeper, to a node that names its parent and its model."""
    child, depth = nodes.child[rows, model], nodes.depth[rows]
    has = child >= 0
    target = np.where(has, child, 0)
    deeper = nodes.depth.take(target)
    if found := first_true(has & (deeper <= depth)):
        row, other = rows.start + found[0], int(child[found])
        fault = f"closes a cycle at depth {depth[found]}" if _reaches(nodes, other, row) else "is no deeper"
        raise RowError("nodes", row, f"child_{model} = {other} {fault}")
    for name, wrong in (
        ("depth", deeper != depth + 1),
        ("parent", nodes.parent.take(target) != _owner(nodes, rows)),
        ("model", nodes.model.take(target) != model),
        ("problem", nodes.problem.take(target) != nodes.problem[rows]),
    ):
        if found := first_true(has & wrong):
            row, other = rows.start + found[0], int(child[found])
            figure = getattr(nodes, name)[other]
            raise RowError(
                "nodes", row, f"child_{model} = {other}, but the {name} of {other} is {figure}: not its child"
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


def _check_reached(nodes: Nodes) -> None:
    """Every node but a root is the child of its parent."""
    children, models = nodes.child.ravel(), nodes.child.shape[1]
    for rows in _parts(nodes):
        inner = rows.start + np.flatnonzero(nodes.depth[rows] > 0)
        place = nodes.parent[inner].astype(np.int64) * models + nodes.model[inner]
        if found := first_true(children.take(place) != inner):
            row = int(inner[found])
            raise RowError("nodes", row, f"not a child of its parent, {nodes.parent[row]}: no trace leads to it")


def check_problems(problems: Problems, rule: SplitRule, shared_prefix: tuple[int, ...]) -> None:
    """Check that the splits are disjoint, by id and by question, and are what the rule of the manifest says.

    Raises:
        RowError: a problem or a question in two splits, a problem twice, a split that differs from the rule, or a
            prompt shorter than its shared prefix.
    """
    splits: list[Any] = problems.split.to_pylist()
    references = problems.references()
    ids = problems.ids(references)
    for label, values in (("problem", ids), ("question_sha256", [reference[-1] for reference in references])):
        home: dict[str, int] = {}
        for row, value in enumerate(values):
            first = home.setdefault(value, row)
            if splits[first] != splits[row]:
                places = f"{splits[first]!r} (row {first}) and in {splits[row]!r} (row {row})"
                raise RowError("problems", row, f"splits overlap: {label} {value} is in {places}")
            if label == "problem" and first != row:
                raise RowError("problems", row, f"problem {value} is there already (row {first})")
    for row, ((_, official, _, question), stored) in enumerate(zip(references, splits, strict=True)):
        try:
            ruled = rule.assign(official, question)
        except ValueError as error:
            raise RowError("problems", row, str(error)) from None
        if stored != ruled:
            raise RowError("problems", row, f"bank_split is {stored!r}, but the split rule says {ruled!r}")
    check_prompts(problems, shared_prefix)


def check_prompts(problems: Problems, shared_prefix: tuple[int, ...]) -> None:
    """Check that every prompt is longer than what all problems share of it, by model.

    Raises:
        RowError: one is not.
    """
    if found := first_true(problems.prompt_tokens <= np.asarray(shared_prefix)):
        row, model = found
        allowed = f"more than the {shared_prefix[model]} that all problems share"
        fault = f"{problems.prompt_tokens[found]} prompt tokens for model {model}; allowed: {allowed}"
        raise RowError("problems", row, fault)
