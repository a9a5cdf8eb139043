"""Published figures of TRIM (arXiv 2601.10245) that the simulator is fitted to and compared with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

__all__ = ["MODELS", "Histograms", "PublishedCurve", "histograms", "stop_hazards", "threshold_curve"]

Floats = NDArray[np.float64]
MODELS = ("Qwen2.5-1.5B-Instruct", "Qwen2.5-7B-Instruct")
HORIZON = 30
PROBLEMS = 500
"""Problems of MATH-500: what the accuracies of the curve are shares of."""


@cache
def _file() -> dict[str, object]:
    file = resources.files(__package__) / "measured" / "trim.json"
    content: dict[str, object] = json.loads(file.read_text(encoding="utf-8"))
    return content


@dataclass(frozen=True, slots=True, eq=False)
class Histograms:
    """One model on MATH train, 7,500 problems; all arrays ``float64[HORIZON]``, index 0 is step 1, shares of problems.

    Attributes:
        right_length: problems answered right, by steps of the solution.
        wrong_error: problems answered wrong, by the step of the first error.
    """

    right_length: Floats
    wrong_error: Floats


def histograms(model: str) -> Histograms:
    """Histograms of one of ``MODELS``; solutions of more than ``HORIZON`` steps are counted at the horizon."""
    figures: dict[str, list[int]] = _file()["models"][model]  # type: ignore[index]

    def shares(name: str) -> Floats:
        counts = np.array(figures[name], dtype=np.float64)[1:]
        total = figures["correct_steps_count"] + figures["incorrect_steps_count"]  # type: ignore[operator]
        kept = np.zeros(HORIZON)
        kept[: min(HORIZON, len(counts))] = counts[:HORIZON]
        kept[-1] += counts[HORIZON:].sum()
        return kept / total

    return Histograms(shares("correct_steps_histogram"), shares("incorrect_steps_histogram"))


def stop_hazards(model: str) -> Floats:
    """Chance that step 1, 2, ..., ``HORIZON`` is the last, ``float64[HORIZON]``."""
    table = _file()["models"][model]["stopping"]["hazard_at_step_0_to_30"]  # type: ignore[index]
    return np.array(table, dtype=np.float64)[1:]


@dataclass(frozen=True, slots=True, eq=False)
class PublishedCurve:
    """TRIM's threshold rule on MATH-500 (500 problems), 21 thresholds; all arrays ``float64[21]``, per problem."""

    thresholds: Floats
    accuracy: Floats
    large_tokens: Floats
    large_calls: Floats
    kept_tokens: Floats
    discarded_tokens: Floats

    @property
    def small_tokens(self) -> Floats:
        """Tokens that the small model decodes, kept or not; the published last row counts none of its drafts."""
        return self.kept_tokens + self.discarded_tokens


def threshold_curve() -> PublishedCurve:
    """The published curve."""
    rows: list[dict[str, float]] = _file()["threshold_curve"]  # type: ignore[assignment]

    def column(name: str) -> Floats:
        return np.array([row[name] for row in rows])

    return PublishedCurve(
        thresholds=column("threshold"),
        accuracy=column("accuracy"),
        large_tokens=column("avg_target_tokens_per_question"),
        large_calls=column("avg_target_calls_per_question"),
        kept_tokens=column("avg_draft_tokens_per_question"),
        discarded_tokens=column("avg_discarded_draft_tokens_per_question"),
    )
