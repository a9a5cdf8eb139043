"""Commands and options that the pages name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

from gym_stepwise_routing.cli.app import app

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = [
    *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "leaderboard/SUBMISSION.md")),
    *(p for p in sorted((REPOSITORY / "docs").rglob("*.md")) if not {"_build", "generated", "gallery"} & set(p.parts)),
]


def lines(text):
    """Command lines in the blocks of a page, continued lines joined."""
    blocks = "\n".join(re.findall(r"(?s)```\w*\n(.*?)```", text)).replace("\\\n", " ")
    return re.findall(r"^\$? ?stepwise-routing (.*)", blocks, flags=re.MULTILINE)


def test_lines_are_found():
    assert lines("a\n```sh\nstepwise-routing list \\\n  --json # x\n```\nstepwise-routing no") == ["list    --json # x"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_every_command_and_option_exists(page):
    for line in lines(page.read_text(encoding="utf-8")):
        words = line.partition(" #")[0].split()
        command = get_command(app)
        while words and hasattr(command, "commands"):
            if not re.fullmatch(r"[a-z][a-z-]*", words[0]):
                break
            assert words[0] in command.commands, line
            command = command.commands[words.pop(0)]
        known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)} | {"--help"}
        assert {word for word in words if re.fullmatch(r"--[a-z-]+", word)} <= known, line
