"""Every command tells an error in one form: a line on standard error, no traceback, 2 for usage and 1 for a fault."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from gym_stepwise_routing.cli.app import app
from gym_stepwise_routing.cli.plain_errors import plain_errors
from gym_stepwise_routing.errors import BankError, RecordingError

BANK = "gsm8k-qwen2.5-coder"


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["list", "things"], "kind='things'"),
        (["compare", "--bank", BANK, "--mode", "sideways"], "mode='sideways'"),
        (["simulate", "--preset", "nowhere"], "preset='nowhere'"),
        (["evaluate", "nobody", "--bank", BANK], "router='nobody'"),
        (["calibrate", "confidence-p_min", "--bank", BANK, "--target", "quality=1"], "target='quality=1'"),
        (["train", "--agent", "sarsa", "--out", "out"], "agent='sarsa'"),
        (["check", "no-such.yml"], "no-such.yml"),
        (["serve", "--config", "no-such.yml"], "no-such.yml"),
        (["report", "no-such.jsonl"], "no-such.jsonl: no such log"),
        (["bank", "from-log", "no-such.jsonl", "--out", "out"], "no-such.jsonl: no such log"),
        (["record", "--dataset", "gsm8k/test", "--out", "out"], "models are missing"),
        (["bank", "verify", BANK, "--questions", "gsm8k"], "--questions 'gsm8k'"),
        (["train", "--agent", "ppo"], "missing option '--out'"),
        (["train", "--out", "out", "--sedes", "3"], "no such option: --sedes"),
        (["train", "--out", "out", "--seeds", "three"], "'--seeds'"),
        (["tarin"], "no such command 'tarin'"),
        (["bank", "lose"], "stepwise-routing bank --help"),
        (["evaluate"], "stepwise-routing evaluate --help"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_a_wrong_word_is_told_in_one_line(words, named, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*words)
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1
    assert named in result.stderr
    assert not (tmp_path / "out").exists()


def test_nothing_asked_for_shows_the_help():
    result = run()
    assert "Usage" in result.output
    assert "error" not in result.output


def test_a_command_that_is_done_has_status_0():
    assert run("list", "presets").exit_code == 0


def test_a_damaged_bank_is_a_fault(tmp_path):
    (tmp_path / "bank.json").write_text("{}")
    result = run("evaluate", "always-largest", "--bank", tmp_path)
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("error: ")
    assert "bank.json" in result.stderr


@pytest.mark.parametrize(
    ("raised", "faults", "status"),
    [(ValueError, (), 2), (BankError, (), 1), (RecordingError, (), 1), (OSError, (OSError,), 1)],
)
def test_the_status_says_what_it_was(raised, faults, status, capsys):
    with pytest.raises(typer.Exit) as ended, plain_errors(*faults):
        raise raised("a[/red]b")
    assert ended.value.exit_code == status
    assert capsys.readouterr().err == "error: a[/red]b\n"


def test_what_nobody_expects_is_not_hidden():
    with pytest.raises(KeyError), plain_errors():
        raise KeyError("bug")
