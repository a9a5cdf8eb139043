"""The command line as a whole: every command has help, and a missing extra is named."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from gym_stepwise_routing.cli.app import app
from gym_stepwise_routing.types import VERSION

COMMANDS = sorted(get_command(app).commands)


@pytest.mark.parametrize("name", COMMANDS)
def test_help(name):
    result = CliRunner().invoke(app, [name, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


AGENTS = ("torch", "stable_baselines3", "sb3_contrib", "yaml", "sklearn", "tensorboard")


@pytest.mark.parametrize(
    ("missing", "arguments", "extra"),
    [(["typer"], ["bank", "info"], "cli"), ([*AGENTS], ["train", "--out", "runs"], "agents")],
)
def test_the_extra_that_a_command_needs_is_named(missing, arguments, extra):
    """With ``[cli]`` alone the commands are there, and a training says what it needs."""
    code = f"""
import sys
sys.modules |= dict.fromkeys({missing!r})
sys.argv = ["stepwise-routing", *{arguments!r}]
from gym_stepwise_routing.cli import main
main()
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert f"pip install 'gym-stepwise-routing[{extra}]'" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--out", "out", "--agent", "ppo[/red][bold]x"],
        ["record", "--out", "out", "--dataset", "gsm8k/test", "--models", "a[/red][bold]x", "--models", "b"],
    ],
)
def test_square_brackets_in_messages_are_text_and_no_markup(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, SystemExit)
    assert "[/red][bold]x" in result.output


def test_every_command_of_the_documentation_is_wired():
    assert {"compare", "score", "train", "record", "simulate", "submit", "verify"} <= set(COMMANDS)


def test_the_version_is_the_packages():
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"stepwise-routing {VERSION}\n")


@pytest.mark.parametrize("words", [("bank", "info"), ("bank", "verify")])
@pytest.mark.parametrize("bank", ["gsm8k-qwen2.5-coder", "intercode-sql-gpt"])
def test_nothing_of_a_bank_is_cut_off_at_80_columns(words, bank, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    result = CliRunner().invoke(app, [*words, bank])
    assert result.exit_code == 0, result.output
    assert "…" not in result.output
    assert max(map(len, result.output.splitlines())) <= 80
