"""A tutorial says in its first line what it needs, and without that its first cell fails with the same command."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from gym_stepwise_routing.errors import _EXTRAS, need_extras

TUTORIALS = sorted((Path(__file__).resolve().parents[2] / "docs" / "tutorials").glob("t*.py"))


def needed(text):
    """The command of the first line below the title."""
    return re.search(r"^Needs .*``(pip install .*?)``", text.split('"""')[1].strip().splitlines()[3])[1]


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda path: path.stem)
def test_without_its_extra_the_first_cell_says_what_installs_it(tutorial, monkeypatch):
    text = tutorial.read_text(encoding="utf-8")
    command = needed(text)
    extras = re.search(r"\[(.*)\]", command)[1].split(",")
    for package in (package for package, extra in _EXTRAS.items() if extra in extras):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError) as told:
        exec(compile(text, tutorial.name, "exec"), {})
    assert command.replace("pip install -e", "pip install") in str(told.value)


def test_an_extra_that_there_is_not():
    with pytest.raises(ValueError, match="extra='everything' is not known; allowed: 'agents', 'cli'"):
        need_extras("everything")


def test_what_is_there_is_not_told():
    need_extras("cli")
