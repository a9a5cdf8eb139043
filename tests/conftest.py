"""Fixtures shared by the whole suite."""

from __future__ import annotations

from pathlib import Path

import pytest
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
