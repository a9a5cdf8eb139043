"""Exact expectations of simple routers, by pushing the distribution over hidden states forward: no sampling.

:func:`threshold_rule` is TRIM-Thr (arXiv 2601.10245): the smallest model drafts each step, and the largest rewrites the
drafts that the verifier scores below the threshold. :func:`solo` lets one model write everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.sources.simulator.process import CORRECT, FRESH, PROPAGATED, Process
from gym_stepwise_routing.sources.simulator.score_signals import SCORE_BINS

__all__ = ["Expected", "Solo", "solo", "threshold_rule"]

Floats = NDArray[np.float64]
_LEAST = np.minimum(np.arange(SCORE_BINS)[:, None], np.arange(SCORE_BINS))
_MOVES = (_LEAST[:, :, None] == np.arange(SCORE_BINS)).astype(np.float64)
"""``[least score so far, score, least score after]``: 1 where the move is possible."""


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """Expectations per problem of a router at ``T`` thresholds, in mode *regenerate*; all arrays ``float64[T]``.

    Attributes:
        accuracy: share of right answers.
        large_tokens: tokens decoded by the largest model.
        large_calls: steps written by the largest model.
        kept_tokens: tokens of kept drafts.
        discarded_tokens: tokens of discarded drafts.
        steps: steps of the trace.
    """

    accuracy: Floats
    large_tokens: Floats
    large_calls: Floats
    kept_tokens: Floats
    discarded_tokens: Floats
    steps: Floats

    @property
    def small_tokens(self) -> Floats:
        """Tokens that the smallest model decodes, kept or not."""
        return self.kept_tokens + self.discarded_tokens


def threshold_rule(process: Process, thresholds: Sequence[float]) -> Expected:
    """TRIM-Thr: the largest model rewrites a draft iff its score is below the threshold.

    At 1 the largest model writes everything without drafts, as in the published curve.

    Args:
        process: a process with verifier scores for all models.
        thresholds: multiples of 1 / SCORE_BINS in [0, 1].

    Raises:
        ValueError: another threshold, or a model without scores.
    """
    bins = np.rint(np.asarray(thresholds) * SCORE_BINS)
    if ((bins < 0) | (bins > SCORE_BINS) | (abs(bins - np.asarray(thresholds) * SCORE_BINS) > 1e-9)).any():
        raise ValueError(f"thresholds={list(thresholds)!r}; allowed: multiples of {1 / SCORE_BINS} from 0 to 1")
    if not process.scored.all():
        raise ValueError("the threshold rule needs scores; allowed: a simulator whose verifier scores every model")
    large = len(process.scored) - 1
    alone = solo(process, large)
    rows = _drafting(process, large, np.arange(SCORE_BINS) < bins[:, None])
    always = [alone.accuracy, alone.tokens, alone.steps, 0.0, 0.0, alone.steps]
    return Expected(*np.where(bins == SCORE_BINS, np.array(always)[:, None], rows))


def _drafting(process: Process, large: int, low: NDArray[np.bool_]) -> Floats:
    """The fields of :class:`Expected`, ``[6, T]``, where the scores ``low`` (``bool[T, bins]``) are rewritten."""
    score = process.scores[process.group].swapaxes(0, 1)  # [status, least so far, score]
    keep = np.einsum("cmx,kx,mxn->kcmn", score, ~low, _MOVES)
    read = np.einsum("cmx,mxn->cmn", score, _MOVES)
    rejected = np.einsum("cmx,kx->kcm", score, low)[:, :, None]  # [T, status, 1, least so far]
    length, levels, count = process.mean_tokens, len(process.shares), len(low)
    # [T, right or wrong, level, least score so far]
    open_ = np.zeros((count, 2, levels, SCORE_BINS))
    open_[:, 0, :, -1] = process.shares
    ended = np.zeros((count, 2, levels))
    large_tokens, kept_tokens, discarded, calls, steps = np.zeros((5, count))
    for depth in range(process.horizon):
        flip = process.flip[:, 0, :, depth, None]
        again = process.rewrite_flip(large, depth)[..., None]
        stays, flips = open_ * (1 - flip), open_ * flip  # what the draft does to right (0) and wrong (1) traces
        kept = np.stack(
            [
                (stays[:, 0] + flips[:, 1]) @ keep[:, CORRECT],
                flips[:, 0] @ keep[:, FRESH] + stays[:, 1] @ keep[:, PROPAGATED],
            ],
            axis=1,
        )
        bad_stays = stays * rejected[:, [CORRECT, PROPAGATED]]
        bad_flips = flips * rejected[:, [FRESH, CORRECT]]
        turned = bad_stays * again[:, :, 0] + bad_flips * again[:, :, 1]  # the rewritten step flips the trace
        held = bad_stays + bad_flips - turned
        right, fresh, propagated = held[:, 0] + turned[:, 1], turned[:, 0], held[:, 1]
        rewritten = np.stack([right @ read[CORRECT], fresh @ read[FRESH] + propagated @ read[PROPAGATED]], axis=1)
        drafts = _by_status(stays[:, 0] + flips[:, 1], flips[:, 0], stays[:, 1])
        thrown = _by_status(bad_stays[:, 0] + bad_flips[:, 1], bad_flips[:, 0], bad_stays[:, 1])
        calls += rewritten.sum(axis=(1, 2, 3))
        steps += (rewritten + kept).sum(axis=(1, 2, 3))
        large_tokens += (_by_status(right, fresh, propagated) * length[large]).sum(axis=(1, 2))
        kept_tokens += ((drafts - thrown) * length[0]).sum(axis=(1, 2))
        discarded += (thrown * length[0]).sum(axis=(1, 2))
        small_stops, large_stops = process.stop[0, depth], process.stop[large, depth]
        ended += (kept * small_stops + rewritten * large_stops).sum(axis=3)
        open_ = kept * (1 - small_stops) + rewritten * (1 - large_stops)
    accuracy = ended[:, 0].sum(axis=1) + ended[:, 1] @ process.recovery
    return np.stack([accuracy, large_tokens, calls, kept_tokens, discarded, steps])


def _by_status(right: Floats, fresh: Floats, propagated: Floats) -> Floats:
    """Steps by level and status, ``[T, L, status]``, from ``[T, L, least score so far]`` of each status."""
    return np.stack([right.sum(axis=2), fresh.sum(axis=2), propagated.sum(axis=2)], axis=2)


@dataclass(frozen=True, slots=True, eq=False)
class Solo:
    """One model alone. Histograms are over steps 1 to the horizon, per problem.

    Attributes:
        accuracy: share of right answers.
        tokens: tokens decoded.
        steps: steps of the trace.
        right_length: ``[H]`` share of problems answered right in that many steps.
        wrong_error: ``[H]`` share of problems answered wrong whose first error is at that step.
    """

    accuracy: float
    tokens: float
    steps: float
    right_length: Floats
    wrong_error: Floats


def solo(process: Process, model: int) -> Solo:
    """Expectations for a model that writes every step itself."""
    levels, horizon = len(process.shares), process.horizon
    stop, flip = process.stop[model], process.flip[:, model]
    goal = np.stack([np.ones(levels), process.recovery])  # chance of a right answer, if a right or wrong trace ends
    hope = np.zeros((horizon + 1, 2, levels))  # the same, if it goes on with step t
    for depth in range(horizon - 1, -1, -1):
        done = stop[depth] * goal + (1 - stop[depth]) * hope[depth + 1]
        hope[depth] = (1 - flip[:, :, depth]) * done + flip[:, :, depth] * done[::-1]
    clean, dirty = process.shares.copy(), np.zeros((2, levels))  # never wrong so far; wrong at some time (right, wrong)
    right_length, wrong_error = np.zeros(horizon), np.zeros(horizon)
    tokens = steps = 0.0
    for depth in range(horizon):
        error, repair = flip[0, :, depth], flip[1, :, depth]
        lost = 1 - stop[depth] * process.recovery - (1 - stop[depth]) * hope[depth + 1, 1]
        wrong_error[depth] = (clean * error) @ lost
        right, wrong = dirty
        fresh, propagated = (right + clean) * error, wrong * (1 - repair)
        dirty = np.stack([right * (1 - error) + wrong * repair, propagated + fresh])
        clean = clean * (1 - error)
        written = np.stack([clean + dirty[0], fresh, propagated], axis=1)
        tokens += float((written * process.mean_tokens[model]).sum())
        steps += float(clean.sum() + dirty.sum())
        right_length[depth] = stop[depth] * float((clean + dirty[0]).sum() + dirty[1] @ process.recovery)
        clean, dirty = clean * (1 - stop[depth]), dirty * (1 - stop[depth])
    return Solo(float(right_length.sum()), tokens, steps, right_length, wrong_error)
