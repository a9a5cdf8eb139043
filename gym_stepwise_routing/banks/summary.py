"""What a bank says by itself: each model alone, and the best that any choice of models could do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.types import SPLITS, Split

__all__ = ["Alone", "SplitSummary", "best_chance", "ended_trace", "summarise"]


@dataclass(frozen=True, slots=True)
class Alone:
    """One model from the first step to the last.

    Attributes:
        model: its name.
        traces: problems of which the whole trace was recorded.
        right: how many it gets right; expected, where steps were drawn.
        tokens: mean decoded tokens of a trace, NaN where there is none.
    """

    model: str
    traces: int
    right: float
    tokens: float


@dataclass(frozen=True, slots=True)
class SplitSummary:
    """One split of a bank.

    Attributes:
        split: its name.
        problems: how many it has.
        alone: each model alone, smallest first.
        any_alone: problems that the best model alone for each gets right.
        reachable: problems that the best choice of models at every prefix gets right: the oracle's. Where steps were
            drawn it knows their chances, and not which of them comes.
    """

    split: Split
    problems: int
    alone: tuple[Alone, ...]
    any_alone: float
    reachable: float


def best_chance(bank: Bank, model: int | None = None) -> NDArray[np.float64]:
    """Chance of a right answer from each node on, ``float64[N]``, NaN where no trace was recorded.

    A step is one of its recorded samples, all alike likely; where there is one of each, the chance is 0 or 1.

    Args:
        bank: the bank.
        model: the model that writes all the rest; None: at every prefix the best one for what is to be expected.
    """
    samples, models = bank.manifest.samples or 1, len(bank.manifest.played)
    best = np.where(bank.terminal, bank.correct.astype(np.float64), np.nan)
    for depth in range(int(bank.depth.max()) - 1, -1, -1):
        rows = np.flatnonzero((bank.depth == depth) & ~bank.terminal)
        children = bank.child[rows]
        after = np.where(children >= 0, best[np.maximum(children, 0)], np.nan).reshape(len(rows), models, samples)
        known = np.isfinite(after)
        mean = np.where(known, after, 0.0).sum(axis=2) / np.maximum(known.sum(axis=2), 1)
        mean = np.where(known.any(axis=2), mean, -1.0)
        chosen = mean.max(axis=1) if model is None else mean[:, model]
        best[rows] = np.where(chosen < 0, np.nan, chosen)
    return best


def ended_trace(bank: Bank, problem: int, model: int) -> list[int]:
    """Nodes after each step where one model (or sample of it) writes all of a problem, as far as it was recorded."""
    nodes, here = [], int(bank.problems.root[problem])
    while (here := int(bank.child[here, model])) >= 0:
        nodes.append(here)
    return nodes


def summarise(bank: Bank) -> list[SplitSummary]:
    """Every split that has problems."""
    names, samples, root = bank.manifest.played.names, bank.manifest.samples or 1, bank.problems.root
    best, alone = best_chance(bank)[root], [best_chance(bank, model)[root] for model in range(len(names))]
    told = []
    for split in SPLITS:
        problems = bank.split_problems(split)
        if not len(problems):
            continue
        rows = []
        for model, name in enumerate(names):
            chances = alone[model][problems]
            columns = range(model * samples, (model + 1) * samples)
            traces = [ended_trace(bank, int(problem), column) for problem in problems for column in columns]
            tokens = [int(bank.tokens[trace].sum()) for trace in traces if trace and bank.terminal[trace[-1]]]
            mean = float(np.mean(tokens)) if tokens else float("nan")
            rows.append(Alone(name, int(np.isfinite(chances).sum()), float(np.nansum(chances)), mean))
        either = np.nan_to_num(np.stack([chances[problems] for chances in alone])).max(axis=0)
        oracle = float(np.nansum(best[problems]))
        told.append(SplitSummary(split, len(problems), tuple(rows), float(either.sum()), oracle))
    return told
