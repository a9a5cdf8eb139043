"""Files of the repository that state the same thing twice agree; YAML can be read."""

from __future__ import annotations

import re
import tomllib

import pytest

from gym_stepwise_routing.types import VERSION

yaml = pytest.importorskip("yaml", reason="needs the extra 'agents'")


def read(repository, name):
    return (repository / name).read_text(encoding="utf-8")


def test_the_version_is_the_same_in_citation_and_changelog(repository):
    assert str(yaml.safe_load(read(repository, "CITATION.cff"))["version"]) == VERSION
    newest = re.search(r"^## \[(\d[^]]*)\] - \d{4}-\d\d-\d\d$", read(repository, "CHANGELOG.md"), flags=re.MULTILINE)
    assert newest is not None
    assert newest[1] == VERSION


def test_every_version_of_the_changelog_has_a_link(repository):
    text = read(repository, "CHANGELOG.md")
    headings = re.findall(r"^## \[([^]]+)\]", text, flags=re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert headings == re.findall(r"^\[([^]]+)\]: https://", text, flags=re.MULTILINE)


def test_pre_commit_has_the_ruff_of_the_extra(repository):
    extras = tomllib.loads(read(repository, "pyproject.toml"))["project"]["optional-dependencies"]["dev"]
    (pinned,) = (item.removeprefix("ruff==") for item in extras if item.startswith("ruff=="))
    hooks = yaml.safe_load(read(repository, ".pre-commit-config.yaml"))["repos"]
    assert [hook["rev"] for hook in hooks if "ruff" in hook["repo"]] == [f"v{pinned}"]


def test_workflows_and_templates_are_yaml(repository):
    files = [*repository.glob(".github/workflows/*.yml"), *repository.glob(".github/ISSUE_TEMPLATE/*.yml")]
    assert len(files) >= 7
    for file in files:
        assert isinstance(yaml.safe_load(file.read_text(encoding="utf-8")), dict), file.name


def test_one_workflow_publishes_pages(repository):
    """A repository has one site: a second deployment would replace the first."""
    publishing = [
        file.name for file in repository.glob(".github/workflows/*.yml") if "deploy-pages" in file.read_text()
    ]
    assert publishing == ["site.yml"]


def test_the_guide_names_make_targets_and_folders_that_exist(repository):
    text = read(repository, "CONTRIBUTING.md")
    targets = set(re.findall(r"^([a-z-]+):", read(repository, "Makefile"), flags=re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)`", text)) <= targets
    for path in re.findall(r"`((?:agents|baselines|docs|gym_stepwise_routing|leaderboard)/[\w/.]*)`", text):
        assert (repository / path).exists(), path
