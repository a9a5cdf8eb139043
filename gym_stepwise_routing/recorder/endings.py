"""An account of how the traces of a recording end, by model, and what is wrong where too many end without an answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import comb
from typing import Any

from gym_stepwise_routing.banks.manifest import Endings

__all__ = ["EARLY", "count_endings", "ending_warnings", "grade_warnings"]

EARLY = 20
"""Problems after which a recording is looked at for the first time."""
_MOST_UNANSWERED, _MOST_EMPTY, _FEWEST = 0.2, 0.05, 20
"""Shares of a model's traces above which something is wrong, and traces of which the share alone says so."""
_CHANCE = 0.05
"""Of fewer traces, chance below which as many as there are would be, were the share no more than it may be."""
_SILENT = 8
"""Tokens without text that a step may end with: those of a stop string, of the end, of a part of a character."""
_CAUSES = {
    "answer": "what ends a trace is no answer that the grader reads: look at --grading",
    "stop": "models end, or a stop string ends them, before they answer or while they think: look at --prompt, --step, "
    "--max-tokens and chat=true",
    "length": "the token limit cuts traces off: raise --max-tokens",
    "repetition": "models repeat themselves until they are cut off: look at --prompt, --horizon and chat=true",
    "empty": "models write nothing: the prompt's form or the continuation is not theirs; look at chat=true",
}


def count_endings(trees: Iterable[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Endings]:
    """Endings of all traces, by the name of the model that wrote the last step.

    Args:
        trees: trees in the interchange form; ends of before endings were kept count as traces alone.
        names: the pool, smallest first.
    """
    counts = [dict.fromkeys(("traces", "unanswered", *_CAUSES), 0) for _ in names]
    hidden = [0] * len(names)
    for tree in trees:
        for node in tree["nodes"]:
            if "text" in node and node.get("tokens", 0) > len(node["text"].encode(errors="replace")) + _SILENT:
                hidden[node["model"]] += 1
            if "terminal" not in node:
                continue
            count = counts[node["model"]]
            count["traces"] += 1
            count["unanswered"] += node["final_answer"] is None
            if "ending" in node:
                count[_kind(node)] += 1
    return {
        name: Endings(**count, hidden=unseen or None) for name, count, unseen in zip(names, counts, hidden, strict=True)
    }


def _kind(node: Mapping[str, Any]) -> str:
    """Why a trace ended; one whose last model wrote nothing that can be seen, and that has no answer, is empty."""
    seen = any(character.isprintable() and not character.isspace() for character in node["text"])
    return "empty" if not seen and node["final_answer"] is None else str(node["ending"])


def _too_many(count: int, traces: int, share: float) -> bool:
    """Whether more traces than a share of them are so; of fewer than 20 only where that is no chance."""
    if count <= share * traces or traces >= _FEWEST:
        return count > share * traces
    chances = (comb(traces, k) * share**k * (1 - share) ** (traces - k) for k in range(count, traces + 1))
    return sum(chances) < _CHANCE


def ending_warnings(endings: Mapping[str, Endings]) -> list[str]:
    """What is wrong with a recording, each with its likely cause; of fewer than 20 traces only what is no chance."""
    told = []
    for name, count in endings.items():
        if count.hidden:
            told.append(
                f"{name}: {count.hidden} steps have more tokens than text: they hold thoughts that the server hides, "
                "which are charged"
            )
        if _too_many(count.unanswered, count.traces, _MOST_UNANSWERED):
            likely = _likely(count)
            told.append(
                f"{name}: {count.unanswered / count.traces:.0%} of {count.traces} traces have no readable answer; "
                f"{_CAUSES[likely]}"
            )
        if _too_many(count.empty, count.traces, _MOST_EMPTY):
            told.append(
                f"{name}: {count.empty / count.traces:.0%} of {count.traces} traces are empty; {_CAUSES['empty']}"
            )
    return told


def grade_warnings(traces: int, right: int) -> list[str]:
    """What is wrong where no trace at all is right: no router can be told from another by such a bank.

    Args:
        traces: ended traces, of all models.
        right: how many of them are right.
    """
    if right or not traces:
        return []
    return [f"none of {traces:,} traces is graded as right: look at --grading, and at the answers of the dataset"]


def _likely(count: Endings) -> str:
    """The ending of most traces without an answer; one by a stated answer mostly has one, and counts for the rest."""
    counts = {kind: getattr(count, kind) for kind in _CAUSES if kind != "answer"}
    counts["answer"] = count.unanswered - sum(counts.values())
    return max(counts, key=counts.__getitem__)
