from __future__ import annotations

import threading

from gym_stepwise_routing.serving.background import BatchWorker


def test_a_batch_that_fails_is_counted_and_the_next_is_dealt_with():
    """Whatever a database's driver raises must not end the thread: everything after it would be lost unseen."""
    dealt, tried = [], threading.Semaphore(0)

    def handle(batch):
        tried.release()
        if "bad" in batch:
            raise RuntimeError("the server closed the connection")
        dealt.extend(batch)

    worker = BatchWorker("test", handle, seconds=0.0)
    worker.put("bad")
    assert tried.acquire(timeout=10)
    worker.put("good")
    worker.close()
    assert (dealt, worker.failed, worker.dropped) == (["good"], 1, 0)
