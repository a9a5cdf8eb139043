"""Append trees of so many bytes under a limit on the size of files, as a full disk would set; say what happened."""

from __future__ import annotations

import resource
import signal
import sys
from pathlib import Path

from gym_stepwise_routing.recorder.store import TreeStore


def tree(index: int, size: int) -> dict[str, object]:
    return {"problem": {"dataset": "toy", "split": "test", "index": index}, "nodes": [{"id": 0, "text": "x" * size}]}


path, size = Path(sys.argv[1]), int(sys.argv[2])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = TreeStore(path)
store.append(tree(0, size))
resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + size // 2, resource.RLIM_INFINITY))
refused = 0
for index in (1, 2):
    try:
        store.append(tree(index, size))
    except OSError:
        refused += 1
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
store.append(tree(3, size))
store.close()
print(refused)
