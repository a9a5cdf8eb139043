"""What a bank says by itself: each model alone, and the best that any choice of models could do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.types import SPLITS, Split

__all__ = ["Alone", "SplitSummary", "ended_trace", "reachable", "summarise"]


@dataclass(frozen=True, slots=True)
class Alone:
    """One model from the first step to the last.

    Attributes:
        model: its name.
        traces: problems of which the whole trace was recorded.
        right: how many it gets right.
        tokens: mean decoded tokens of a trace, NaN where there is none.
    """

    model: str
    traces: int
    right: int
    tokens: float


@dataclass(frozen=True, slots=True)
class SplitSummary:
    """One split of a bank.

    Attributes:
        split: its name.
        problems: how many it has.
        alone: each model alone, smallest first.
        any_alone: problems that some model alone gets right.
        reachable: problems of which some recorded trace is right: the oracle's.
    """

    split: Split
    problems: int
    alone: tuple[Alone, ...]
    any_alone: int
    reachable: int


def reachable(bank: Bank) -> NDArray[np.bool_]:
    """Whether some recorded trace through a node is right, ``bool[N]``."""
    best = (bank.terminal & bank.correct).copy()
    for depth in range(int(bank.depth.max()) - 1, -1, -1):
        rows = np.flatnonzero((bank.depth == depth) & ~bank.terminal)
        children = bank.child[rows]
        best[rows] = (best[np.maximum(children, 0)] & (children >= 0)).any(axis=1)
    return best


def ended_trace(bank: Bank, problem: int, model: int) -> list[int]:
    """Nodes after each step where one model writes all of a problem, up to the last that was recorded."""
    nodes, here = [], int(bank.problems.root[problem])
    while (here := int(bank.child[here, model])) >= 0:
        nodes.append(here)
    return nodes


def summarise(bank: Bank) -> list[SplitSummary]:
    """Every split that has problems."""
    best, root = reachable(bank), bank.problems.root
    told = []
    for split in SPLITS:
        problems = bank.split_problems(split)
        if not len(problems):
            continue
        alone, some = [], np.zeros(len(problems), dtype=np.bool_)
        for model, name in enumerate(bank.pool.names):
            traces = [ended_trace(bank, int(problem), model) for problem in problems]
            whole = np.array([bool(trace) and bool(bank.terminal[trace[-1]]) for trace in traces])
            right = np.array([bool(trace) and bool(bank.correct[trace[-1]]) for trace in traces])
            tokens = [int(bank.tokens[trace].sum()) for trace, ended in zip(traces, whole, strict=True) if ended]
            mean = float(np.mean(tokens)) if tokens else float("nan")
            alone.append(Alone(name, int(whole.sum()), int(right.sum()), mean))
            some |= right
        told.append(SplitSummary(split, len(problems), tuple(alone), int(some.sum()), int(best[root[problems]].sum())))
    return told
