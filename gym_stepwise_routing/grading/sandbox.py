"""Runs a program of unknown origin with its tests where it can do no harm, and says whether they passed.

Sandboxed, a program runs under bubblewrap in namespaces of its own: no network, no process but its own, an empty
folder, the interpreter and the system's libraries read-only, nothing of the user's files. Limits of time, memory and
file size hold; starting a process is refused by a seccomp filter, since the limit on their number does not bind root.
What it can't do is keep a program from the interpreter that it runs in: an answer that looks for the verdict in the
frames of its caller, or gives objects that equal everything, can pass. No set of tests in one process excludes that.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import platform
import secrets
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gym_stepwise_routing.grading import program_runner

__all__ = ["Limits", "Outcome", "run_tests", "sandbox_version"]

Outcome = Literal["passed", "failed", "timeout"]
_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache")
_SYSCALLS = {"x86_64": (0xC000003E, 56, (57, 58)), "aarch64": (0xC00000B7, 220, ())}
"""Audit architecture, ``clone``, and ``fork`` with ``vfork`` where they exist (linux/audit.h, asm/unistd.h)."""
_CLONE3, _X32, _CLONE_THREAD = 435, 0x40000000, 0x00010000
_EPERM, _ENOSYS = 1, 38


@dataclass(frozen=True, slots=True)
class Limits:
    """What a program may use.

    Args:
        seconds: wall clock time, and time of its processor.
        memory: bytes of address space.
        file_bytes: most bytes of one file, and of all files in its folder.
    """

    seconds: float = 10.0
    memory: int = 1 << 30
    file_bytes: int = 1 << 20

    def __post_init__(self) -> None:
        for parameter in ("seconds", "memory", "file_bytes"):
            value = getattr(self, parameter)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{parameter}={value!r}; allowed: a number > 0")

    def of_process(self) -> dict[str, int]:
        """As :mod:`resource` takes them."""
        return {
            "RLIMIT_CPU": math.ceil(self.seconds) + 1,
            "RLIMIT_AS": self.memory,
            "RLIMIT_FSIZE": self.file_bytes,
            "RLIMIT_NOFILE": 64,
            "RLIMIT_CORE": 0,
        }


def run_tests(answer: str, tests: str, *, limits: Limits, sandboxed: bool) -> Outcome:
    """Run a program and then its tests, in a fresh interpreter.

    Args:
        answer: program.
        tests: program that raises where the answer is wrong; it runs in the same module.
        limits: what both may use together.
        sandboxed: False runs them with the limits, but with this user's rights.

    Raises:
        RuntimeError: no sandbox can be had here.
    """
    word = secrets.token_hex(16)
    request = {"answer": answer, "tests": tests, "word": word, "limits": limits.of_process()}
    if sandboxed:
        sandbox_version()
    with tempfile.TemporaryDirectory() as folder:
        heard, told = os.pipe()
        filter_fd = _seccomp_filter() if sandboxed else -1
        before = _bubblewrap(limits, filter_fd) if sandboxed else []
        runner = Path(program_runner.__file__).read_text(encoding="utf-8")
        try:
            process = subprocess.Popen(
                [*before, _interpreter(), "-P", "-S", "-B", "-c", runner, str(told)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=folder,
                env={"PYTHONHASHSEED": "0", "PYTHONUTF8": "1"},  # and nothing else: the same order of sets each time
                pass_fds=[told, *([filter_fd] if sandboxed else [])],
                start_new_session=True,
            )
        finally:
            os.close(told)
            if sandboxed:
                os.close(filter_fd)
        with os.fdopen(heard, "rb") as ears:
            finished = _wait(process, json.dumps(request).encode(), limits.seconds)
            os.set_blocking(heard, False)  # a process that was left behind may hold the other end
            passed = (ears.read(len(word) + 1) or b"") == word.encode()
    if not finished:
        return "timeout"
    return "passed" if passed else "failed"


@functools.cache
def sandbox_version() -> str:
    """The sandbox that answers run in, such as ``bubblewrap 0.8.0``.

    Raises:
        RuntimeError: there is none, or it can't be used here; the message says what is missing.
    """
    if sys.platform != "linux" or platform.machine() not in _SYSCALLS:
        raise RuntimeError(_unsafe(f"it needs Linux on {' or '.join(_SYSCALLS)}"))
    if shutil.which("bwrap") is None:
        raise RuntimeError(_unsafe("bubblewrap (bwrap) is not installed"))
    tried = subprocess.run(
        [*_bubblewrap(Limits(), None), _interpreter(), "-S", "-c", ""], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        said = tried.stderr.strip().splitlines()
        raise RuntimeError(_unsafe(f"bubblewrap can't be used here: {said[-1] if said else tried.returncode}"))
    return subprocess.run(["bwrap", "--version"], capture_output=True, text=True, check=True).stdout.strip()


def _unsafe(why: str) -> str:
    return (
        f"grading='code' runs programs that models wrote in a sandbox, and {why}; allowed: install it, or "
        "grading='code-unsandboxed', which runs them with your own rights"
    )


def _wait(process: subprocess.Popen[bytes], request: bytes, seconds: float) -> bool:
    """Whether it ended in time. Afterwards neither it nor what it has started in its session is left."""
    try:
        process.communicate(request, timeout=seconds)
        return True
    except subprocess.TimeoutExpired:
        return False
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # under bubblewrap, the namespace ends with its parent
        process.wait()


def _interpreter() -> str:
    """The interpreter below any virtual environment."""
    return os.path.realpath(sys.executable)


def _bubblewrap(limits: Limits, filter_fd: int | None) -> list[str]:
    """The command that runs what follows it in a sandbox."""
    command = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    for path in dict.fromkeys((*_SYSTEM, sys.base_prefix, sys.base_exec_prefix, os.path.dirname(_interpreter()))):
        command += ["--ro-bind-try", path, path]
    command += ["--proc", "/proc", "--dev", "/dev", "--size", str(limits.file_bytes), "--tmpfs", "/tmp"]
    command += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp"]
    return command if filter_fd is None else [*command, "--seccomp", str(filter_fd)]


def _seccomp_filter() -> int:
    """File descriptor of a filter (classic BPF, seccomp(2)) that refuses new processes and lets threads through."""
    architecture, clone, forks = _SYSCALLS[platform.machine()]
    load, equal, at_least, any_bit, answer = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, refuse, unknown, kill = 0x7FFF0000, 0x00050000 | _EPERM, 0x00050000 | _ENOSYS, 0x80000000
    program = [
        (load, 0, 0, 4),  # the architecture
        (equal, 1, 0, architecture),
        (answer, 0, 0, kill),
        (load, 0, 0, 0),  # the number of the call
        (at_least, 0, 1, _X32),
        (answer, 0, 0, refuse),
        (equal, 0, 1, _CLONE3),  # its flags are behind a pointer; libraries then use clone
        (answer, 0, 0, unknown),
    ]
    for call in forks:
        program += [(equal, 0, 1, call), (answer, 0, 0, refuse)]
    program += [
        (equal, 0, 3, clone),
        (load, 0, 0, 16),  # flags, its first argument
        (any_bit, 1, 0, _CLONE_THREAD),
        (answer, 0, 0, refuse),
        (answer, 0, 0, allow),
    ]
    descriptor = os.memfd_create("seccomp")
    os.write(descriptor, b"".join(struct.pack("=HBBI", *instruction) for instruction in program))
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
