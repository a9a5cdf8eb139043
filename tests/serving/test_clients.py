"""The command as users start it, and clients other than the official one: curl's way, and LangChain's."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import httpx2 as http
import openai
import pytest

LINES = ["{0} writes line 0 of it", "{0} writes line 1 of it", "{0} writes line 2 of it", "The answer is 42."]
START = "from gym_stepwise_routing.cli import main; main()"


@pytest.fixture
def command(pool_file, tmp_path):
    """``stepwise-routing serve`` as a process of its own."""
    log = tmp_path / "decisions.jsonl"
    path = pool_file(log={"path": str(log)}, server={"drain": 10})
    words = [sys.executable, "-c", START, "serve", "--config", str(path), "--port", "0"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=os.environ | {"COLUMNS": "200"})
    assert process.stderr is not None
    told = process.stderr.readline()
    found = re.search(r"http://127\.0\.0\.1:\d+", told)
    assert found, told
    while True:
        try:
            http.get(f"{found[0]}/health")
            break
        except http.ConnectError:
            time.sleep(0.05)
    yield process, found[0], log
    process.kill()
    process.wait(10)


def test_sigterm_lets_a_stream_end_writes_the_log_and_exits(command, endpoints):
    process, url, log = command
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
    endpoints[0].token_seconds = 0.05
    texts = []

    def ask():
        messages = [{"role": "user", "content": "What is 6 x 7?"}]
        chunks = client.chat.completions.create(model="stepwise-routing", messages=messages, stream=True)
        texts.append("".join(c.choices[0].delta.content or "" for c in chunks if c.choices))

    thread = threading.Thread(target=ask)
    thread.start()
    while not endpoints[0].streaming:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    thread.join(20)
    assert process.wait(20) in (0, -signal.SIGTERM)
    assert texts == ["\n".join(line.format("small") for line in LINES)]
    server, record = [json.loads(line) for line in log.read_text().splitlines()]
    assert server["event"] == "server"
    assert record["outcome"] == "answered"


def test_kill_9_of_the_server_loses_no_line_that_was_synced(command):
    process, url, log = command
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
    client.completions.create(model="stepwise-routing", prompt="Q")
    deadline = time.monotonic() + 10
    while log.read_text().count("\n") < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.wait(10)
    assert [json.loads(line).get("outcome") for line in log.read_text().splitlines()] == [None, "answered"]


def test_curl_reads_the_stream(serve):
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    body = json.dumps({"model": "stepwise-routing", "messages": [{"role": "user", "content": "Q"}], "stream": True})
    with serve() as running:
        words = [
            "curl",
            "-sN",
            f"{running.url}/v1/chat/completions",
            "-H",
            "Content-Type: application/json",
            "-d",
            body,
        ]
        out = subprocess.run(words, capture_output=True, text=True, check=True, timeout=30).stdout
    events = [line.removeprefix("data: ") for line in out.splitlines() if line]
    assert events[-1] == "[DONE]"
    last = json.loads(events[-2])
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["usage"]["completion_tokens"] > 0
    assert last["routing"]["steps"]


def test_langchain_streams_and_invokes(serve):
    langchain = pytest.importorskip("langchain_openai")
    with serve() as running:
        chat = langchain.ChatOpenAI(
            model="stepwise-routing", base_url=f"{running.url}/v1", api_key="none", max_retries=0, temperature=0
        )
        whole = chat.invoke("What is 6 x 7?").content
        pieces = "".join(chunk.content for chunk in chat.stream("What is 6 x 7?"))
    assert whole.split("\n")[-1] == "The answer is 42."
    assert pieces == whole
