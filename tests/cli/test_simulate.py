"""``stepwise-routing simulate``: where a preset's numbers come from, and its trees as a bank."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from gym_stepwise_routing.cli.simulate_command import simulate

APP = typer.Typer()
APP.command()(simulate)


def run(*arguments):
    return CliRunner().invoke(APP, list(arguments), terminal_width=200)


def test_origins_and_export(tmp_path):
    folder = tmp_path / "bank"
    result = run("--preset", "gsm8k-like", "--problems", "20", "--bank", str(folder), "--depth", "3")
    assert result.exit_code == 0, result.output
    assert "SIMULATED: gsm8k-like, where its numbers come from" in result.output
    assert json.loads((folder / "bank.json").read_text())["simulated"] is True


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--preset", "maths"), "preset='maths' is not known"),
        (("--preset", "gsm8k-like", "--problems", "0"), "problems=0"),
        (("--preset", "gsm8k-like", "--depth", "3"), "depth=3 has no effect here; allowed: with --bank"),
        (("--preset", "gsm8k-like", "--bank", "b", "--depth", "9"), "depth=9; allowed: 1 to 5"),
    ],
)
def test_bad_arguments(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())
