"""The trace viewer's data: routing trees of a split and the paths that entries take, in chunks that load on demand.

Step texts are our own recordings. Problem texts are not part of a bank, hence not part of the site.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.leaderboard.board import Board
from gym_stepwise_routing.leaderboard.entry_figures import normalised
from gym_stepwise_routing.types import CONFIDENCE

__all__ = ["CHUNK", "path_chunks", "problem_index", "tree_chunks"]

CHUNK = 24
"""Problems in a chunk."""
_LOGPROB_MIN = CONFIDENCE.index("logprob_min")
_ENTROPY_MEAN = CONFIDENCE.index("entropy_mean")


def tree_chunks(bank: Bank, problems: Sequence[int]) -> list[list[dict[str, Any]]]:
    """Trees of the problems, ``CHUNK`` of them in a chunk.

    A tree has the columns ``model``, ``text``, ``tokens``, ``sure`` (probability of the step's least likely token, null
    where unknown), ``entropy`` (mean, nats), ``end`` (null, or the final answer; '' for none), ``right`` and ``child``
    (one list of node numbers a node, -1 where nothing was recorded). Node 0 is the start. Where an environment answers
    the steps, ``told`` says what, in words. A bank for *restart* alone has ``restart``, and the first node of each
    larger model's run as child wherever that model may begin.
    """
    trees = [_tree(bank, int(problem)) for problem in problems]
    return [trees[start : start + CHUNK] for start in range(0, len(trees), CHUNK)]


def path_chunks(board: Board) -> list[dict[str, list[list[Any]]]]:
    """What the first run of each entry did: by its name, ``[decisions, cost, right]`` for each problem of the chunk."""
    unit = board.track.spec.cost_unit
    chunks = []
    for start in range(0, board.track.problems, CHUNK):
        rows = range(start, min(start + CHUNK, board.track.problems))
        chunk = {}
        for row in board.rows:
            outcome = row.runs[0].outcome
            cost = normalised(board.track, outcome, unit)
            decisions = row.entry.runs[0].decisions
            chunk[row.entry.name] = [[decisions[i], round(float(cost[i]), 4), int(outcome.right[i])] for i in rows]
        chunks.append(chunk)
    return chunks


def problem_index(board: Board) -> dict[str, Any]:
    """What the viewer knows before it loads a chunk.

    ``right`` has by entry one character a problem: 1 where its first run is right.
    """
    return {
        "chunk": CHUNK,
        "models": list(board.track.models),
        "routers": [{"name": row.entry.name, "title": row.entry.about.title} for row in board.rows],
        "problems": list(board.rows[0].runs[0].outcome.problems),
        "right": {
            row.entry.name: "".join("1" if right else "0" for right in row.runs[0].outcome.right) for row in board.rows
        },
    }


def _tree(bank: Bank, problem: int) -> dict[str, Any]:
    order = [int(bank.problems.root[problem])]
    place = {order[0]: 0}
    for node in order:  # grows while it is walked: breadth first, every node once although prefixes are shared
        for child in bank.child[node].tolist():
            if child >= 0 and child not in place:
                place[child] = len(order)
                order.append(child)
    rows = np.array(order)
    figures = bank.confidence[rows].astype(np.float64)
    child = [[place.get(child, -1) for child in bank.child[node].tolist()] for node in order]
    more: dict[str, Any] = {}
    if bank.nodes.feedback is not None:
        more["told"] = [_told(*feedback) for feedback in bank.nodes.feedback[rows].tolist()]
    if bank.manifest.modes == ("restart",):
        more["restart"] = True
        for node, model in enumerate(bank.model[rows].tolist()):
            if model >= 0 and not bank.terminal[order[node]]:
                child[node][model + 1 :] = child[0][model + 1 :]
    return {
        "id": bank.problem_ids[problem],
        "answer": bank.problems.answer[problem].as_py(),
        "model": bank.model[rows].tolist(),
        "text": [bank.text(node) or "" for node in order],
        "tokens": bank.tokens[rows].tolist(),
        "sure": [_rounded(value) for value in np.exp(figures[:, _LOGPROB_MIN])],
        "entropy": [_rounded(value) for value in figures[:, _ENTROPY_MEAN]],
        "end": [(bank.final_answer(node) or "") if bank.terminal[node] else None for node in order],
        "right": bank.correct[rows].astype(int).tolist(),
        "child": child,
        **more,
    }


def _told(error: float, rows: float, repeat: float) -> str:
    """What an environment answered; '' where nothing is known."""
    parts = ["error"] if error == 1 else []
    if not np.isnan(rows):
        parts.append(f"{rows:.0f} row{'' if rows == 1 else 's'}")
    if repeat == 1:
        parts.append("same command as before")
    return ", ".join(parts) if parts or np.isnan(error) else "no table"


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 3)
