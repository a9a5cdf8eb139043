"""The loop of every fuzz test: 300 inputs a reader, 10,000 by ``make fuzz`` (``FUZZ_EXAMPLES``), which notes counts."""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy
from mutations import Damaged

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "300"))
LONGEST = 5.0
"""CPU seconds that one input may take."""
MOST_MEMORY = 1 << 30
"""Bytes that the process may have at its peak, judged by ``make fuzz``, where a reader has a process of its own."""

fuzzing = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=EXAMPLES == 300,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def apart(told: Callable[[], dict[str, float]]) -> dict[str, float]:
    """What a function gives in a process of its own, whose memory is that of one reader."""
    there, here = multiprocessing.get_context("fork").Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=lambda: here.send(told()))
    process.start()
    here.close()
    try:
        return there.recv()
    except EOFError:
        pytest.fail("the reader failed: see what its process has printed")
    finally:
        process.join()


@pytest.fixture
def fuzz(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """``fuzz(inputs, read)``: every input is read, or refused by a ``ValueError`` that says something, soon.

    ``named`` is what each message has to hold, as the file's name; ``refusal`` is what is raised.
    """

    def run(
        inputs: SearchStrategy[Any],
        read: Callable[[Any], object],
        *,
        named: str = "",
        refusal: type[ValueError] = ValueError,
    ) -> None:
        counts, slowest = {"read": 0, "refused": 0}, 0.0

        @fuzzing
        @given(content=inputs)
        def each(content: Any) -> None:
            nonlocal slowest
            given_content = bytes(content) if isinstance(content, Damaged) else content
            told, began = None, time.process_time()
            try:
                read(given_content)
                counts["read"] += 1
            except refusal as fault:
                counts["refused"] += 1
                told = str(fault)
            took = time.process_time() - began
            slowest = max(slowest, took)
            assert took < LONGEST
            assert told is None or (told.strip() and named in told), f"{told!r} does not name {named!r}"

        def told() -> dict[str, float]:
            each()
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            return counts | {"slowest_seconds": slowest, "peak_bytes": peak}

        figures = told() if EXAMPLES < 10_000 else apart(told)
        for name, value in figures.items():
            record_property(name, value)
        assert figures["refused"], "no mutation was refused"
        assert EXAMPLES < 10_000 or figures["peak_bytes"] < MOST_MEMORY

    return run
