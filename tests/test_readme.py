"""The README's examples run as they stand."""

from __future__ import annotations

import re

import pytest

README_BLOCKS = 3


def blocks(repository):
    return re.findall(r"```python\n(.*?)```", (repository / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)


def test_there_are_three_examples(repository):
    assert len(blocks(repository)) == README_BLOCKS


@pytest.mark.parametrize("number", range(README_BLOCKS))
def test_example_runs(repository, number, capsys):
    exec(compile(blocks(repository)[number], f"README example {number + 1}", "exec"), {})
    printed = capsys.readouterr().out
    assert ("of always-largest" in printed) == (number != 1)


def test_the_readme_names_the_make_targets(repository):
    text = (repository / "README.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (repository / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert set(re.findall(r"make ([a-z-]+)", text)) <= targets
