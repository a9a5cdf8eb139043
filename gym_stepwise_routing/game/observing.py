"""How an observation is filled in: every block writes its columns into one array."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.game.observation import describe_features
from gym_stepwise_routing.game.trace_statistics import History, confidence_features
from gym_stepwise_routing.sources.contract import ProblemBatch, SourceState
from gym_stepwise_routing.types import TOKEN_CLASSES, Block

__all__ = ["observe", "show_question"]

_LOG_SCALE = np.float32(0.1)
_COUNTS = 1 << 15
"""Counts below it are looked up: logarithms are most of what an observation costs."""


class _Columns:
    """An observation that is written from left to right."""

    def __init__(self, batch: int, features: int) -> None:
        self.written = np.empty((batch, features), dtype=np.float32)
        self._at = 0

    def write(self, *figures: Any) -> None:
        """Columns, each an array ``[B]`` or a number."""
        for figure in figures:
            self.written[:, self._at] = figure
            self._at += 1

    def write_known(self, figures: NDArray[Any], known: NDArray[np.bool_] | None = None) -> None:
        """Figures ``[B, n]`` with 0 for what is missing (not finite), then one more column: the share that is known."""
        width = figures.shape[1]
        known = np.isfinite(figures) if known is None else known
        block = self.written[:, self._at : self._at + width]
        block[:] = figures
        np.copyto(block, np.float32(0), where=~known)
        count = known.astype(np.float32) @ np.ones(width, dtype=np.float32)
        self.written[:, self._at + width] = count.astype(np.float64) / width
        self._at += width + 1


@cache
def _logs() -> NDArray[np.float32]:
    return _scaled_log(np.arange(_COUNTS))


def _scaled_log(count: NDArray[Any]) -> NDArray[np.float32]:
    scaled: NDArray[np.float32] = np.log1p(count).astype(np.float32) * _LOG_SCALE
    return scaled


def _log(count: NDArray[np.int64]) -> NDArray[np.float32]:
    if len(count) and count.max() < _COUNTS and count.min() >= 0:
        return _logs().take(count)
    return _scaled_log(count)


def show_question(problems: ProblemBatch) -> NDArray[np.float32]:
    """The block ``question``, ``float32[B, len(QUESTION) + 2]``, which stays the same for a whole episode."""
    columns = _Columns(len(problems), problems.question.shape[1] + 2)
    columns.write(_log(problems.prompt_tokens[:, 0] - problems.shared_prefix[:, 0]))
    columns.write_known(np.log1p(problems.question) * _LOG_SCALE)
    return columns.written


def observe(
    blocks: Sequence[Block],
    *,
    horizon: int,
    question: NDArray[np.float32] | None,
    trace: SourceState,
    judged: SourceState,
    history: History,
    earlier: History | None,
    decoded: NDArray[np.int64],
    spent: NDArray[np.float64],
    probe: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Observations ``float32[B, features]``; the budget columns are left at 0 for the environment to fill in.

    Args:
        blocks: blocks in canonical order.
        horizon: most steps of a trace.
        question: what :func:`show_question` made of the problems; needed for that block alone.
        trace: the traces.
        judged: the same traces including the step whose confidence and score are shown: the traces themselves, or
            (mode *regenerate*) the traces with the pending draft, which has no length and no figures where the smallest
            model could not write one.
        history: aggregates over the traces.
        earlier: aggregates over the steps before the one that is shown; needed for the block ``verifier`` alone.
        decoded: ``int64[B, K]`` tokens decoded by each model.
        spent: ``float64[B]`` cost so far, normalised.
        probe: ``float32[B, 2]`` entropy and margin, NaN where unknown.
    """
    models = history.steps.shape[1]
    columns = _Columns(len(trace), len(describe_features(models, tuple(blocks))))
    for block in blocks:
        if block == "progress":
            columns.write(trace.depth / horizon, _log(history.tokens), _log(judged.tokens))
            columns.write(*(trace.model == model for model in range(models)))
            steps = history.steps.T
            total = np.maximum(sum(steps[1:], start=steps[0]), 1)
            columns.write(*(written / total for written in steps))
        elif block == "confidence":
            columns.write_known(confidence_features(judged.confidence))
        elif block == "aggregates":
            mean = history.total / np.maximum(history.known, 1)
            figures = np.concatenate((history.worst, mean), axis=1)
            columns.write_known(figures, np.isfinite(figures) & np.tile(history.known > 0, 2))
        elif block == "ledger":
            columns.write(spent, 0, 0, *_log(decoded).T)
        elif block == "probe":
            columns.write_known(probe)
        elif block == "verifier":
            assert earlier is not None
            known = np.isfinite(judged.score)
            score = np.where(known, judged.score, np.float32(0))
            columns.write(score, earlier.score_min, earlier.score_product, known)
        elif block == "question":
            assert question is not None
            columns.write(*question.T)
        elif block == "feedback":
            assert trace.feedback is not None  # the rules refuse the block where nothing answers
            columns.write(*_answer(trace.feedback), 1 - trace.depth / horizon, np.isfinite(trace.feedback[:, 0]))
        elif block == "token_classes":
            assert judged.classes is not None  # likewise
            columns.write_known(_by_class(judged.classes))
    return columns.written


def _answer(feedback: NDArray[np.float32]) -> tuple[NDArray[Any], ...]:
    """Error, empty, rows and repeat as features, 0 where missing."""
    error, rows, repeat = feedback.T
    return error == 1, rows == 0, _scaled_log(np.nan_to_num(rows)), repeat == 1


def _by_class(classes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Share of the table tokens, then mean and least probability and mean entropy of each class; NaN where missing."""
    (table, *first), (other, *second) = classes.T.reshape(len(TOKEN_CLASSES), -1, len(classes))
    columns = [table / np.maximum(table + other, 1)]
    for logprob_mean, logprob_min, entropy in (first, second):
        columns += [np.exp(logprob_mean), np.exp(logprob_min), entropy]
    return np.column_stack(columns)
