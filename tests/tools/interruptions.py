"""What a kill, a full disk or a second process leaves of recording, bank, entry, site and log: all of it, or nothing.

    python tests/tools/interruptions.py [--only JOB] [--kills 25] [--places 20] [--pairs 5] [--out FILE]

Each job is a command of ``stepwise-routing``, or a server's log, on a folder of its own, in which an earlier state
lies: it is killed at random times and before file operations, finds the disk full after some pages or bytes, or is
started twice at once. After each, what was there is there, in the old state or the new one; a fault is one line; and
the same command then ends well, with the result of one that nothing happened to, and leaves no other file. Disks are
small ``tmpfs`` mounts in a mount namespace, where the system lets us have one, and limits on the size of a file.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from interrupted_jobs import JOBS, Job

INSIDE = "INTERRUPTIONS_INSIDE"
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.chmod", "shutil.rmtree"}
REMOVALS = {"os.remove", "os.rmdir"}
PAGE = 4096


@dataclass(frozen=True)
class Ended:
    """How a child ended: its status (below 0: the signal), what it printed, and its file operations if counted."""

    status: int
    said: str
    operations: int = 0


class Child:
    """A process that runs a command on a folder. Forked, so that it has everything imported.

    Args:
        action: what it does.
        folder: where file operations are counted.
        kill_before: file operation before which it kills itself, from 1.
        limit: most bytes of a file.
        go: descriptor that it waits for before it begins.
    """

    def __init__(
        self, action: Callable[[], None], folder: Path, *, kill_before: int = 0, limit: int | None = None, go: int = -1
    ) -> None:
        self._read, write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.dup2(write, 1)
                os.dup2(write, 2)
                sys.stdout = sys.stderr = open(write, "w", buffering=1, closefd=False)  # noqa: SIM115
                if go >= 0:
                    os.read(go, 1)
                count = counting(folder, kill_before)
                if limit is not None:
                    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
                status = exit_status(action)
                os.write(write, f"\noperations: {count()}".encode())
            finally:
                os._exit(status)
        os.close(write)

    def kill(self) -> None:
        """SIGKILL."""
        os.kill(self.pid, signal.SIGKILL)

    def ended(self) -> Ended:
        """Wait for its end."""
        said = b""
        while part := os.read(self._read, 1 << 16):
            said += part
        os.close(self._read)
        _, status = os.waitpid(self.pid, 0)
        text, _, operations = said.decode(errors="replace").partition("\noperations: ")
        return Ended(os.waitstatus_to_exitcode(status), text.strip(), int(operations or 0))


def exit_status(action: Callable[[], None]) -> int:
    """Do it, and give the status that a process would end with."""
    try:
        action()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 99
    return 0


def counting(folder: Path, kill_before: int) -> Callable[[], int]:
    """Count the operations on files in a folder, and end this process before one of them."""
    count = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count
        if event == "open":
            changing = isinstance(arguments[2], int) and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        else:
            changing = event in CHANGES
        path = str(arguments[0])  # a name alone where a whole folder is being removed
        if changing and (path.startswith(str(folder)) or (event in REMOVALS and "/" not in path)):
            count += 1
            if count == kill_before:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    return lambda: count


class Trial:
    """One job: its folder with the earlier state, and what an undisturbed run makes of it."""

    def __init__(self, job: Job, scratch: Path) -> None:
        self.job, self.scratch = job, scratch
        self.folder = scratch / "place" / "work"
        self.kept = scratch / "kept"
        self.kept.mkdir()
        self._must(Child(lambda: job.prepare(self.kept), scratch))
        for _ in range(2):  # the first run may fill a cache of the user's
            self.fresh()
            begun = time.monotonic()
            done = self._must(Child(partial(job.act, self.folder), self.folder))
        self.seconds, self.operations = time.monotonic() - begun, done.operations
        self.state = {"old": self.digest(self.kept), "new": self.digest(self.folder)}
        assert self.state["old"] != self.state["new"], "the job changes nothing"
        self.largest = max(path.stat().st_size for path in self.folder.rglob("*") if self._is_new(path))
        self.counts: Counter[str] = Counter()

    def _is_new(self, path: Path) -> bool:
        before = self.kept / path.relative_to(self.folder)
        return path.is_file() and (not before.is_file() or before.read_bytes() != path.read_bytes())

    def fresh(self) -> None:
        """The earlier state."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.parent.mkdir(exist_ok=True)
        shutil.copytree(self.kept, self.folder)

    def digest(self, folder: Path) -> str:
        """What the job says of a folder, found out in a process of its own; an error if anything is half there."""
        return self._must(Child(lambda: print(self.job.state(folder)), folder)).said

    def after(self, what: str) -> None:
        """Check what is left, run the command again, and check what it has made."""
        safe, state = self.job.safe(self.folder), self.digest(self.folder)
        if not self.job.grows and state not in self.state.values():
            raise AssertionError(f"{self.job.name}, {what}: neither the old state nor the new: {state}")
        known = {value: name for name, value in self.state.items()}
        self.counts[f"left {known.get(state, 'between')}"] += 1
        self._must(Child(partial(self.job.act, self.folder), self.folder))
        if (made := self.digest(self.folder)) != self.state["new"]:
            raise AssertionError(f"{self.job.name}, {what}: {made} is made of {state}, not {self.state['new']}")
        if not self.job.safe(self.folder).startswith(safe):
            raise AssertionError(f"{self.job.name}, {what}: what was safe before is not there as it was")
        if left := [str(path) for path in self.folder.rglob("*") if path.name.endswith((".tmp", ".building"))]:
            raise AssertionError(f"{self.job.name}, {what}: left behind: {left}")
        self.counts["ended well when run again"] += 1

    def kills(self, count: int, rng: random.Random) -> None:
        """Kill it at random times, half of them from the end of the run, where it writes."""
        for number in range(count):
            self.fresh()
            child = Child(partial(self.job.act, self.folder), self.folder)
            share = rng.random() if number % 2 else 1 - rng.random() ** 2 / 4
            time.sleep(share * self.seconds)
            child.kill()
            self.counts["killed at a random time" if child.ended().status < 0 else "ended before the kill"] += 1
            self.after(f"kill at {share:.0%} of {self.seconds:.2f} s")

    def kills_before_operations(self, count: int) -> None:
        """Kill it before file operations that are spread over all of them."""
        for number in sorted({1 + round(place) for place in spread(self.operations - 1, count)}):
            self.fresh()
            child = Child(partial(self.job.act, self.folder), self.folder, kill_before=number)
            self.counts["killed before a file operation"] += child.ended().status < 0
            self.after(f"kill before file operation {number} of {self.operations}")

    def full_disk(self, count: int, bytes_too: bool) -> None:
        """Let the disk be full after some pages, and files end after some bytes."""
        with disk(self.folder.parent) as place:
            if place is not None:
                self.fresh()
                needed = self._most_pages()
                for pages in sorted({round(pages) for pages in spread(0.95 * needed, count)}):
                    self.fresh()
                    filler = place / "filler"
                    filler.write_bytes(bytes(PAGE * (free_pages(place) - pages)))
                    child = Child(partial(self.job.act, self.folder), self.folder)
                    self._refused(child, "No space left on device", "disk full")
                    filler.unlink()
                    self.after(f"disk full after {pages} of {needed} pages")
        if bytes_too or not self.counts["disk full"]:
            for limit in sorted({round(size) for size in spread(0.95 * self.largest, count)}):
                self.fresh()
                child = Child(partial(self.job.act, self.folder), self.folder, limit=limit)
                self._refused(child, "File too large", "file cut off")
                self.after(f"files end after {limit} of {self.largest} bytes")

    def pairs(self, count: int) -> None:
        """Start it twice at once."""
        for number in range(count):
            self.fresh()
            gate, opener = os.pipe()
            two = [Child(partial(self.job.act, self.folder), self.folder, go=gate) for _ in range(2)]
            os.write(opener, b"go")
            ends = [child.ended() for child in two]
            os.close(gate)
            os.close(opener)
            if all(end.status for end in ends):
                raise AssertionError(f"{self.job.name}: both of two processes failed: {ends}")
            for end in ends:
                if end.status:
                    told_plainly(self.job, end, self.job.second)
            self.counts["two at once: both right" if not any(e.status for e in ends) else "two at once: one told"] += 1
            self.after(f"pair {number}")

    def _refused(self, child: Child, reason: str, what: str) -> None:
        end = child.ended()
        self.counts[f"{what}, but not too soon" if end.status == 0 else what] += 1
        if end.status:
            told_plainly(self.job, end, reason)

    def _most_pages(self) -> int:
        """Pages that an undisturbed run takes at most, beyond what is there."""
        free = least = free_pages(self.folder.parent)
        child = Child(partial(self.job.act, self.folder), self.folder)
        while os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            least = min(least, free_pages(self.folder.parent))
            time.sleep(0.0002)
        child.ended()
        return max(free - least, 1)

    def _must(self, child: Child) -> Ended:
        end = child.ended()
        if end.status:
            raise AssertionError(f"{self.job.name}: status {end.status}: {end.said}")
        return end


def told_plainly(job: Job, end: Ended, reason: str) -> None:
    """Check that a process has told in one line what was wrong."""
    errors = [line for line in end.said.splitlines() if "error:" in line]
    if end.status < 0 or end.status == 99 or len(errors) != 1 or reason not in errors[0]:
        raise AssertionError(f"{job.name}: status {end.status}, not one line with {reason!r}: {end.said}")


def spread(most: float, count: int) -> Sequence[float]:
    """``count`` numbers from 0 to ``most``, evenly spread."""
    return [most * number / max(count - 1, 1) for number in range(count)]


def free_pages(place: Path) -> int:
    """Pages of a disk that are free."""
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize // PAGE


@contextmanager
def disk(place: Path):
    """A small disk at a folder; None where the system does not let us have one."""
    if INSIDE not in os.environ:
        yield None
        return
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,huge=never", "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Kills, full disks and second processes.")
    parser.add_argument("--only", choices=sorted(JOBS))
    parser.add_argument("--out", type=Path, help="file for the counts, as JSON")
    for name, count in (("kills", 25), ("places", 20), ("pairs", 5), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=count)
    asked = parser.parse_args()
    apart = ["unshare", "--user", "--map-root-user", "--mount"]
    if INSIDE not in os.environ and shutil.which("unshare") and not subprocess.call([*apart, "true"], stderr=-3):
        os.environ[INSIDE] = "1"
        os.execvp(apart[0], [*apart, sys.executable, *sys.argv])
    counts = {}
    for name in [asked.only] if asked.only else JOBS:
        with tempfile.TemporaryDirectory(prefix="interruptions-") as scratch:
            trial = Trial(JOBS[name], Path(scratch))
            trial.kills(asked.kills, random.Random(asked.seed))
            trial.kills_before_operations(asked.kills)
            trial.full_disk(asked.places, bytes_too=True)
            trial.pairs(asked.pairs)
            counts[name] = dict(trial.counts)
            print(f"{name} ({trial.seconds:.2f} s, {trial.operations} file operations): {counts[name]}", flush=True)
    if asked.out is not None:
        asked.out.write_text(json.dumps(counts, indent=2) + "\n")


if __name__ == "__main__":
    main()
