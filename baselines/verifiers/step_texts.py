"""The texts that a verifier reads: a question and the steps so far, of every node of a bank that has a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.errors import NotApplicableError

__all__ = ["Trace", "bank_traces"]


@dataclass(frozen=True, slots=True)
class Trace:
    """A question and the steps so far, the last of which is to be judged."""

    question: str
    steps: tuple[str, ...]


def bank_traces(bank: Bank, questions: Sequence[str]) -> dict[int, Trace]:
    """The trace up to every step of a bank that has a text, by node.

    Args:
        bank: the bank.
        questions: question of each problem, see :func:`gym_stepwise_routing.banks.questions.join_questions`.

    Raises:
        NotApplicableError: the bank holds no step texts.
    """
    starts = {int(row): Trace(questions[problem], ()) for problem, row in enumerate(bank.problems.root)}
    traces: dict[int, Trace] = {}
    for row in np.argsort(bank.depth, kind="stable"):
        if bank.depth[row] == 0 or (text := bank.text(row)) is None:
            continue
        parent = int(bank.nodes.parent[row])
        before = starts[parent] if parent in starts else traces[parent]
        traces[int(row)] = Trace(before.question, (*before.steps, text))
    if not traces:
        raise NotApplicableError(f"bank {bank.name!r} holds no step texts; a verifier that reads needs them")
    return traces
