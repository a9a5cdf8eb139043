"""What a process that checks an entry may take, and how the processes that a router starts are ended with it."""

from __future__ import annotations

import ctypes
import math
import os
import resource
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["LIMITS", "Limits", "adopt_orphans", "end_below", "end_with_parent", "limit_memory", "limit_seconds"]

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_ROUNDS = 1000


@dataclass(frozen=True, slots=True)
class Limits:
    """What the check of an entry may take.

    Attributes:
        seconds: of the processor, for everything but running its routers again.
        rerun_seconds: of the processor, for running one of its routers again; of the clock where it ships code.
        memory: bytes of data of each process.
    """

    seconds: float = 300.0
    rerun_seconds: float = 3600.0
    memory: int = 4 * 2**30


LIMITS = Limits()
"""Those of the commands."""


def limit_memory(size: int) -> None:
    """Let this process and those that it starts have at most ``size`` bytes of data each, for good.

    Allocating more fails: Python raises ``MemoryError``. Files that are mapped read-only, such as libraries, are not
    counted. Linux alone keeps to it.
    """
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    size = size if hard == resource.RLIM_INFINITY else min(size, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_seconds(seconds: float) -> None:
    """Let this process use its processor for so many seconds from now, rounded up; then SIGXCPU ends it."""
    used, hard = sum(os.times()[:2]), resource.getrlimit(resource.RLIMIT_CPU)[1]
    soft = math.ceil(used + seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def adopt_orphans() -> None:
    """Become the parent of all processes below this one whose own parent ends, so that none gets away. Linux alone."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_with_parent() -> None:
    """Be killed when the process that started this one ends, however it ends. Linux alone."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl({option}, {value}) fails")


def end_below(process: int) -> int:
    """Kill every process below one, whatever session it is in; those of this very process are waited for.

    Args:
        process: number of the process, which goes on.

    Returns:
        How many were killed. 0 where there is no ``/proc``.
    """
    killed: set[int] = set()
    for _ in range(_ROUNDS):  # what is killed may have started another one just before
        below = _below(process)
        for number in below:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        killed |= below
        if process != os.getpid():
            if not below:
                break
            os.sched_yield()
            continue
        try:
            os.waitpid(-1, 0 if below else os.WNOHANG)
        except ChildProcessError:
            break
    return len(killed)


def _below(process: int) -> set[int]:
    """Numbers of the live processes below one."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The second field is a name in brackets, which may hold anything.
            state, parent = stat.read_text(errors="replace").rpartition(")")[2].split()[:2]
            if state not in "ZX":
                parents[int(stat.parent.name)] = int(parent)
    found: set[int] = set()
    rim = {process}
    while rim := {number for number, parent in parents.items() if parent in rim} - found:
        found |= rim
    return found
