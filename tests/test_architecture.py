"""The house: layers of imports, unique file names, files that fit a screenful or two."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
ROOMS = ("gym_stepwise_routing", "agents", "baselines", "leaderboard")
REPEATED = {"__init__.py", "policies.py"}
"""Every folder has the first, every algorithm of sb3-contrib's kind the second."""
LONGEST = 350


def modules(*rooms):
    return [
        path
        for room in rooms
        for path in (REPOSITORY / room).rglob("*.py")
        if not any(part.is_symlink() for part in path.parents)
    ]


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The package as it is installed, its top-level folders in it."""
    root = tmp_path_factory.mktemp("house")
    for room in ROOMS:
        target = root / ROOMS[0] if room == ROOMS[0] else root / ROOMS[0] / room
        ignored = shutil.ignore_patterns("__pycache__", *ROOMS[1:], "data", "entries", "artefacts")
        shutil.copytree(REPOSITORY / room, target, ignore=ignored)
    shutil.copy(REPOSITORY / "pyproject.toml", root)
    return root


def lint(root):
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()"]
    done = subprocess.run([*command, "pyproject.toml", "--no-cache"], cwd=root, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_imports_keep_to_the_layers(package):
    status, said = lint(package)
    assert status == 0, said
    assert "0 broken" in said


@pytest.mark.parametrize("inside", ["", "    "], ids=["module", "function"])
def test_a_planted_cycle_is_found(package, inside):
    file = package / "gym_stepwise_routing" / "costs" / "ledger.py"
    before = file.read_text()
    planted = "\n\ndef planted():\n    from gym_stepwise_routing.game.game import Game\n" if inside else ""
    file.write_text(before + (planted or "\n\nfrom gym_stepwise_routing.game.game import Game\n"))
    status, said = lint(package)
    file.write_text(before)
    assert status == 1, said
    assert "gym_stepwise_routing.costs.ledger -> gym_stepwise_routing.game.game" in said


def test_file_names_of_the_package_are_unique():
    names = Counter(path.name for path in modules(*ROOMS))
    assert {name for name, count in names.items() if count > 1} <= REPEATED


def test_no_file_is_too_long():
    lengths = {path: len(path.read_text().splitlines()) for path in modules(*ROOMS, "studies")}
    assert {path.name: length for path, length in lengths.items() if length > LONGEST} == {}
