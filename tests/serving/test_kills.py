"""kill -9 in mid-stream, twenty times each: an endpoint, a server, and one of two replicas on Ray Serve."""

from __future__ import annotations

import json
import sqlite3
import sys
import threading
import time
from collections import Counter
from contextlib import suppress

import pytest
import yaml
from fake_endpoint import WORD
from running_server import MODELS
from worker_processes import EndpointProcess, Worker, http

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]
RUNS = 20
LINES = [*(f"writes line {n} of it" for n in range(3)), "The answer is 42."]


@pytest.fixture
def processes():
    started = [EndpointProcess("small", 0.05).start(), EndpointProcess("large", 0.02).start()]
    yield started
    for process in started:
        process.kill()


@pytest.fixture
def config(pool_file, processes, tmp_path):
    """The pool file of endpoints that can be killed, with a log and feedback."""
    path = pool_file(log={"path": str(tmp_path / "log.jsonl"), "texts": True, "sync_seconds": 0.1})
    content = yaml.safe_load(path.read_text())
    for model, process in zip(content["models"], processes, strict=True):
        model["url"] = process.url
    content |= {"router": "confidence-p_min", "mode": "route"}
    content["feedback"] = {"database": f"sqlite:///{tmp_path / 'feedback.sqlite'}", "target": "accuracy=0.7"}
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def worker(config):
    one = Worker(config).start().ready()
    yield one
    one.kill()


def tell(**counts):
    sys.stdout.write(f"{counts}\n")


def all_closed(worker):
    for _ in range(300):
        states = http.get(f"{worker.url}/ready", timeout=20).json()["models"]
        if set(states.values()) == {"closed"}:
            return
        time.sleep(0.1)
    raise AssertionError(states)


def read(path):
    """Records of requests in a log, and how many lines are no JSON."""
    records, cut = [], 0
    for line in path.read_text().splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            cut += 1
    return [record for record in records if record["event"] == "request"], cut


def test_an_endpoint_that_is_killed_in_mid_stream_breaks_no_answer(worker, processes, tmp_path):
    counts = Counter()
    overhead = None
    for number in range(-1, RUNS):
        all_closed(worker)
        text, account = "", {}
        for position, event in enumerate(worker.events(number)):
            if number >= 0 and position == 1 + number:
                processes[0].kill()
            if event == "[DONE]":
                counts["ended"] += number >= 0
                break
            chunk = json.loads(event)
            assert "error" not in chunk
            text += chunk["choices"][0]["delta"].get("content", "")
            account = chunk.get("routing", account)
        lines = text.split("\n")
        assert [line.partition(" ")[2] if line.startswith(("small", "large")) else line for line in lines] == LINES
        counts["texts whole"] += number >= 0
        kept = sum(spent["kept"] for spent in account["ledger"].values())
        assert kept == sum(step["tokens"] for step in account["steps"])
        overhead = kept - len(WORD.findall(text)) if overhead is None else overhead
        assert kept - len(WORD.findall(text)) == overhead, "the ledger counts the tokens of the text"
        counts["ledger agrees"] += number >= 0
        if number >= 0:
            writers = {step["model"] for step in account["steps"]}
            counts["both models wrote"] += len(writers) == 2
            counts["broken in mid-step"] += any("kept_tokens" in told for told in account["failures"])
            assert MODELS[1] in writers
            processes[0].start()
    time.sleep(1)
    records, cut = read(tmp_path / "log.jsonl")
    assert (len(records), cut) == (RUNS + 1, 0)
    assert {record["outcome"] for record in records} == {"answered"}
    tell(**counts)
    assert counts["ended"] == counts["texts whole"] == counts["ledger agrees"] == RUNS


def test_a_server_that_is_killed_in_mid_stream_ends_no_answer_wrongly(worker, tmp_path):
    counts = Counter()
    for number in range(RUNS):
        worker.ready()
        answer = worker.ask(number)
        assert answer["routing"]["threshold"] == pytest.approx(0.5 + number * 0.05 * 0.3), "what was said is known"
        assert worker.say(answer["id"], right=True).status_code == 200
        got = []
        try:
            for event in worker.events(number):
                got.append(event)
                if len(got) == 1 + number % 12:
                    worker.kill()
        except http.TransportError:
            counts["connection broken"] += 1
        chunks = [json.loads(event) for event in got if event != "[DONE]"]
        ends = [chunk for chunk in chunks if "routing" in chunk or chunk["choices"][0]["finish_reason"]]
        counts["final chunk or DONE"] += bool(ends) or "[DONE]" in got
        with sqlite3.connect(tmp_path / "feedback.sqlite") as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            rows = database.execute("SELECT count(*), count(DISTINCT id) FROM feedback").fetchone()
        counts["feedback whole"] += rows == (number + 1, number + 1)
        worker.start()
    worker.ready()
    records, cut = read(tmp_path / "log.jsonl")
    counts["cut lines"] = cut
    counts["records"] = len(records)
    tell(**counts)
    assert counts["connection broken"] == counts["feedback whole"] == RUNS
    assert counts["final chunk or DONE"] == 0
    assert cut <= RUNS
    assert len({record["id"] for record in records}) == len(records) <= RUNS


def test_one_of_two_replicas_on_ray_is_killed_under_load(config):
    pytest.importorskip("ray.serve", reason="needs Ray Serve: pip install 'gym-stepwise-routing[ray]'")
    psutil = pytest.importorskip("psutil", reason="needs psutil, to find the replicas' processes")
    worker = Worker(config, "--ray", "--replicas", "2").start()
    counts, ending, lock = Counter(), threading.Event(), threading.Lock()
    recovered = []

    def replicas():
        found = []
        for child in psutil.Process(worker.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # it has ended meanwhile, or nobody has asked for its status yet
                found += [child] if (child.cmdline() or [""])[0].startswith("ray::ServeReplica") else []
        return found

    def ask(client):
        number = 0
        while not ending.is_set():
            number += 1
            try:
                events = list(worker.events(1000 * client + number))
                outcome = "answered" if events[-1] == "[DONE]" else "ended with an error"
            except http.HTTPError as error:
                outcome = f"broken: {type(error).__name__}"
            with lock:
                counts[outcome] += 1

    try:
        worker.ready()
        while len(replicas()) < 2:
            time.sleep(0.2)
        threads = [threading.Thread(target=ask, args=(client,)) for client in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(10)
        before = dict(counts)
        victim = replicas()[0]
        victim.kill()
        killed = time.monotonic()
        known = {victim.pid, *(replica.pid for replica in replicas())}
        while time.monotonic() - killed < 120 and not recovered:
            if any(replica.pid not in known for replica in replicas()):
                recovered.append(time.monotonic() - killed)
            time.sleep(0.1)
        time.sleep(10)
        ending.set()
        for thread in threads:
            thread.join(100)
        tell(before=before, after=dict(counts), new_replica_after_seconds=recovered)
        assert recovered
        assert counts["answered"] > before["answered"]
        broken = sum(count for outcome, count in counts.items() if outcome != "answered")
        assert broken <= 8, "at most what was under way at the killed one"
        assert worker.ask(1)["choices"][0]["finish_reason"] == "stop"
        worker.end()
    finally:
        ending.set()
        worker.kill()
