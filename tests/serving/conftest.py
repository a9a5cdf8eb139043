"""A server in front of two fake endpoints, on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("openai")
pytest.importorskip("pydantic_settings")
pytest.importorskip("sqlalchemy")
pytest.importorskip("prometheus_client")

from fake_endpoint import FakeEndpoint, lines_of
from running_server import BANK, MODELS, running


@pytest.fixture
def endpoints() -> Iterator[tuple[FakeEndpoint, FakeEndpoint]]:
    small, large = FakeEndpoint(lines_of("small")).start(), FakeEndpoint(lines_of("large")).start()
    yield small, large
    small.stop()
    large.stop()


@pytest.fixture
def pool_file(tmp_path: Path, endpoints: tuple[FakeEndpoint, FakeEndpoint]) -> Callable[..., Path]:
    """Writes a pool file of the two endpoints."""
    (tmp_path / "prompt.txt").write_text("Q: {question}\nA:\n")

    def write(**changes: Any) -> Path:
        models = [
            {"name": name, "url": endpoint.url, "model": "fake", "parameters": size}
            for name, endpoint, size in zip(MODELS, endpoints, (0.5e9, 1.5e9), strict=True)
        ]
        content = {
            "models": models,
            "router": "always-smallest",
            "bank": BANK,
            "prompt": str(tmp_path / "prompt.txt"),
            "circuit": {"failures": 2, "cooldown": 0.2, "longest": 1},
            "timeouts": {"connect": 5, "count": 20, "first_token": 20, "between_tokens": 20, "request": 60},
        }
        path = tmp_path / "pool.yml"
        path.write_text(yaml.safe_dump(content | changes))
        return path

    return write


@pytest.fixture
def serve(pool_file: Callable[..., Path]) -> Callable[..., Any]:
    """Starts a server with changes to the pool file."""
    return lambda **changes: running(pool_file(**changes))
