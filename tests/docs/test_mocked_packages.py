"""The site is built without packages that no extra of it brings: they are mocked, all of them by name."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDERS = ("gym_stepwise_routing", "agents", "baselines", "leaderboard")


def mocked():
    """``MOCKED`` of ``docs/generate.py``, which needs Sphinx to be imported."""
    for node in ast.parse((REPOSITORY / "docs" / "generate.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "MOCKED":
            return ast.literal_eval(node.value)
    raise AssertionError("docs/generate.py has no MOCKED")


def imported_at_once(source):
    """Top-level packages that a module imports when it is imported itself."""
    names = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(str(node.module).partition(".")[0])
    return names - set(sys.stdlib_module_names)


def modules():
    return [path for folder in FOLDERS for path in sorted((REPOSITORY / folder).rglob("*.py"))]


def test_imports_are_found():
    assert imported_at_once("import os, numpy.linalg\nfrom a.b import c\ndef f():\n    import late") == {"numpy", "a"}


@pytest.mark.parametrize("name", mocked())
def test_what_is_mocked_is_imported_somewhere(name):
    assert any(name in path.read_text(encoding="utf-8") for path in modules())


def test_what_is_not_installed_is_mocked():
    names = set().union(*(imported_at_once(path.read_text(encoding="utf-8")) for path in modules()))
    missing = {name for name in names if importlib.util.find_spec(name) is None}
    assert missing <= set(mocked())
