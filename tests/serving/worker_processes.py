"""Servers and fake endpoints in processes of their own, which may be killed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

http = pytest.importorskip("httpx2", reason="needs the openai client's httpx2")

HERE = Path(__file__).parent
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(HERE)]), "OMP_NUM_THREADS": "1"}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def question(number: int) -> dict:
    return {"model": "stepwise-routing", "messages": [{"role": "user", "content": f"What is {number} + 1?"}]}


class EndpointProcess:
    """A fake endpoint (``python fake_endpoint.py``), started again on the same port after it was killed."""

    def __init__(self, name: str, token_seconds: float) -> None:
        self.port, self._words = free_port(), [name, str(token_seconds)]
        self.url = f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> EndpointProcess:
        words = [sys.executable, str(HERE / "fake_endpoint.py"), str(self.port), *self._words]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, env=ENVIRONMENT)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"started\n"
        return self

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self._process.kill()
        self._process.communicate()


class Worker:
    """``stepwise-routing serve``."""

    def __init__(self, config: Path, *options: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = "from gym_stepwise_routing.cli import main; main()"
        self._words = [sys.executable, "-c", command, "serve", "--config", str(config), "--port", str(self.port)]
        self._words += options

    def start(self) -> Worker:
        self._process = subprocess.Popen(self._words, env=ENVIRONMENT)
        return self

    def ready(self, path: str = "/ready") -> Worker:
        for _ in range(1200):
            assert self._process.poll() is None, "the server has ended"
            try:
                if http.get(f"{self.url}{path}", timeout=20).status_code == 200:
                    return self
            except http.TransportError:
                pass
            time.sleep(0.1)
        raise AssertionError("the server is not ready in time")

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self._process.kill()
        self._process.wait()

    def end(self) -> int:
        """SIGTERM; the exit status."""
        self._process.terminate()
        return self._process.wait(60)

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, number: int) -> dict:
        answer = http.post(f"{self.url}/v1/chat/completions", json=question(number), timeout=100)
        answer.raise_for_status()
        return answer.json()

    def events(self, number: int) -> Iterator[str]:
        """The data of each event of a streamed answer, as they come."""
        body = question(number) | {"stream": True}
        with http.stream("POST", f"{self.url}/v1/chat/completions", json=body, timeout=100) as response:
            response.raise_for_status()
            yield from (line[6:] for line in response.iter_lines() if line)

    def say(self, id: str, right: bool):
        return http.post(f"{self.url}/v1/feedback", json={"id": id, "right": right}, timeout=100)
