"""Whether the samples of a model differ: a server that ignores the temperature writes one text again and again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gym_stepwise_routing.errors import RecordingError

__all__ = ["FIRST_LOOK", "check_samples"]

FIRST_LOOK = 5
"""Trees after which a recording of samples is looked at."""
_FEWEST = 3
"""Prefixes at which all samples must be the same before anything is said."""


def check_samples(trees: Iterable[Mapping[str, Any]], names: Sequence[str], samples: int) -> None:
    """Refuse a bank of copies.

    Args:
        trees: trees in the interchange form.
        names: the pool, ``samples`` entries of each model one after the other.
        samples: samples of each model at each prefix.

    Raises:
        RecordingError: all samples of a model are the same text at every prefix, of three or more.
    """
    if samples == 1:
        return
    models = len(names) // samples
    prefixes, differing = [0] * models, [0] * models
    for tree in trees:
        written: dict[tuple[int, int], list[str]] = {}
        for node in tree["nodes"]:
            if node["parent"] is not None:
                written.setdefault((node["parent"], node["model"] // samples), []).append(node["text"])
        for (_, model), texts in written.items():
            prefixes[model] += len(texts) == samples
            differing[model] += len(texts) == samples and len(set(texts)) > 1
    for model, (seen, differs) in enumerate(zip(prefixes, differing, strict=True)):
        if seen >= _FEWEST and not differs:
            name = names[model * samples].rpartition("#")[0]
            raise RecordingError(
                f"{name}: its {samples} samples are the same text at each of {seen} prefixes: its server ignores the "
                "temperature, or the seed; allowed: a server that draws (see stepwise-routing check), or one sample"
            )
