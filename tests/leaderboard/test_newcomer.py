"""From a router of one's own to a verified entry, as the submission rules tell it."""

from __future__ import annotations

import os
import re
import sys

import pytest
from typer.testing import CliRunner

from gym_stepwise_routing.cli.app import app
from gym_stepwise_routing.leaderboard.entry import Entry
from gym_stepwise_routing.leaderboard.entry_files import read_entry

RUN = CliRunner()


@pytest.fixture
def rules(repository):
    return (repository / "leaderboard" / "SUBMISSION.md").read_text(encoding="utf-8")


@pytest.fixture
def newcomer(tmp_path, monkeypatch, rules):
    """A folder of one's own with the twenty lines of the rules."""
    (code,) = re.findall(r"```python\n# my_router.py\n(.*?)```", rules, flags=re.DOTALL)
    assert len(code.splitlines()) <= 20
    (tmp_path / "my_router.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("my_router", None)


def test_a_router_of_ones_own_becomes_an_entry_in_two_minutes(newcomer, rules):
    (command,) = re.findall(r"```sh\n(stepwise-routing submit my_router.*?)```", rules, flags=re.DOTALL)
    words = [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', command.replace("\\\n", " "))]
    start = sum(os.times()[:4])  # CPU seconds, of this process and those that it has waited for
    submitted = RUN.invoke(app, words[1:])
    assert submitted.exit_code == 0, submitted.output
    (path,) = newcomer.glob("leaderboard/entries/*/*.json")
    seen = RUN.invoke(app, ["verify", str(path)])
    assert seen.exit_code == 0, seen.output
    assert "not run again (not trusted, see --trust)" in seen.output
    verified = RUN.invoke(app, ["verify", str(path), "--trust"])
    assert verified.exit_code == 0, verified.output
    assert "router run again" in verified.output
    assert sum(os.times()[:4]) - start < 120
    assert Entry.read(path).about.title


def test_what_the_rules_say_of_the_board_is_on_it(repository, rules):
    for name, text in (("confidence-p-mean", "{:.1f} points below"), ("all-budgets-ppo", "is {:.1f} [")):
        entry = read_entry(repository / "leaderboard" / "entries" / "gsm8k-route.jsonl", name)
        said = text.format(abs(100 * entry.figures.units["flops"].gain.value))
        assert f"`{name}`" in rules
        assert said in rules


def test_a_tampered_file_ends_with_status_one_and_the_reason(newcomer):
    words = ["submit", "my_router:MyRouter", "--track", "gsm8k-route", "--name", "mine", "--authors", "me"]
    assert RUN.invoke(app, [*words, "--description", "d"]).exit_code == 0
    path = newcomer / "leaderboard/entries/gsm8k-route/mine.json"
    path.write_text(path.read_text().replace('"steps": ', '"steps": 1'))
    result = RUN.invoke(app, ["verify", str(path)])
    assert result.exit_code == 1
    assert "rejected" in result.output
    assert "figures.steps=" in result.output


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--track": "gsm9k"}, "track='gsm9k' is not known; allowed: "),
        ({"--name": "Bad_Name"}, "name='Bad_Name'; allowed: lower-case letters"),
        ({"--title": "x" * 61}, "key 'title': String should have at most 60 characters"),
        ({"--select": "luck=1"}, "select='luck=1'; allowed: budget=NUMBER"),
        ({"--observation": "progress,tarot"}, "'tarot' is not known"),
        ({"--kwargs": "figure"}, "kwargs='figure'; allowed: KEY=VALUE"),
        ({"--paper": "arxiv"}, "allowed: an address"),
    ],
)
@pytest.mark.usefixtures("newcomer")
def test_bad_input_is_one_line(change, message):
    options = {"--track": "gsm8k-route", "--name": "n", "--authors": "a", "--description": "d", **change}
    result = RUN.invoke(app, ["submit", "my_router:MyRouter", *(word for pair in options.items() for word in pair)])
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("router", "message"),
    [
        ("nowhere:MyRouter", "No module named 'nowhere'"),
        ("my_router:MyRoute", "no attribute 'MyRoute'"),
        ("runs/my-router", "router='runs/my-router': no such file or folder; allowed: "),
        ("my router:MyRouter", "key 'factory': String should match pattern"),
    ],
)
@pytest.mark.usefixtures("newcomer")
def test_a_router_that_cannot_be_had_is_one_line(router, message):
    words = ["--track", "gsm8k-route", "--name", "n", "--authors", "a", "--description", "d"]
    result = RUN.invoke(app, ["submit", router, *words])
    assert result.exit_code == 2
    assert message in result.output
    assert len(result.output.strip().splitlines()) == 1
    assert result.exception is None or isinstance(result.exception, SystemExit)


def test_a_missing_package_is_no_fault_of_the_entry(monkeypatch, repository, tmp_path, fresh_worker):
    """What the board's own code needs and the machine has not is said as such, and the entry is not rejected."""
    (tmp_path / "sklearn.py").write_text("raise ImportError('No module named sklearn')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    board = repository / "leaderboard"
    entry, chosen = board / "entries" / "gsm8k-route.jsonl", ["--name", "steer-probability"]
    result = RUN.invoke(app, ["verify", str(entry), *chosen, "--artefacts", str(board / "artefacts")])
    assert result.exit_code == 1
    assert "rejected" not in result.output
    assert f"not verified {entry.name}:steer-probability" in result.output.replace(f"{entry.parent}/", "")
    assert "error: STEER needs scikit-learn: pip install 'gym-stepwise-routing[agents]'" in result.output


def test_verify_goes_on_to_the_next_file_and_submit_overwrites_nothing(newcomer):
    words = [
        "submit",
        "my_router:MyRouter",
        "--track",
        "gsm8k-route",
        "--authors",
        "me",
        "--description",
        "d",
        "--name",
    ]
    assert RUN.invoke(app, [*words, "mine"]).exit_code == 0
    assert "--overwrite" in RUN.invoke(app, [*words, "mine"]).output
    assert RUN.invoke(app, [*words, "mine", "--overwrite"]).exit_code == 0
    assert "the board's own rows" in RUN.invoke(app, [*words, "oracle"]).output
    path = newcomer / "leaderboard/entries/gsm8k-route/mine.json"
    broken = path.with_name("broken.json")
    broken.write_text(path.read_text().replace('"confidence"', '"progress"', 1).replace('"mine"', '"broken"'))
    result = RUN.invoke(app, ["verify", str(broken), str(path)])
    assert result.exit_code == 1
    assert "view" in result.output
    assert "verified" in result.output
