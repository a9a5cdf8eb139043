"""The decision log, feedback that moves the threshold, and the drift alarm."""

from __future__ import annotations

import json

import httpx2 as http
import numpy as np
import pytest

from gym_stepwise_routing.serving.decision_log import DecisionLog
from gym_stepwise_routing.serving.drift import DriftAlarm
from gym_stepwise_routing.serving.feedback import FeedbackStore
from gym_stepwise_routing.serving.pool_config import LogConfig


def records(path, event="request"):
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert found[0]["event"] == "server", "every file begins with it"
    assert {record["version"] for record in found} == {1}
    return [record for record in found if record["event"] == event]


def test_every_request_writes_one_line_without_texts(serve, tmp_path):
    path = tmp_path / "log.jsonl"
    with serve(log={"path": str(path)}) as running:
        first = running.ask(user="me")
        list(running.ask(stream=True))
    one, two = records(path)
    assert one["id"] == first.id
    assert one["outcome"] == two["outcome"] == "answered"
    assert one["ledger"] == first.routing["ledger"]
    assert len(one["steps"][0]["features"]) > 10
    assert one["user"] not in (None, "me")
    assert "What is 6 x 7?" not in path.read_text()
    assert "writes line" not in path.read_text()


def test_texts_are_logged_where_the_config_says_so(serve, tmp_path):
    path = tmp_path / "log.jsonl"
    with serve(log={"path": str(path), "texts": True}) as running:
        running.ask()
    (record,) = records(path)
    assert record["question"] == "What is 6 x 7?"
    assert record["answer"].endswith("The answer is 42.")


def test_the_log_is_rotated_and_loses_nothing(tmp_path):
    path = tmp_path / "log.jsonl"
    first = {"version": 1, "event": "server"}
    log = DecisionLog(LogConfig(path=path, max_bytes=250, keep=30, sync_seconds=0.01), first)
    for number in range(40):
        log.put({"version": 1, "event": "request", "number": number, "text": "é" * 20})
    log.close()
    files = sorted(tmp_path.iterdir())
    assert len(files) > 3
    assert all(file.stat().st_size <= 250 for file in files)
    found = sorted(record["number"] for file in files for record in records(file))
    assert found == list(range(40))
    assert log.lost == 0


def test_feedback_moves_the_threshold_and_survives_a_restart(serve, tmp_path):
    feedback = {"database": f"sqlite:///{tmp_path / 'feedback.sqlite'}", "target": "accuracy=0.7", "step": 0.1}
    with serve(router="confidence-p_min", feedback=feedback) as running:

        def say(id, **more):
            return http.post(f"{running.url}/v1/feedback", json={"id": id, **more}, timeout=20)

        first = running.ask()
        assert first.routing["threshold"] == 0.5
        told = say(first.id, right=False).json()
        assert told["threshold"] == pytest.approx(0.5 - 0.1 * 0.7)
        second = running.ask()
        assert second.routing["threshold"] == told["threshold"]
        assert second.routing["promise"] is None
        assert say(first.id, right=False).json()["new"] is False
        assert say(first.id, right=True).status_code == 409
        assert say("nobody", right=True).status_code == 404
        assert say(second.id, right="yes").status_code == 400
        other = running.ask(extra_body={"threshold": 0.1})
        assert say(other.id, right=False).json()["threshold"] == told["threshold"], "it was not routed at it"
    with serve(router="confidence-p_min", feedback=feedback) as again:
        assert again.ask().routing["threshold"] == told["threshold"]


def test_two_servers_on_one_database_agree(serve, tmp_path):
    feedback = {"database": f"sqlite:///{tmp_path / 'feedback.sqlite'}", "target": "accuracy=0.7", "step": 0.1}
    with (
        serve(router="confidence-p_min", feedback=feedback) as one,
        serve(router="confidence-p_min", feedback=feedback) as two,
    ):
        answer = one.ask()
        http.post(f"{two.url}/v1/feedback", json={"id": answer.id, "right": False}, timeout=20).raise_for_status()
        one.service.follower.catch_up()
        assert one.ask().routing["threshold"] == two.ask().routing["threshold"] == pytest.approx(0.43)


def test_relative_feedback_needs_to_know_of_always_largest(serve, tmp_path):
    feedback = {"database": f"sqlite:///{tmp_path / 'feedback.sqlite'}", "target": "accuracy=0.9x"}
    with serve(router="confidence-p_min", feedback=feedback) as running:
        id = running.ask().id
        url = f"{running.url}/v1/feedback"
        assert "largest_right" in http.post(url, json={"id": id, "right": True}).json()["error"]["message"]
        told = http.post(url, json={"id": id, "right": False, "largest_right": False}, timeout=20).json()
    assert told["threshold"] == 0.5, "a problem that always-largest does not solve does not count"


def test_without_feedback_in_the_config_it_is_refused(serve):
    with serve() as running:
        answer = http.post(f"{running.url}/v1/feedback", json={"id": "x", "right": True})
    assert answer.status_code == 404


def test_the_store_keeps_the_order(tmp_path):
    store = FeedbackStore(f"sqlite:///{tmp_path / 'x.sqlite'}")
    store.answered([(f"a{k}", True) for k in range(5)])
    for k in (3, 1, 4):
        assert store.say(f"a{k}", right=k == 4, largest_right=None)
    assert [said.right for said in store.since(0)] == [False, False, True]
    assert len(store.since(2)) == 1
    store.close()


def test_the_drift_alarm_keeps_its_false_alarm_rate_and_sees_a_shift():
    rng = np.random.default_rng(0)
    reference = np.column_stack([rng.normal(size=400), rng.random(400), np.ones(400)])
    alarm = DriftAlarm(reference, ("a", "b", "c"), window=50, false_alarm=0.05)
    population = rng.permutation(reference)
    reports = []
    for _ in range(300 * 50):
        live = np.array([rng.normal(), rng.random(), 1.0])
        if (report := alarm.add(live)) is not None:
            reports.append(report)
    assert len(population) == 400
    assert len(reports) == 300
    assert np.mean([report.alarm for report in reports]) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 300)
    shifted = [alarm.add(np.array([rng.normal() + 2, rng.random(), 1.0])) for _ in range(50)][-1]
    assert shifted is not None
    assert (shifted.alarm, shifted.feature) == (True, "a")


def test_traffic_unlike_the_calibration_problems_raises_the_alarm(serve, tmp_path):
    path = tmp_path / "log.jsonl"
    with serve(drift={"window": 20, "false_alarm": 0.01}, log={"path": str(path)}) as running:
        for _ in range(20):
            running.ask()
        page = http.get(f"{running.url}/metrics").text
    assert "stepwise_routing_drift_alarm 1.0" in page
    (event,) = records(path, "drift")
    assert event["alarm"]
    assert "the certificate does not speak of them" in event["message"]
