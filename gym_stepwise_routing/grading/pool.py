"""Many answers graded at a time, by graders of which each has a warm worker process of its own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

from gym_stepwise_routing.datasets.problem import Problem
from gym_stepwise_routing.grading.grader import GRADERS, Grade, GradeFunction, Grading

__all__ = ["GraderPool"]


class GraderPool:
    """Grades texts in the order in which they come, ``workers`` at a time; worker processes start once and stay.

    Args:
        grading: name of the grader.
        workers: texts graded at a time, >= 1; None: one for each processor.

    Raises:
        ValueError: an unknown grader, or ``workers`` below 1.
        ImportError: the grader's package is missing.
    """

    def __init__(self, grading: Grading, workers: int | None = None) -> None:
        count = len(os.sched_getaffinity(0)) if workers is None else workers
        if count < 1:
            raise ValueError(f"workers={workers!r}; allowed: an integer >= 1")
        self._graders = [GRADERS.get(grading).make() for _ in range(count)]
        self._free: SimpleQueue[GradeFunction] = SimpleQueue()
        for grader in self._graders:
            self._free.put(grader)
        self._threads = ThreadPoolExecutor(count)

    def __call__(self, texts: Iterable[tuple[str, Problem]]) -> Iterator[Grade]:
        """The grades of texts with their problems, in order."""
        return self._threads.map(self._grade, texts)

    def close(self) -> None:
        """End the worker processes."""
        self._threads.shutdown()
        for grader in self._graders:
            if close := getattr(grader, "close", None):
                close()

    def __enter__(self) -> GraderPool:
        """The pool itself."""
        return self

    def __exit__(self, *_: Any) -> None:
        """End the worker processes."""
        self.close()

    def _grade(self, item: tuple[str, Problem]) -> Grade:
        grader = self._free.get()
        try:
            return grader(*item)
        finally:
            self._free.put(grader)
