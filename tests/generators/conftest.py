"""A small trained model for the whole folder."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_model() -> Path:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from tiny_models import trained

    return trained(seed=1, steps=150)
