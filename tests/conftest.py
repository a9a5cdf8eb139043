"""Fixtures shared by the whole suite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_servers import Answer, Server
from hypothesis import settings

# A busy machine may take any time over one example: time limits are pytest's, and speed belongs in benchmarks/.
settings.register_profile("default-without-deadline", deadline=None)
settings.load_profile("default-without-deadline")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Folder with public datasets and raw recordings that lies beside the repository on the developers' machines."""
    path = REPOSITORY.parent / "shared"
    if not path.is_dir():
        pytest.skip("needs the developers' ../shared folder, which is absent here")
    return path


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], Server]]:
    """Servers that answer as a test says, until its end."""
    servers: list[Server] = []

    def start(answer: Answer) -> Server:
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
