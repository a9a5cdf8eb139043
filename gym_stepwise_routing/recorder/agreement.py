"""How far two recordings of the same problems agree: numerical ties make a repeated recording differ in places."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Agreement", "agreement"]

_Sequence = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Counts over the nodes of the first recording, twins counted under each of their model sequences.

    Attributes:
        problems: problems in both recordings.
        steps: steps (problem and sequence of models) in the first recording.
        identical: of these, how many have the same text in the second.
        same_prefix: steps whose whole prefix has the same text in both: here the same models read the same prompt.
        identical_given_prefix: of these, how many have the same text.
        leaves: sequences that end in the first recording.
        same_verdict: of these, how many end in the second too and are right in both or wrong in both.
        largest_difference: largest difference of a confidence figure over identical steps with identical prefixes.
    """

    problems: int
    steps: int
    identical: int
    same_prefix: int
    identical_given_prefix: int
    leaves: int
    same_verdict: int
    largest_difference: float


_FIGURES = ("logprob_min", "entropy_mean", "entropy_first", "margin_mean", "margin_first", "top1_mean")


def agreement(first: Iterable[Mapping[str, Any]], second: Iterable[Mapping[str, Any]]) -> Agreement:
    """Compare the trees (objects of the interchange form) of the problems that both recordings have."""
    others = {_key(tree): _by_sequence(tree) for tree in second}
    problems = steps = identical = same_prefix = given_prefix = leaves = verdicts = 0
    largest = 0.0
    for tree in first:
        other = others.get(_key(tree))
        if other is None:
            continue
        problems += 1
        mine = _by_sequence(tree)
        for sequence, node in mine.items():
            equal = _same_text(mine, other, sequence)
            prefix = all(_same_text(mine, other, sequence[:length]) for length in range(1, len(sequence)))
            steps += 1
            identical += equal
            same_prefix += prefix
            given_prefix += equal and prefix
            if equal and prefix:
                largest = max(largest, _difference(node, other[sequence]))
            if node.get("terminal"):
                leaves += 1
                twin = other.get(sequence, {})
                verdicts += bool(twin.get("terminal")) and twin["correct"] == node["correct"]
    return Agreement(problems, steps, identical, same_prefix, given_prefix, leaves, verdicts, largest)


def _key(tree: Mapping[str, Any]) -> tuple[str, str, int]:
    problem = tree["problem"]
    return problem["dataset"], problem["split"], problem["index"]


def _by_sequence(tree: Mapping[str, Any]) -> dict[_Sequence, Mapping[str, Any]]:
    """Nodes by the models that wrote their steps."""
    nodes = {node["id"]: node for node in tree["nodes"]}
    children: dict[int, list[Mapping[str, Any]]] = {}
    for node in tree["nodes"]:
        if node["parent"] is not None:
            children.setdefault(node["parent"], []).append(node)
    found: dict[_Sequence, Mapping[str, Any]] = {}
    waiting: list[tuple[int, _Sequence]] = [(node["id"], ()) for node in tree["nodes"] if node["parent"] is None]
    while waiting:
        identity, sequence = waiting.pop()
        for child in children.get(nodes[identity].get("same_as", identity), ()):
            longer = (*sequence, child["model"])
            found[longer] = child
            waiting.append((child["id"], longer))
    return found


def _same_text(
    one: Mapping[_Sequence, Mapping[str, Any]], other: Mapping[_Sequence, Mapping[str, Any]], sequence: _Sequence
) -> bool:
    return sequence in one and sequence in other and one[sequence]["text"] == other[sequence]["text"]


def _difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    pairs = [(one[figure], other[figure]) for figure in _FIGURES if figure in one and figure in other]
    return max((abs(a - b) for a, b in pairs), default=0.0)
