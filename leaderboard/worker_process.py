"""What runs in the process of ``worker``: one entry after the other is checked."""

from __future__ import annotations

import os
import sys
from multiprocessing.connection import Connection
from typing import Any

from gym_stepwise_routing.leaderboard.checking import check_entry
from gym_stepwise_routing.leaderboard.entry_worker import STARTING, Answer, Request
from gym_stepwise_routing.leaderboard.faults import EntryRejectedError, Fault
from gym_stepwise_routing.leaderboard.resource_limits import adopt_orphans, end_with_parent, limit_memory, limit_seconds

_LEAST = 1 << 24
"""Bytes that have to be left to check an entry."""


def answer_all(connection: Connection[Any, Any]) -> None:
    """Answer requests until nobody asks any more, or memory has run out once."""
    while True:
        try:
            request: Request = connection.recv()
        except EOFError:
            return
        answer = _answer(request, connection)
        connection.send(answer)
        if answer.last:
            return


def _answer(request: Request, connection: Connection[Any, Any]) -> Answer:
    limit_seconds(STARTING)
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)

    def within(seconds: float) -> None:
        limit_seconds(seconds)
        connection.send(Answer("within", seconds))

    try:
        return Answer("verdict", check_entry(request.entry, limits=request.limits, within=within, **request.options))
    except EntryRejectedError as error:
        return Answer("refused", error.faults)
    except MemoryError:
        message = f"its check takes over {request.limits.memory / 2**30:g} GiB of memory"
        return Answer("refused", [Fault("limits", message)], last=True)
    except Exception as error:  # of the tracks, the rows or the installation: whoever asks is to know
        return Answer("error", error.with_traceback(None))


if __name__ == "__main__":
    end_with_parent()
    adopt_orphans()
    limit_memory(int(sys.argv[2]))
    bytearray(_LEAST)  # a limit that leaves nothing to begin with is no fault of an entry: it ends here
    answer_all(Connection(int(sys.argv[1])))
