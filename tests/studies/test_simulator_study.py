"""``python -m studies.simulator``: pictures and tables that all say SIMULATED; clear errors."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from studies.simulator.__main__ import simulate

APP = typer.Typer()
APP.command()(simulate)


def run(*arguments):
    return CliRunner().invoke(APP, list(arguments), terminal_width=200)


def test_the_published_curve_and_ours_on_one_picture(tmp_path):
    result = run("--preset", "math-qwen2.5", "--figure", "--out", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert (tmp_path / "math-qwen2.5-curve.png").read_bytes().startswith(b"\x89PNG")
    table = (tmp_path / "math-qwen2.5-curve.md").read_text()
    assert table.startswith("# SIMULATED: math-qwen2.5 against TRIM's threshold rule on MATH-500")
    assert sum(line.startswith("| 0.") or line.startswith("| 1.") for line in table.splitlines()) == 21
    assert "All 21 accuracies together: chi-square" in table


def test_comparison_with_a_bank(tmp_path):
    result = run(
        "--preset", "gsm8k-like", "--against", "gsm8k-qwen2.5-coder", "--problems", "200", "--out", str(tmp_path)
    )
    assert result.exit_code == 0, result.output
    table = (tmp_path / "gsm8k-like-against-gsm8k-qwen2.5-coder-test.md").read_text()
    assert table.startswith("# SIMULATED: gsm8k-like and gsm8k-qwen2.5-coder, test split, simulated against recorded")
    assert "bank n = 400, simulated n = 200" in table


def test_frontier(tmp_path):
    result = run(
        *("--preset", "gsm8k-like", "--frontier", "--mode", "route", "--problems", "20", "--episodes", "2000"),
        *("--resolution", "5", "--out", str(tmp_path)),
    )
    assert result.exit_code == 0, result.output
    table = (tmp_path / "gsm8k-like-route-large_tokens-frontier.md").read_text()
    assert table.startswith("# SIMULATED: gsm8k-like, mode route, cost in large_tokens")
    assert "full, at least" in table
    assert "confidence, at most" in table
    assert "(resolution 5, standard error" in table
    assert (tmp_path / "gsm8k-like-route-large_tokens-frontier.png").stat().st_size > 10_000


@pytest.mark.slow
def test_regret_of_all_routers(tmp_path):
    """The command with every router and several seeds; test_regret.py holds the figures."""
    result = run(
        *("--preset", "gsm8k-like", "--regret", "--mode", "route", "--problems", "120", "--episodes", "2000"),
        *("--resolution", "5", "--seeds", "2", "--budget", "0.7", "--out", str(tmp_path)),
    )
    assert result.exit_code == 0, result.output
    table = (tmp_path / "gsm8k-like-route-large_tokens-regret.md").read_text()
    assert table.startswith("# SIMULATED")
    assert "2 seeds, each with 120 test problems" in table
    assert "--regret --budget 0.7 --problems 120 --seeds 2`" in table
    for router in ("single models", "first k large", "confidence p_min"):
        assert f"| {router} |" in table


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--preset", "maths"), "preset='maths' is not known"),
        (("--preset", "gsm8k-like", "--mode", "guess"), "mode='guess' is not known"),
        (("--preset", "gsm8k-like", "--cost-unit", "joule"), "cost_unit='joule' is not known"),
        (("--preset", "gsm8k-like", "--problems", "0"), "problems=0"),
        (("--preset", "gsm8k-like", "--regret", "--agent", "sarsa"), "agent='sarsa' is not known"),
        (("--preset", "gsm8k-like", "--figure"), "nothing was published for it"),
        (("--preset", "math-qwen2.5-3", "--against", "gsm8k-qwen2.5-coder"), "has 2 models"),
        (("--preset", "gsm8k-like", "--frontier", "--resolution", "0"), "resolution=0; allowed: an integer >= 1"),
        (("--preset", "gsm8k-like", "--frontier", "--episodes", "0"), "episodes=0; allowed: an integer >= 2"),
        (("--preset", "gsm8k-like", "--seed", "-1"), "seed=-1; allowed: an integer >= 0"),
        (("--preset", "gsm8k-like", "--frontier", "--information", "all"), "information='all' is not known"),
        (("--preset", "gsm8k-like", "--frontier", "--information", "score"), "has no verifier scores"),
        (("--preset", "gsm8k-like", "--regret", "--seeds", "0"), "seeds=0; allowed: an integer >= 1"),
        (("--preset", "gsm8k-like", "--regret", "--budget", "nan"), "budget=nan; allowed: a finite number > 0"),
        (("--preset", "gsm8k-like", "--frontier", "--agent", "ppo"), "agent=['ppo'] has no effect here"),
        (("--preset", "gsm8k-like", "--frontier", "--seeds", "2"), "seeds=2 has no effect here; allowed: with"),
        (("--preset", "gsm8k-like", "--budget", "0.3"), "budget=0.3 has no effect here; allowed: with --regret"),
        (("--preset", "gsm8k-like", "--resolution", "8"), "resolution=8 has no effect here; allowed: with --frontier"),
    ],
)
def test_bad_arguments(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*arguments, "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())
