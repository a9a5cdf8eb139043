"""A package from outside that adds one of each kind by entry points, and one that is broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = """
import numpy as np
from generator_fakes import FakeGenerator
from importlib.resources import files
from gym_stepwise_routing.agents.agent import Agent
from gym_stepwise_routing.baselines import AlwaysLargest, AlwaysSmallest
from gym_stepwise_routing.costs.ledger import CALLS, KINDS
from gym_stepwise_routing.costs.units import Unit
from gym_stepwise_routing.datasets import DatasetSpec
from gym_stepwise_routing.generators.specs import Backend
from gym_stepwise_routing.grading import Grade, Grader
from gym_stepwise_routing.routers.families import Family, Settings

router = Family(
    name="outside pair",
    group="outside",
    build=lambda arena: Settings([AlwaysSmallest(), AlwaysLargest()], ["cheap", "dear"]),
    plays="plain",
)
agent = Agent(
    name="outside_ppo", title="PPO", module="stable_baselines3", algorithm="PPO", hyperparameters=files(__name__)
)


def grade(text, problem):
    return Grade(text.rpartition(" ")[2], text.endswith(problem.answer))


grader = Grader(name="last_word", title="the last word", make=lambda: grade, version=lambda: "last word (version 1)")
dataset = DatasetSpec(
    name="outside_sums",
    hub="",
    hub_config=None,
    splits={"test": ("", 3, ("sums.jsonl",))},
    question="question",
    answer="answer",
    solution="solution",
    level=None,
    grading="last_word",
    licence="CC0-1.0",
    source="made up",
)
generator = Backend(
    name="counts",
    title="says the next number",
    build=lambda spec: FakeGenerator(
        spec.pool_name, lambda prompt, prefix: "it is 4" if prefix else "so\\n", prompt_tokens=999
    ),
)


def calls(pool):
    weights = np.zeros((len(pool.rows), len(KINDS)))
    weights[:, CALLS] = 1.0
    return weights


unit = Unit(name="calls", label="calls", measure="calls", definition="requests to models", weights=calls)
"""
KINDS = {
    "routers": "outside pair",
    "agents": "outside_ppo",
    "graders": "last_word",
    "datasets": "outside_sums",
    "generators": "counts",
    "cost-units": "calls",
}


MAIN = "from gym_stepwise_routing.cli import main; main()"
LIST = """
import sys
from gym_stepwise_routing.cli.list_command import list_
for kind in sys.argv[1:]:
    list_(kind, as_json=True)
"""


def install(folder: Path, package: str, code: str, points: dict[str, list[str]]) -> None:
    """What ``pip install --target`` leaves behind."""
    (folder / package).mkdir(parents=True)
    (folder / package / "__init__.py").write_text(code)
    metadata = folder / f"{package}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package.replace('_', '-')}\nVersion: 1.0\n")
    lines = (f"[gym_stepwise_routing.{group}]\n" + "\n".join(each) for group, each in points.items())
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture
def command(tmp_path, repository):
    """The command line in a process that has the installed packages on its path."""

    def run(*arguments: object, code: str = MAIN) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(tmp_path / "site"), str(repository / "tests"), os.environ.get("PYTHONPATH", "")])
        result = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": path, "COLUMNS": "200"},
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result

    return run


@pytest.fixture
def outside(tmp_path):
    points = {kind.replace("-", "_"): [f"mine = outside_routing:{kind[:-1].rpartition('-')[2]}"] for kind in KINDS}
    install(tmp_path / "site", "outside_routing", MODULE, points)
    (tmp_path / "site/outside_routing/outside_ppo.yml").write_text("n_envs: 2\ntotal_timesteps: 8\n")


def test_what_it_adds_is_listed(outside, command):
    result = command(*KINDS, code=LIST)
    listed = [json.loads(each + "]") for each in result.stdout.split("\n]\n")[:-1]]
    for name, entries in zip(KINDS.values(), listed, strict=True):
        assert name in [entry["name"] for entry in entries]
    assert "left out" not in result.stderr


def test_its_router_is_compared_in_its_cost_unit(outside, command, tmp_path):
    bank = ["--bank", "gsm8k-like", "--problems", "20", "--resamples", "100"]
    command("compare", *bank, "--cost-unit", "calls", "--only", "outside", "--only", "single models")
    result = json.loads((tmp_path / "runs/compare/comparison.json").read_text())
    single, pair = result["rows"]
    assert (pair["name"], pair["group"], pair["settings"]) == ("outside pair", "outside", ["cheap", "dear"])
    assert pair["costs"] == single["costs"]
    assert result["cost_unit"] == "calls"


def test_its_dataset_is_recorded_by_its_generator_and_graded_by_its_grader(outside, command, tmp_path):
    rows = ({"question": f"{n} + 1?", "answer": str(n + 1), "solution": "-"} for n in (2, 3, 4))
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    models = ["--models", "counts:little", "--models", "counts:big"]
    command("record", "--dataset", "outside_sums/test", "--data", tmp_path, *models, "--out", tmp_path / "recording")
    manifest = json.loads((tmp_path / "recording/bank/bank.json").read_text())
    assert manifest["grader"]["name"] == "last word (version 1)"
    assert manifest["datasets"]["outside_sums"]["licence"] == "CC0-1.0"
    assert [model["name"] for model in manifest["models"]] == ["little", "big"]


def test_its_agent_is_trained(outside, command, tmp_path):
    pytest.importorskip("stable_baselines3")
    command(
        "train", "--agent", "outside_ppo", "--bank", "gsm8k-like", "--seeds", "1", "--steps", "4096", "--out", tmp_path
    )
    assert json.loads((tmp_path / "outside_ppo-seed0/manifest.json").read_text())["agent"] == "outside_ppo"


def test_a_broken_package_is_told_once_and_hinders_nothing(command, tmp_path):
    code = """
from gym_stepwise_routing.routers.families import Family
taken = Family(name="fitted Q", group="mine", build=print)
"""
    points = {
        "routers": ["gone = broken_routing.nowhere:thing", "taken = broken_routing:taken"],
        "graders": ["wrong = broken_routing:taken"],
    }
    install(tmp_path / "site", "broken_routing", code, points)
    result = command("list", "routers", "--json")
    assert len(json.loads(result.stdout)) > 30
    told = [line for line in result.stderr.splitlines() if "broken-routing: its" in line]
    assert len(told) == 3
    for fault in ("No module named 'broken_routing.nowhere'", "router='fitted Q' is taken", "allowed: a Grader"):
        assert sum(fault in line for line in told) == 1
