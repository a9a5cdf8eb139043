"""A recording in one process: grow, write down, go on where a kill left off."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gym_stepwise_routing.datasets.problem import Problem
from gym_stepwise_routing.generators.generator import Generator
from gym_stepwise_routing.recorder.drawn_samples import FIRST_LOOK, check_samples
from gym_stepwise_routing.recorder.grow import RecordingStats, grow_trees
from gym_stepwise_routing.recorder.settings import RecordingSettings
from gym_stepwise_routing.recorder.store import TreeStore

__all__ = ["record"]


def record(
    problems: Iterable[Problem],
    generators: Sequence[Generator],
    store: TreeStore,
    settings: RecordingSettings,
    *,
    shared_prefix: Sequence[int] | None = None,
    on_tree: Callable[[RecordingStats, dict[str, Any]], None] | None = None,
) -> RecordingStats:
    """Record the tree of every problem that the store does not have yet.

    Args:
        problems: problems in the order in which they are started.
        generators: the model pool, smallest first.
        store: where complete trees go.
        settings: see there.
        shared_prefix: prompt tokens that all problems share, by model; None: nothing is known to be shared.
        on_tree: called after every tree that has been written.

    Raises:
        RecordingError: too many problems in a row failed, or the samples of a model are copies.
        OSError: the disk is full.
        ValueError: fewer than two generators.

    In every case the trees recorded before are safe.
    """
    stats = RecordingStats([0] * len(generators))
    waiting = (problem for problem in problems if problem.id not in store.ids)
    first: list[dict[str, Any]] = []
    names = [f"{g.name}#{number}" for g in generators for number in range(1, settings.samples + 1)]
    for tree in grow_trees(waiting, generators, settings, stats, shared_prefix=shared_prefix):
        store.append(tree)
        if settings.samples > 1 and len(first) < FIRST_LOOK:
            first.append(tree)
            check_samples(first if len(first) == FIRST_LOOK else (), names, settings.samples)
        if on_tree is not None:
            on_tree(stats, tree)
    return stats
