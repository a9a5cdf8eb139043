"""The README's examples run as they stand, one after the other, and end in a router that is better than mixing."""

from __future__ import annotations

import re

import pytest

LONGEST = 110


@pytest.fixture(scope="module")
def text(repository):
    return (repository / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def examples(text):
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def test_the_examples_end_in_a_router_better_than_mixing(examples, text, capsys):
    names: dict[str, object] = {}
    printed = []
    for number, example in enumerate(examples, start=1):
        exec(compile(example, f"README example {number}", "exec"), names)
        printed.append(capsys.readouterr().out)
    assert len(printed) == 3
    assert re.search(r"right: [01].0, cost: \d\.\d\d of always-largest", printed[0])
    assert printed[1].startswith("with probability >= 0.9 over the calibration problems")
    right, cost, mixing = map(float, re.findall(r"\d\.\d+", printed[2]))
    assert right > mixing + 0.02
    assert f"right on {right:.3f} at {cost:.2f} of the cost" in " ".join(text.split())
    assert f"mixing at that cost is right on {mixing:.3f}" in " ".join(text.split())


def test_the_readme_names_the_make_targets(repository, text):
    targets = set(re.findall(r"^([a-z-]+):", (repository / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert set(re.findall(r"make ([a-z-]+)", text)) <= targets


def test_the_readme_is_short_and_its_links_lead_somewhere(repository, text):
    assert len(text.splitlines()) <= LONGEST
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("http")]
    assert links
    assert [link for link in links if not (repository / link).exists()] == []
