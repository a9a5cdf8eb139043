"""The examples run, with the libraries that are installed, and stay short."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("with_*.py"))
NEEDS = {"cleanrl": "torch", "d3rlpy": "d3rlpy", "optuna": "optuna", "rllib": "tree", "sb3": "sb3_contrib"}
"""What only an example's own packages bring; ``tree`` is a part of ray[rllib], which ray alone does not have."""
MORE = {"optuna": ["--trials", "2"]}


def is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def name_of(example: Path) -> str:
    return example.stem.removeprefix("with_")


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_an_example_is_short_and_says_what_to_install(example, repository):
    assert len(example.read_text(encoding="utf-8").splitlines()) <= 120
    name = name_of(example)
    assert name == "sb3" or (repository / "examples" / f"with_{name}.txt").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_an_example_trains_and_its_router_is_evaluated(example, tmp_path):
    name = name_of(example)
    needed = NEEDS.get(name, name)
    if not is_installed(needed):
        pytest.skip(f"needs {needed}, which no extra of this package brings")
    masked = [] if name == "d3rlpy" else ["--mode", "escalate"]  # in which most steps have a mask
    command = [sys.executable, "-W", "ignore", str(example), "--steps", "2048", *masked, *MORE.get(name, [])]
    environment = os.environ | {"MINARI_DATASETS_PATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    last = done.stdout.strip().splitlines()[-1]
    accuracy, cost = map(float, re.search(r"accuracy (\S+) cost (\S+) return", last).groups())
    assert 0.1 < accuracy < 0.7
    assert 0 <= cost < 1.2
