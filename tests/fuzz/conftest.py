"""The loop of every fuzz test: 300 inputs a reader, 10,000 by ``make fuzz`` (``FUZZ_EXAMPLES``), which notes counts.

With ``FUZZ_ENGINE=atheris`` (``make fuzz-guided``) the inputs are not drawn at random: atheris follows the branches
that they take.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import resource
import time
from collections.abc import Callable
from types import FunctionType
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy
from mutations import Damaged

PACKAGE = "gym_stepwise_routing"
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "300"))
GUIDED = os.environ.get("FUZZ_ENGINE", "hypothesis") == "atheris"
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


def apart(play: Callable[[], None]) -> None:
    """Do it in a process of its own, whose memory is that of one reader."""
    process = multiprocessing.get_context("fork").Process(target=play)
    process.start()
    process.join()
    if process.exitcode:
        pytest.fail(f"the reader failed with status {process.exitcode}: see what its process has printed")


def guided(each: Any) -> None:
    """Let atheris choose the inputs. It ends the process."""
    atheris = pytest.importorskip("atheris", reason="needs atheris: make fuzz-guided")
    for function in [item for item in gc.get_objects() if isinstance(item, FunctionType)]:
        if function.__module__ and function.__module__.startswith(PACKAGE):
            atheris.instrument_func(function)
    atheris.Setup(["fuzz", f"-runs={EXAMPLES}", "-len_control=0", "-max_len=2048"], each.hypothesis.fuzz_one_input)
    atheris.Fuzz()


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
        figures = multiprocessing.Array("d", 4, lock=False)  # read, refused, slowest input, peak: of another process

        @fuzzing
        @given(content=inputs)
        def each(content: Any) -> None:
            given_content = bytes(content) if isinstance(content, Damaged) else content
            told, began = None, time.process_time()
            try:
                read(given_content)
            except refusal as fault:
                told = str(fault)
            took = time.process_time() - began
            figures[told is not None] += 1
            figures[2] = max(figures[2], took)
            figures[3] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            assert took < LONGEST
            assert told is None or (told.strip() and named in told), f"{told!r} does not name {named!r}"

        if GUIDED:
            apart(lambda: guided(each))
        elif EXAMPLES >= 10_000:
            apart(each)
        else:
            each()
        for name, value in zip(("read", "refused", "slowest_seconds", "peak_bytes"), figures, strict=True):
            record_property(name, value if name == "slowest_seconds" else int(value))
        assert figures[1], "no mutation was refused"
        assert EXAMPLES < 10_000 or figures[3] < MOST_MEMORY

    return run
