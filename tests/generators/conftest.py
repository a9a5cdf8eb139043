"""A small trained model for the whole folder, and servers that answer as a test says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_servers import Answer, Server


@pytest.fixture(scope="session")
def tiny_model() -> Path:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from tiny_models import trained

    return trained(seed=1, steps=150)


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], Server]]:
    servers: list[Server] = []

    def start(answer: Answer) -> Server:
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
