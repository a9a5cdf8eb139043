"""The process in which entries are checked one after the other, under limits of time and memory.

One that overruns, or whose process ends, is refused, and the next entry gets a new process. It lives as long as this
process, since what it has read of a track serves the next entry, too.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing import Pipe
from pathlib import Path
from typing import Any, Literal

from gym_stepwise_routing.leaderboard.checking import Verdict
from gym_stepwise_routing.leaderboard.entry import Entry
from gym_stepwise_routing.leaderboard.faults import EntryRejectedError, Fault
from gym_stepwise_routing.leaderboard.resource_limits import Limits, end_below

__all__ = ["STARTING", "Answer", "Request", "check_apart", "end_worker"]

STARTING = 60.0
"""Seconds that it may take to start the process and to open a track: no fault of an entry."""
_PATIENCE = 10
"""So many seconds may pass for one of the processor: the machine may have other things to do."""
_PROCESS = "gym_stepwise_routing.leaderboard.worker_process"


@dataclass(frozen=True, slots=True)
class Request:
    """An entry to be checked, and what of this process a check depends on.

    Attributes:
        entry: the entry.
        limits: what it may take.
        options: further arguments of :func:`~gym_stepwise_routing.leaderboard.checking.check_entry`.
        folder: the working directory.
        environment: the environment variables.
    """

    entry: Entry
    limits: Limits
    options: Mapping[str, Any]
    folder: str = field(default_factory=os.getcwd)
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))


@dataclass(frozen=True, slots=True)
class Answer:
    """What the process says.

    Attributes:
        kind: ``within``: it goes on, and what comes next takes at most ``content`` seconds of the processor.
            ``verdict``: a verdict. ``refused``: faults. ``error``: an exception that is no fault of the entry.
        content: see ``kind``.
        last: whether the process ends now.
    """

    kind: Literal["within", "verdict", "refused", "error"]
    content: Any
    last: bool = False


class _OverrunError(Exception):
    """More seconds were taken than allowed: the argument."""


class _NotBegunError(Exception):
    """The process ended before it came to the entry."""


class _Worker:
    """The process, seen from here."""

    def __init__(self, memory: int) -> None:
        self.memory, self.owner = memory, os.getpid()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115
        self._connection, theirs = Pipe()
        # -P: a file in the working directory does not stand in for a library of the same name.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", _PROCESS, str(theirs.fileno()), str(memory)],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=self._said,
            start_new_session=True,
        )
        theirs.close()

    @property
    def is_there(self) -> bool:
        """Whether this process started it, and it has not ended."""
        return self.owner == os.getpid() and self._process.poll() is None

    def ask(self, request: Request) -> Answer:
        """What it answers.

        Raises:
            _OverrunError: nothing in time.
            _NotBegunError: it has ended, and the entry had no part in that.
            OSError, EOFError: it has ended.
        """
        seconds = None
        try:
            self._connection.send(request)
            while self._connection.poll((seconds or STARTING) * _PATIENCE):
                answer: Answer = self._connection.recv()
                if answer.kind != "within":
                    return answer
                seconds = answer.content
        except (OSError, EOFError):
            if seconds is not None and self._process.wait() != -signal.SIGXCPU:
                raise
        if seconds is None:
            raise _NotBegunError
        raise _OverrunError(seconds)

    def end(self) -> str:
        """End it and all below it; returns how it ended and its last words."""
        self._connection.close()
        if self._process.poll() is None:
            end_below(self._process.pid)
            self._process.kill()
        status = self._process.wait()
        with self._said:
            length = self._said.seek(0, os.SEEK_END)
            self._said.seek(max(length - 300, 0))
            words = self._said.read().decode(errors="replace").strip()
        told = signal.Signals(-status).name if status < 0 else f"status {status}"
        return f"{told}: {words}" if words else told


_LOCK = threading.Lock()
_running: list[_Worker] = []


def check_apart(entry: Entry, limits: Limits, options: Mapping[str, Any]) -> Verdict:
    """:func:`~gym_stepwise_routing.leaderboard.checking.check_entry` in the other process; errors as there.

    Args:
        entry: the entry.
        limits: what it may take.
        options: further arguments.

    Raises:
        ValueError: the process does not start, with so little memory for example.
    """
    request = Request(entry, limits, {name: _absolute(value) for name, value in options.items()})
    with _LOCK:
        try:
            answer = _ask(request)
        except _NotBegunError:  # the thread that started it may have ended just now, and the process with it
            end_worker()
            answer = _ask_again(request)
        except BaseException:
            end_worker()
            raise
        if answer.last:
            end_worker()
    if answer.kind == "refused":
        raise EntryRejectedError(entry.name, answer.content)
    if answer.kind == "error":
        raise answer.content
    verdict: Verdict = answer.content
    return verdict


def _ask(request: Request) -> Answer:
    try:
        return _worker(request.limits.memory).ask(request)
    except _OverrunError as error:
        message = f"its check takes over {error.args[0]:g} seconds"
        end_worker()
    except (OSError, EOFError):
        message = f"the process that checks it ended with {end_worker()}"
    return Answer("refused", [Fault("limits", message)])


def _ask_again(request: Request) -> Answer:
    try:
        return _ask(request)
    except _NotBegunError:
        message = f"the process that checks entries ends with {end_worker()}; allowed: one that starts"
        raise ValueError(f"memory={request.limits.memory}: {message}") from None


def _worker(memory: int) -> _Worker:
    if _running and not (_running[0].is_there and _running[0].memory == memory):
        end_worker()
    if not _running:
        _running.append(_Worker(memory))
    return _running[0]


@atexit.register
def end_worker() -> str:
    """End the process, if there is one; the next entry starts another. Returns how it ended, and its last words."""
    if not _running:
        return ""
    worker = _running.pop()
    return worker.end() if worker.owner == os.getpid() else ""


def _absolute(value: Any) -> Any:
    return value.absolute() if isinstance(value, Path) else value
