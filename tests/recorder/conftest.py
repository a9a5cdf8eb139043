"""A pool of two small trained models and problems for them."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_pool() -> tuple[Path, Path]:
    """Folders of a hasty and of a better adder."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from tiny_models import trained

    return trained(seed=0, steps=60), trained(seed=1, steps=150)


@pytest.fixture(scope="session")
def sums_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty sums as a JSON Lines file."""
    rng = random.Random(7)
    rows = []
    while len(rows) < 40:
        digits = [rng.randrange(10) for _ in range(3)]
        question = " + ".join(map(str, digits))
        if question not in {row["question"] for row in rows}:
            rows.append({"question": question, "answer": str(sum(digits))})
    path = tmp_path_factory.mktemp("sums") / "sums.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def sums_prompt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prompt that the small models were trained on."""
    from tiny_models import PROMPT

    path = tmp_path_factory.mktemp("prompt") / "sums.txt"
    path.write_text(PROMPT, encoding="utf-8")
    return path
