"""One writer at a time: locks that end with the process that holds them, so that a kill leaves none behind."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl

__all__ = ["open_locked", "sole_writer"]


@contextmanager
def sole_writer(path: Path, *, wait: bool = False, error: type[ValueError] = ValueError) -> Iterator[None]:
    """Be the only process that writes a file or folder; the folder above is made, and stays if something is in it.

    Args:
        path: what is written. The lock is a file beside it, which is there only meanwhile or after a kill.
        wait: wait for another process to end, instead of raising.
        error: what is raised.

    Raises:
        ValueError: another process writes it.
    """
    place = path.with_name(f".{path.name}.lock.tmp")
    made, lock = False, None
    while lock is None:
        made = made or not path.parent.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock = open_locked(place, wait=wait)
        except FileNotFoundError:  # another process has taken away the folder that it had made
            continue
        except BlockingIOError:
            raise error(f"{path}: another process is writing it; allowed: one at a time") from None
    try:
        yield
    finally:
        place.unlink(missing_ok=True)  # while it is locked: who opened it meanwhile finds that it is gone
        os.close(lock)
        if made:
            with suppress(OSError):  # not if something has been written into it
                path.parent.rmdir()


def open_locked(path: Path, *, wait: bool) -> int:
    """Open, or make, a file that no other process has locked, and lock it until it is closed.

    Returns:
        Its descriptor. The file is at ``path`` still, not one that another process has taken away before it let go.

    Raises:
        BlockingIOError: another process has locked it, without ``wait``.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if sys.platform != "win32":
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
