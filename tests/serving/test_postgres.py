"""Two workers on one PostgreSQL database: what is said at one counts at the other, once, in one order."""

from __future__ import annotations

import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from postgres_cluster import postgres_cluster
from worker_processes import Worker

from gym_stepwise_routing.calibration.targets import parse_target
from gym_stepwise_routing.serving.feedback import FeedbackStore, ThresholdFollower

STEP, TARGET = 0.05, 0.7


@pytest.fixture(scope="module")
def cluster():
    with postgres_cluster() as running:
        yield running


@pytest.fixture
def stores(cluster):
    """Two stores that find an empty database and make its tables at the same time."""
    cluster.rows("DROP TABLE IF EXISTS answers, feedback, turn")
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(FeedbackStore, [cluster.url] * 4))
    yield made[:2]
    for store in made:
        store.close()


def follower(store):
    return ThresholdFollower(store, parse_target(f"accuracy={TARGET}"), initial=0.5, step=STEP, decay=0.0)


def test_no_update_is_lost_or_doubled_while_many_tell_and_follow(stores):
    ids = [f"a{k}" for k in range(200)]
    stores[0].answered([(id, True) for id in ids])
    followers = [follower(store) for store in stores]

    def tell(k):  # each answer at both stores, and whoever tells also looks what the others said
        new = stores[k % 2].say(ids[k // 2], (k // 2) % 3 > 0, None)
        followers[k % 2].catch_up()
        return new

    with ThreadPoolExecutor(16) as threads:
        new = list(threads.map(tell, range(400)))
    assert Counter(new) == {True: 200, False: 200}
    assert [one.updates for one in followers] != [0, 0]
    for one in followers:
        one.catch_up()
        assert one.updates == 200
        assert one.threshold == follower(stores[1]).threshold


def test_of_contradicting_feedback_one_stands(stores):
    stores[0].answered([(f"c{k}", True) for k in range(40)])

    def tell(k):
        try:
            return stores[k % 2].say(f"c{k // 2}", k % 2 == 0, None)
        except ValueError as error:
            return type(error).__name__

    with ThreadPoolExecutor(8) as threads:
        told = list(threads.map(tell, range(80)))
    assert Counter(told) == {True: 40, "ValueError": 40}


def test_two_workers_share_the_threshold_and_outlive_a_restart_of_the_database(pool_file, cluster, stores):
    feedback = {"database": cluster.url, "target": f"accuracy={TARGET}", "step": STEP}
    config = pool_file(router="confidence-p_min", feedback=feedback)
    one, two = (Worker(config).start() for _ in range(2))
    try:
        one.ready(), two.ready()
        answer = one.ask(1)
        assert answer["routing"]["threshold"] == 0.5
        told = two.say(answer["id"], right=False).json()
        assert told["threshold"] == pytest.approx(0.5 - STEP * TARGET)
        time.sleep(3)  # the other worker looks every two seconds
        assert one.ask(2)["routing"]["threshold"] == told["threshold"]
        assert one.say(answer["id"], right=False).json()["new"] is False
        assert one.say(answer["id"], right=True).status_code == 409
        assert two.say("nobody", right=True).status_code == 404

        last = two.ask(3)["id"]
        time.sleep(1)
        cluster.stop()
        refused = one.say(last, right=True)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "database_unreachable")
        cluster.start()
        assert one.say(last, right=True).json()["new"] is True
        later = two.ask(4)["id"]
        assert one.say(later, right=True).json()["new"] is True
        assert cluster.rows("SELECT count(*), count(DISTINCT id) FROM feedback") == [(3, 3)]
        assert {one.end(), two.end()} == {-signal.SIGTERM}, "uvicorn ends by the signal once all is closed"
    finally:
        one.kill(), two.kill()
