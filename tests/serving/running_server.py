"""A server that answers on loopback, with real sockets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("openai")
pytest.importorskip("pydantic_settings")
pytest.importorskip("sqlalchemy")
pytest.importorskip("prometheus_client")

import openai
import uvicorn

from gym_stepwise_routing.serving.http_app import create_app
from gym_stepwise_routing.serving.pool_config import load_config
from gym_stepwise_routing.serving.service import Service

BANK = "gsm8k-qwen2.5-coder"
MODELS = ("Qwen2.5-Coder-0.5B-Instruct", "Qwen2.5-Coder-1.5B-Instruct")


class Running:
    """A server that answers, and what a test asks of it."""

    def __init__(self, service: Service, url: str) -> None:
        self.service = service
        self.url = url
        self.client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=60)

    def ask(self, **options: Any) -> Any:
        arguments = {"model": "stepwise-routing", "messages": [{"role": "user", "content": "What is 6 x 7?"}]}
        return self.client.chat.completions.create(**(arguments | options))

    def lines(self, **options: Any) -> list[str]:
        return self.ask(**options).choices[0].message.content.split("\n")


@contextmanager
def running(config_path: Path) -> Iterator[Running]:
    service = Service(load_config(config_path))
    app = create_app(service)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=5))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.005)
        try:
            yield Running(service, f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            server.should_exit = True
            thread.join(15)
            assert not thread.is_alive()
