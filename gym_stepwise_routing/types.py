"""The words that everything shares: modes, splits, blocks, names of figures, and the struct of arrays they come in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import cache
from operator import attrgetter
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BLOCKS",
    "CONFIDENCE",
    "DEFAULT_BLOCKS",
    "FEEDBACK",
    "MAX_HORIZON",
    "MODES",
    "QUESTION",
    "SOURCES",
    "SPLITS",
    "TOKEN_CLASSES",
    "TOKEN_CLASS_FIGURES",
    "TRUNCATIONS",
    "VERSION",
    "Batch",
    "Block",
    "Mode",
    "SourceKind",
    "Split",
]

VERSION = "0.2.0"
"""Version of the package, which what it writes carries."""

MAX_HORIZON = 1000
"""Most steps that a trace may have at most: some arrays have a column for each."""

Mode = Literal["route", "escalate", "regenerate", "restart"]
MODES: tuple[Mode, ...] = get_args(Mode)

Split = Literal["train", "calibration", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

SourceKind = Literal["bank", "simulator", "live"]
SOURCES: tuple[SourceKind, ...] = get_args(SourceKind)
"""Kinds of sources, in the order of their numbers in ``info["source"]``."""

TRUNCATIONS = ("", "horizon", "no_model", "budget")
"""Why an episode was truncated, in the order of their numbers in ``info["truncated_by"]``; 0 where it was not."""

Block = Literal[
    "progress", "confidence", "aggregates", "ledger", "probe", "verifier", "question", "feedback", "token_classes"
]
"""Blocks of the observation; see :mod:`gym_stepwise_routing.game.observation`."""
BLOCKS: tuple[Block, ...] = get_args(Block)
DEFAULT_BLOCKS: tuple[Block, ...] = ("progress", "confidence", "aggregates", "ledger", "question")

CONFIDENCE = (
    "logprob_mean",
    "logprob_min",
    "entropy_mean",
    "entropy_max",
    "entropy_first",
    "margin_mean",
    "margin_min",
    "margin_first",
    "top1_mean",
)
"""Confidence figures of a step, in this order: natural log-probabilities of the chosen tokens; entropies in nats (from
the top log-probabilities plus one bucket for the rest); probability of the most likely minus the second token; mean
probability of the most likely token. ``first`` is the first token of the step."""

FEEDBACK = ("error", "rows", "repeat")
"""What an environment answered to the action that is the last step, in this order: 1 if it answered with an error (or
found no action in the step), else 0; rows of its answer, NaN where the answer is no table; 1 if the action is one that
the trace has taken before, else 0. NaN where nothing is known."""

TOKEN_CLASSES = ("table", "other")
"""Classes of the tokens of a step about a table: those that stand in a word or number of the table, and the rest."""
TOKEN_CLASS_FIGURES = tuple(
    f"{name}_{figure}" for name in TOKEN_CLASSES for figure in ("tokens", "logprob_mean", "logprob_min", "entropy_mean")
)
"""Figures of a step by class of token, in this order: how many tokens; mean and least natural log-probability of the
chosen tokens; mean entropy in nats. The last three are NaN where the step has no token of the class, all are where it
is not known which token is of which class."""

QUESTION = ("characters", "words", "sentences", "numbers")
"""Counts over the question text, in this order; NaN where the source does not know the text."""


def _take(value: Any, rows: NDArray[Any]) -> Any:
    if isinstance(value, np.ndarray):
        return value.take(rows, 0)
    if isinstance(value, dict):
        return {key: part.take(rows, 0) for key, part in value.items()}
    return None if value is None else value.take(rows)


def _join(value: Any, other: Any) -> Any:
    if value is None or other is None:
        return None
    if isinstance(value, np.ndarray):
        return np.concatenate((value, other))
    if isinstance(value, dict):
        return {key: np.concatenate((part, other[key])) for key, part in value.items()}
    return value.join(other)


def _put(value: Any, other: Any, rows: NDArray[Any]) -> Any:
    if isinstance(value, dict):
        return {key: _put(part, other[key], rows) for key, part in value.items()}
    if isinstance(value, Batch):
        return value.put(rows, other)
    if value is None or other is None:
        return None
    merged: NDArray[Any] = value.copy()
    merged[rows] = other
    return merged


@cache
def _columns(kind: type) -> Callable[[Any], tuple[Any, ...]]:
    """What takes the columns out of a batch, all at once."""
    names = [field.name for field in fields(kind)]
    return attrgetter(*names) if len(names) > 1 else lambda batch: (getattr(batch, names[0]),)


class Batch:
    """Mixin for a dataclass of arrays with equally many rows (or dicts of such arrays, or further batches, or None)."""

    __slots__ = ()

    def take(self, rows: NDArray[Any]) -> Self:
        """The rows ``rows`` (indices or a mask) as a batch of their own."""
        rows = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        return type(self)(*[_take(column, rows) for column in _values(self)])

    def join(self, other: Self) -> Self:
        """These rows, and then those of ``other``."""
        return type(self)(*map(_join, _values(self), _values(other)))

    def put(self, rows: NDArray[Any], other: Self) -> Self:
        """A copy in which ``rows`` are those of ``other``, which has as many rows as ``rows`` selects."""
        pairs = zip(_values(self), _values(other), strict=True)
        return type(self)(*[_put(value, new, rows) for value, new in pairs])

    def __len__(self) -> int:
        return len(_values(self)[0])


def _values(batch: Batch) -> tuple[Any, ...]:
    return _columns(type(batch))(batch)  # type: ignore[arg-type]
