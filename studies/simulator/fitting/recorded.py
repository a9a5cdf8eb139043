"""What the bundled bank tells about the hidden state: a trace counts as right while some recorded way on ends right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.sources.simulator.process import CORRECT, FRESH, PROPAGATED
from gym_stepwise_routing.sources.simulator.score_signals import CONFIDENCE_ROWS, apportion
from gym_stepwise_routing.types import CONFIDENCE

__all__ = ["RecordedSteps", "confidence_table", "measure_confidence", "recorded_steps"]

Floats = NDArray[np.float64]
BINS = 8


@dataclass(frozen=True, slots=True, eq=False)
class RecordedSteps:
    """``E`` recorded steps: every step of every trace of some problems, each with the chance of a random route to it.

    Attributes:
        parent: ``int64[E]`` node before the step.
        child: ``int64[E]`` node after it.
        model: ``int64[E]`` who wrote it.
        depth: ``int64[E]`` steps before it.
        weight: ``float64[E]`` chance that uniformly random routing takes it, if the problem is the one it is of.
        status: ``int64[E]`` correct, fresh error or propagated error.
        solvable: ``bool[E]`` some recorded trace of the problem ends right.
    """

    parent: NDArray[np.int64]
    child: NDArray[np.int64]
    model: NDArray[np.int64]
    depth: NDArray[np.int64]
    weight: Floats
    status: NDArray[np.int64]
    solvable: NDArray[np.bool_]


def recorded_steps(bank: Bank, problems: NDArray[np.int64]) -> RecordedSteps:
    """The steps of these problems of a bank."""
    hopeful = _hopeful(bank)
    nodes = bank.problems.root[problems].astype(np.int64)
    weights, solvable = np.ones(len(nodes)), hopeful[nodes]
    columns: list[tuple[NDArray[np.generic], ...]] = []
    for depth in range(bank.manifest.horizon):
        rows, models = np.nonzero(bank.child[nodes] >= 0)
        parents, weights, solvable = nodes[rows], weights[rows] / len(bank.pool), solvable[rows]
        nodes = bank.child[parents, models].astype(np.int64)
        status = np.where(hopeful[nodes], CORRECT, np.where(hopeful[parents], FRESH, PROPAGATED))
        columns.append((parents, nodes, models, np.full(len(nodes), depth), weights, status, solvable))
    return RecordedSteps(*(np.concatenate(part) for part in zip(*columns, strict=True)))


def _hopeful(bank: Bank) -> NDArray[np.bool_]:
    """``bool[nodes]``: some recorded trace through the node ends right."""
    hopeful = bank.nodes.correct & bank.nodes.terminal
    for depth in range(bank.manifest.horizon, -1, -1):
        rows = np.flatnonzero((bank.nodes.depth == depth) & ~bank.nodes.terminal)
        children = bank.child[rows]
        hopeful[rows] = ((children >= 0) & hopeful[children]).any(axis=1)
    return hopeful


def confidence_table(bank: Bank, steps: RecordedSteps, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Borders between ``BINS`` bins of mean log-probability, and ``CONFIDENCE_ROWS`` recorded steps of each bin.

    Returns:
        ``float64[BINS - 1]``; ``float64[BINS, CONFIDENCE_ROWS, len(CONFIDENCE)]``, rounded to 4 decimals.
    """
    figures = bank.nodes.confidence[np.unique(steps.child)].astype(np.float64).round(4)
    figures = figures[np.isfinite(figures).all(axis=1)]
    first = figures[:, CONFIDENCE.index("logprob_mean")]
    borders = np.quantile(first, np.arange(1, BINS) / BINS).round(4)
    place = (first[:, None] > borders).sum(axis=1)
    rows = [figures[rng.choice(np.flatnonzero(place == z), CONFIDENCE_ROWS, replace=False)] for z in range(BINS)]
    return borders, np.stack(rows)


def measure_confidence(bank: Bank, steps: RecordedSteps, borders: Floats) -> Floats:
    """Chance of each confidence bin, ``float64[K, status, bin]``; problems that no trace solves are left out."""
    logprob = bank.nodes.confidence[steps.child, CONFIDENCE.index("logprob_mean")].astype(np.float64)
    known = np.isfinite(logprob) & steps.solvable
    place = (logprob[:, None].round(4) > borders).sum(axis=1)
    shares = np.zeros((len(bank.pool), 3, len(borders) + 1))
    np.add.at(shares, (steps.model[known], steps.status[known], place[known]), steps.weight[known])
    shares += 0.5 * shares.sum(axis=2, keepdims=True) / len(known)  # no bin is impossible
    return apportion(shares, 10_000) / 10_000
