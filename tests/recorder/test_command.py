"""``stepwise-routing record`` as a user runs it: with models, in a process of its own, killed and resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.recorder.store import read_trees

pytest.importorskip("typer")
pytest.importorskip("transformers")

RUN = "import typer; from gym_stepwise_routing.cli.record_command import record; typer.run(record)"


def command(pool: tuple[Path, Path], problems: str, prompt: Path, out: Path, *more: str) -> list[str]:
    models = [word for path in pool for word in ("--models", f"transformers:{path},name={path.name}")]
    words = ["--dataset", problems, *models, "--prompt", str(prompt), "--out", str(out), "--grading", "numeric"]
    return [sys.executable, "-c", RUN, *words, *more]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}


def run(words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=240, check=False)


def invoke(words: list[str]) -> Any:
    """The command within this process, which has the libraries loaded."""
    import typer
    from typer.testing import CliRunner

    from gym_stepwise_routing.cli.record_command import record

    app = typer.Typer()
    app.command()(record)
    return CliRunner().invoke(app, words[3:], env={"COLUMNS": "300"})


def test_five_problems_become_a_bank(
    tiny_pool: tuple[Path, Path], sums_file: Path, sums_prompt: Path, tmp_path: Path
) -> None:
    done = invoke(command(tiny_pool, f"{sums_file}:0-5", sums_prompt, tmp_path / "out"))
    assert done.exit_code == 0, done.output
    assert "5 new trees" in done.output
    bank = Bank.open(tmp_path / "out" / "bank")
    assert len(bank.problems) == 5
    assert bank.pool.names == tuple(path.name for path in tiny_pool)
    assert bank.manifest.modes == ("route", "escalate", "regenerate", "restart")
    manifest = json.loads((tmp_path / "out" / "recording.json").read_text(encoding="utf-8"))
    assert all(model["weights_sha256"] for model in manifest["fixed"]["models"])
    assert manifest["notes"]["commands"][0].startswith("stepwise-routing")


def test_kill_at_any_moment_loses_and_doubles_nothing(
    tiny_pool: tuple[Path, Path], sums_file: Path, sums_prompt: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = command(tiny_pool, f"{sums_file}:0-16", sums_prompt, out, "--in-flight", "2")
    part = out / "trees-0.jsonl"
    kept: list[str] = []
    for at_least in (3,):
        process = subprocess.Popen(words, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 240
        while not part.exists() or part.read_text(encoding="utf-8").count("\n") < len(kept) + at_least:
            assert process.poll() is None, "the recording ended before it could be killed"
            assert time.monotonic() < deadline, "no tree within four minutes"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        lines = part.read_text(encoding="utf-8").splitlines(keepends=True)
        whole = [line for line in lines if line.endswith("\n")]
        assert whole[: len(kept)] == kept
        kept = whole
    with part.open("a", encoding="utf-8") as stream:
        stream.write('{"problem": {"dataset"')
    done = run(words)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = part.read_text(encoding="utf-8").splitlines(keepends=True)
    assert lines[: len(kept)] == kept
    assert sorted(tree["problem"]["index"] for tree in read_trees(part)) == list(range(16))
    assert len(Bank.open(out / "bank").problems) == 16


def test_a_repeatable_recording_is_the_same_with_another_batch_and_order(
    tiny_pool: tuple[Path, Path], sums_file: Path, sums_prompt: Path, tmp_path: Path
) -> None:
    trees = []
    for name, batch, in_flight in (("one", 1, "1"), ("many", 16, "12")):
        words = command(tiny_pool, f"{sums_file}:0-12", sums_prompt, tmp_path / name)
        words = [f"{word},batch={batch}" if word.startswith("transformers:") else word for word in words]
        done = invoke([*words, "--repeatable", "--in-flight", in_flight])
        assert done.exit_code == 0, done.output
        assert f"float32, at most {batch} at a time" in Bank.open(tmp_path / name / "bank").manifest.decoding.engine
        trees.append({tree["problem"]["index"]: shape(tree) for tree in read_trees(tmp_path / name / "trees-0.jsonl")})
    assert trees[0] == trees[1]


def shape(tree: dict[str, Any]) -> list[Any]:
    """Paths, texts, tokens and verdicts of a tree, whatever the order in which its nodes were written."""
    nodes = {node["id"]: node for node in tree["nodes"]}

    def path(node: dict[str, Any]) -> tuple[Any, ...]:
        return () if node["parent"] is None else (*path(nodes[node["parent"]]), node["model"], node["text"])

    return sorted((path(node), node.get("tokens", 0), node.get("correct", False)) for node in nodes.values())


def test_other_settings_do_not_mix_into_a_recording(
    tiny_pool: tuple[Path, Path], sums_file: Path, sums_prompt: Path, tmp_path: Path
) -> None:
    assert invoke(command(tiny_pool, f"{sums_file}:0-2", sums_prompt, tmp_path / "out")).exit_code == 0
    other = invoke(command(tiny_pool, f"{sums_file}:0-4", sums_prompt, tmp_path / "out", "--horizon", "3"))
    assert other.exit_code == 1
    assert "rule.horizon was 5, now 3" in other.output
    assert len(list(read_trees(tmp_path / "out" / "trees-0.jsonl"))) == 2


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--mode", "both"], "mode='both'"),
        (["--step", "word"], "step='word'"),
        (["--prompt", "nothing"], "prompt='nothing'"),
        (["--dataset", "gsm9k/test"], "dataset='gsm9k'"),
        (["--models", "ollama:x"], "backend='ollama'"),
        (["--models", "openai:x", "--repeatable"], "repeatable=True with openai:x"),
        (["--horizon", "0"], "horizon=0"),
        (["--question-field", "q"], "no field 'q'"),
    ],
)
def test_bad_input_is_named(
    tiny_pool: tuple[Path, Path], sums_file: Path, sums_prompt: Path, tmp_path: Path, more: list[str], message: str
) -> None:
    result = invoke(command(tiny_pool, f"{sums_file}:0-2", sums_prompt, tmp_path / "out", *more))
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "out").exists()
