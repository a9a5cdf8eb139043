"""Figures from ProcessBench (arXiv 2412.06559): step lengths, first-error hazards and solution lengths by generator.

ProcessBench draws right and wrong answers half and half: its rates are used as ratios, or said to be of such a sample.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["Solutions", "read_processbench"]


@dataclass(frozen=True, slots=True, eq=False)
class Solutions:
    """``N`` solutions of one set.

    Attributes:
        generator: who wrote each.
        first_error: ``int64[N]`` first wrong step, -1 if there is none.
        right: ``bool[N]`` the final answer is right.
        characters: ``N`` arrays of step lengths in characters.
    """

    generator: NDArray[np.str_]
    first_error: NDArray[np.int64]
    right: NDArray[np.bool_]
    characters: tuple[NDArray[np.int64], ...]

    def of(self, *generators: str) -> Solutions:
        """The solutions of these generators."""
        rows = np.flatnonzero(np.isin(self.generator, generators))
        return Solutions(
            self.generator[rows], self.first_error[rows], self.right[rows], tuple(self.characters[i] for i in rows)
        )

    @property
    def steps(self) -> NDArray[np.int64]:
        """Steps of each solution, ``int64[N]``."""
        return np.array([len(lengths) for lengths in self.characters])

    @property
    def exposure(self) -> tuple[int, int]:
        """First errors, and the steps on which they could have been made."""
        wrong = self.first_error >= 0
        return int(wrong.sum()), int(np.where(wrong, self.first_error + 1, self.steps).sum())

    @property
    def recovery(self) -> float:
        """Share of right answers among the solutions with an error."""
        return float(self.right[self.first_error >= 0].mean())

    def stop_hazards(self, horizon: int) -> NDArray[np.float64]:
        """Chance that step 1, ..., ``horizon`` is the last, smoothed over three steps; 1 at the horizon."""
        steps = np.minimum(self.steps, horizon)
        ends = np.array([(steps == t).sum() for t in range(1, horizon + 1)], dtype=np.float64)
        open_ = np.array([(steps >= t).sum() for t in range(1, horizon + 1)], dtype=np.float64)
        window = np.ones(3)
        hazards = np.convolve(ends, window, "same") / np.maximum(np.convolve(open_, window, "same"), 1)
        hazards[-1] = 1.0
        return hazards.round(4)

    def characters_by_status(self) -> tuple[float, float, float, float]:
        """Mean characters of a step.

        Correct in solutions without an error, correct in solutions with one, the first wrong step, later steps.
        """
        groups: tuple[list[int], ...] = ([], [], [], [])
        for error, lengths in zip(self.first_error.tolist(), self.characters, strict=True):
            for step, length in enumerate(lengths.tolist()):
                groups[0 if error < 0 else 1 + int(step >= error) + int(step > error)].append(length)
        correct, before, fresh, after = (float(np.mean(group)) for group in groups)
        return correct, before, fresh, after


def read_processbench(path: Path) -> Solutions:
    """One set, such as ``math.json``: a list of objects with steps, label, generator and final_answer_correct."""
    rows = json.loads(path.read_text(encoding="utf-8"))
    return Solutions(
        generator=np.array([row["generator"] for row in rows]),
        first_error=np.array([row["label"] for row in rows]),
        right=np.array([row["final_answer_correct"] for row in rows]),
        characters=tuple(np.array([len(step) for step in row["steps"]]) for row in rows),
    )
