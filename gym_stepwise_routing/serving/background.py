"""Work that must not hold up a stream: items are handed over at once and dealt with in batches by one thread."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["BatchWorker"]

_LOGGER = logging.getLogger("gym_stepwise_routing.serving")
Item = TypeVar("Item")
_MOST_WAITING = 10_000


class BatchWorker(Generic[Item]):
    """A thread that deals with items in batches.

    Args:
        name: name of the thread.
        handle: deals with a batch; an exception of it is logged, and counted in ``failed``.
        seconds: how long items may wait for others.
    """

    def __init__(self, name: str, handle: Callable[[list[Item]], None], *, seconds: float) -> None:
        self._queue: queue.Queue[Item | None] = queue.Queue(maxsize=_MOST_WAITING)
        self._handle = handle
        self._seconds = seconds
        self.dropped = 0
        """Items that came while too many were waiting."""
        self.failed = 0
        """Items whose batch could not be dealt with."""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: Item) -> None:
        """Hand over an item; never waits."""
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            self.dropped += 1

    def close(self, timeout: float = 10.0) -> None:
        """Deal with what is waiting, and end."""
        self._queue.put(None, timeout=timeout)
        self._thread.join(timeout)

    def _run(self) -> None:
        going = True
        while going:
            first = self._queue.get()
            batch: list[Item] = [] if first is None else [first]
            going = first is not None
            until = time.monotonic() + self._seconds
            while going and (left := until - time.monotonic()) > 0:
                try:
                    item = self._queue.get(timeout=left)
                except queue.Empty:
                    break
                if item is None:
                    going = False
                else:
                    batch.append(item)
            if batch:
                try:
                    self._handle(batch)
                except Exception:  # a full disk, a database that is away: the next batch may fare better
                    self.failed += len(batch)
                    _LOGGER.exception("%s: %d items are lost", self._thread.name, len(batch))
