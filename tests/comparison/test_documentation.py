"""The lists in ``docs/`` against the registries, and ``docs/baselines.md`` against the code."""

from __future__ import annotations

import re

import pytest
from typer.main import get_command

from gym_stepwise_routing.agents.agent import AGENTS
from gym_stepwise_routing.cli.app import app
from gym_stepwise_routing.comparison import roster
from gym_stepwise_routing.costs.units import COST_UNITS
from studies.baselines.pages import SETTINGS


@pytest.fixture(scope="module")
def text(repository):
    return (repository / "docs" / "baselines.md").read_text(encoding="utf-8")


def test_every_router_and_its_paper_are_named(text):
    assert {family.paper for family in roster()} - {""} <= set(re.findall(r"arXiv \d{4}\.\d{5}", text))
    classes = {family.router.__name__ for family in roster() if family.router is not None}
    assert {name for name in classes if f"`{name}`" not in text} == set()
    others = [family.name for family in roster() if family.router is None]
    assert [name for name in others if name.partition(",")[0] not in text] == []


@pytest.mark.parametrize(("page", "registry"), [("agents", AGENTS), ("costs", COST_UNITS)])
def test_every_name_is_in_the_table(repository, page, registry):
    table = re.findall(r"^\| (.*?) \|", (repository / f"docs/{page}.md").read_text(), flags=re.MULTILINE)
    assert set(registry) <= set(re.findall(r"`(\w+)`", " ".join(table)))


def test_every_class_exists(text, repository):
    code = "".join(
        path.read_text(encoding="utf-8")
        for folder in ("baselines", "gym_stepwise_routing/comparison")
        for path in (repository / folder).rglob("*.py")
    )
    classes = {name.rpartition(".")[2] for name in re.findall(r"`([\w.]*[A-Z][a-z]\w+)`", text)}
    assert len(classes) > 20
    assert {name for name in classes if f"class {name}(" not in code and f"class {name}:" not in code} == set()


def test_every_command_and_option_exists(text):
    commands = get_command(app).commands
    for line in re.findall(r"^stepwise-routing .*(?:\\\n.*)*", text, flags=re.MULTILINE):
        command = commands[line.split()[1]]
        known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
        assert set(re.findall(r"--[a-z-]+", line)) <= known, line


def test_links_lead_somewhere(text, repository):
    for page in ("docs/baselines.md", "docs/results/baselines/peers.md", "docs/results/baselines/gsm8k-route.md"):
        path = repository / page
        for link in re.findall(r"\]\(([^)#]+)(?:#[\w-]+)?\)", path.read_text(encoding="utf-8")):
            assert (path.parent / link.replace("\n", "")).exists(), f"{page}: {link}"
    for setting in SETTINGS:
        assert f"results/baselines/{setting.name}.md" in text
