"""The package as users get it: a light import, and a wheel with one top-level name and all its data."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import settings

HEAVY = {
    "torch",
    "scipy",
    "pandas",
    "stable_baselines3",
    "transformers",
    "matplotlib",
    "typer",
    "rich",
    "pydantic",
    "PIL",
}
FOLDERS = ("agents", "baselines", "leaderboard")
OF_THE_REPOSITORY = (
    "leaderboard/entries/",
    "leaderboard/artefacts/",
    "leaderboard/rows.json",
    "leaderboard/SUBMISSION.md",
)
PLAY = """
import sys
import gymnasium as gym
import gym_stepwise_routing
env = gym.make("StepwiseRouting-v0")
env.reset(seed=0)
env.step(1)
import gym_stepwise_routing.baselines, gym_stepwise_routing.evaluation.evaluate
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def modules_after(code: str) -> set[str]:
    """Top-level names of the modules that a fresh interpreter has loaded after running the code."""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


@pytest.mark.parametrize(
    "code",
    ["import sys, gym_stepwise_routing; print(*{name.partition('.')[0] for name in sys.modules})", PLAY],
    ids=["import", "play"],
)
def test_the_core_needs_nothing_heavy(code):
    loaded = modules_after(code)
    assert {"gymnasium", "numpy", "gym_stepwise_routing"} <= loaded
    assert not loaded & HEAVY


def test_a_missing_extra_is_named():
    """As in an environment with the core alone."""
    code = "import sys; sys.modules['stable_baselines3'] = None; import gym_stepwise_routing.envs.sb3"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ImportError: gym_stepwise_routing.envs.sb3 needs Stable-Baselines3: pip install" in result.stderr
    assert "gym-stepwise-routing[agents]" in result.stderr


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    pytest.importorskip("build", reason="needs the extra 'dev'")
    pytest.importorskip("setuptools", "77", reason="building without isolation needs setuptools >= 77")
    copy = tmp_path_factory.mktemp("source") / "repository"
    ignored = shutil.ignore_patterns(".*", "build", "dist", "runs", "tests", "__pycache__", "*.egg-info")
    shutil.copytree(repository, copy, ignore=ignored)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", str(copy)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    (path,) = (copy / "dist").glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_installs_one_top_level_name(wheel: zipfile.ZipFile):
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {name for name in tops if not name.endswith(".dist-info")} == {"gym_stepwise_routing"}


def test_the_wheel_holds_all_code_and_data(wheel: zipfile.ZipFile, repository: Path):
    names = set(wheel.namelist())
    for folder, target in (
        ("gym_stepwise_routing", ""),
        *((f, f"{f}/") for f in FOLDERS),
    ):
        root = repository / folder
        for path in root.rglob("*.py"):
            if "__pycache__" not in path.parts:
                assert f"gym_stepwise_routing/{target}{path.relative_to(root).as_posix()}" in names
    assert "gym_stepwise_routing/py.typed" in names
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=repository, capture_output=True, text=True, check=False)
    data = [
        file if file.startswith("gym_stepwise_routing/") else f"gym_stepwise_routing/{file}"
        for file in tracked.stdout.split("\0")
        if file.startswith(("gym_stepwise_routing/", *(f"{folder}/" for folder in FOLDERS)))
        and not file.startswith(OF_THE_REPOSITORY)
    ]
    assert data or tracked.returncode, "nothing is tracked"
    assert not set(data) - names


def test_the_wheel_is_one_of_code(wheel: zipfile.ZipFile):
    """Packages are folders with ``__init__.py``; what belongs to the repository stays there."""
    assert Path(str(wheel.filename)).stat().st_size <= 7.5e6
    names = [name for name in wheel.namelist() if name.startswith("gym_stepwise_routing/")]
    packages = {Path(name).parent for name in names if name.endswith(".py")}
    assert {package / "__init__.py" for package in packages} <= {Path(name) for name in names}
    assert len(packages) <= 60
    assert not [
        name for name in names if name.startswith(tuple(f"gym_stepwise_routing/{f}" for f in OF_THE_REPOSITORY))
    ]
    assert [name for name in names if name.startswith("gym_stepwise_routing/leaderboard/tracks/")]


def test_commands_that_need_the_repository_say_so(wheel: zipfile.ZipFile, tmp_path: Path):
    """As an installed package, in a folder that is no checkout."""
    pytest.importorskip("pydantic")
    wheel.extractall(tmp_path / "installed")
    (tmp_path / "here").mkdir()
    entry = "leaderboard/entries/gsm8k-route/mine.json"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}

    def said(*words: str, status: tuple[int, ...] = (1, 2)) -> str:
        command = [sys.executable, "-P", "-c", "from gym_stepwise_routing.cli import main; main()", *words]
        result = subprocess.run(
            command, cwd=tmp_path / "here", env=environment, capture_output=True, text=True, check=False
        )
        assert result.returncode in status, result.stdout + result.stderr
        assert "Traceback" not in result.stderr
        return " ".join((result.stdout + result.stderr).split())

    assert "no such file" in said("verify", entry)
    assert "such as leaderboard/entries of a checkout" in said("leaderboard", "build")
    assert "needs the package of a checkout: pip install -e" in said("leaderboard", "refresh")
    words = ["--track", "gsm8k-closed-models", "--name", "mine", "--authors", "me", "--description", "d"]
    router = "gym_stepwise_routing.baselines:AlwaysSmallest"
    said("submit", router, *words, status=(0,))  # tracks are installed
    assert (tmp_path / "here/leaderboard/entries/gsm8k-closed-models/mine.json").is_file()
    assert "rows.json is not here" in said("verify", "leaderboard/entries/gsm8k-closed-models/mine.json")


def test_the_wheel_states_licence_core_dependencies_and_the_command(wheel: zipfile.ZipFile):
    (metadata,) = (wheel.read(name).decode() for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    required = [line.split(":")[1] for line in metadata.splitlines() if line.startswith("Requires-Dist")]
    core = {line.split()[0].split("<")[0].split(">")[0] for line in required if "extra ==" not in line}
    assert core == {"gymnasium", "numpy", "pyarrow"}
    assert "License-Expression: MIT" in metadata
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())
    (scripts,) = (wheel.read(name).decode() for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "stepwise-routing = gym_stepwise_routing.cli:main" in scripts


def test_property_tests_have_no_time_limit_of_their_own():
    """A slow machine must not fail them; the profile is set in conftest."""
    assert settings.default.deadline is None
