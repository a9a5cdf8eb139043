"""``stepwise-routing bank``: what it prints, and that faults are one message and exit code 1."""

import gzip
import json

import pytest
from bank_files import BUNDLED, copy_few
from typer.testing import CliRunner

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.cli.bank_command import app


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")

    def invoke(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return invoke


def refused(result, *words, status=1):
    assert result.exit_code == status
    assert isinstance(result.exception, SystemExit)  # no traceback
    assert result.stdout == ""
    for word in ("error: ", *words):
        assert word in result.stderr


def test_info_lists_the_bundled_banks(run):
    result = run("info")
    assert result.exit_code == 0
    assert BUNDLED in result.stdout


def test_info(run):
    result = run("info", BUNDLED)
    assert result.exit_code == 0
    for word in ("(recorded)", "47,616", "Qwen2.5-Coder-1.5B-Instruct", "400", Bank.open(BUNDLED).hash, "MIT"):
        assert word in result.stdout


def test_verify(run):
    result = run("verify", BUNDLED)
    assert result.exit_code == 0
    assert "all checks passed" in result.stdout
    assert Bank.open(BUNDLED).manifest.files["texts.parquet"].sha256 in result.stdout


def test_verify_with_question_texts(run, shared_dir):
    gsm8k = shared_dir / "data" / "gsm8k"
    options = [f"--questions=gsm8k/{split}={gsm8k / split}.jsonl" for split in ("train", "test")]
    result = run("verify", BUNDLED, *options)
    assert result.exit_code == 0
    assert "1440 question texts match" in result.stdout


@pytest.mark.parametrize("name", ["nodes.parquet", "problems.parquet", "texts.parquet", "bank.json"])
def test_verify_refuses_a_changed_byte_in_any_file(run, tmp_path, name):
    path = copy_few(tmp_path)
    content = bytearray((path / name).read_bytes())
    content[len(content) // 3] ^= 1
    (path / name).write_bytes(content)
    refused(run("verify", path), name)


def test_an_unknown_bank(run):
    refused(run("verify", "nosuch"), "bank='nosuch' is neither a directory nor a bundled bank", BUNDLED)
    refused(run("info", "nosuch"), "bank='nosuch'")


@pytest.mark.parametrize("option", ["gsm8k/train", "gsm8k/train="])
def test_a_malformed_questions_option(run, option):
    refused(run("verify", BUNDLED, "--questions", option), "allowed: DATASET/SPLIT=FILE", status=2)


def test_the_documented_command_builds_the_bundled_bank(run, shared_dir, repository, tmp_path):
    """``manifest.command`` with this machine's paths: the same tables, hence the same hashes with one pyarrow."""
    gsm8k, trees = shared_dir / "data" / "gsm8k", tmp_path / "trees.jsonl.gz"
    assert run("export", BUNDLED, f"--out={trees}").exit_code == 0
    result = run(
        "import",
        trees,
        f"--recipe={repository / 'gym_stepwise_routing/data/recipes' / BUNDLED}.json",
        *(f"--questions=gsm8k/{split}={gsm8k / split}.jsonl" for split in ("train", "test")),
        f"--out={tmp_path / 'bank'}",
    )
    assert result.exit_code == 0, result.output
    built, bundled = Bank.open(tmp_path / "bank"), Bank.open(BUNDLED)
    assert "1440 problems, 47,616 nodes" in result.stdout
    assert built.manifest.recipe == bundled.manifest.recipe
    for name in bundled.manifest.files:
        assert built.read(name).equals(bundled.read(name))


def test_export_and_import(run, repository, tmp_path):
    trees, few = tmp_path / "trees.jsonl.gz", copy_few(tmp_path / "few")
    assert run("export", few, f"--out={trees}").exit_code == 0
    with gzip.open(trees, "rt") as lines:
        assert len([json.loads(line) for line in lines]) == 252
    refused(run("export", few, f"--out={trees}"), "exists already")
    assert run("export", few, f"--out={trees}", "--overwrite").exit_code == 0
    recipe = repository / "gym_stepwise_routing/data/recipes" / f"{BUNDLED}.json"
    arguments = ("import", trees, f"--recipe={recipe}", f"--out={tmp_path / 'bank'}")
    assert run(*arguments).exit_code == 0
    refused(run(*arguments), "exists already")
    assert run(*arguments, "--overwrite").exit_code == 0
    assert (Bank.open(tmp_path / "bank").child == Bank.open(few).child).all()


def test_import_names_the_line(run, repository, tmp_path):
    (tmp_path / "trees.jsonl").write_text("{}\n")
    recipe = repository / "gym_stepwise_routing/data/recipes" / f"{BUNDLED}.json"
    refused(
        run("import", tmp_path / "trees.jsonl", f"--recipe={recipe}", f"--out={tmp_path / 'bank'}"),
        "trees.jsonl: line 1: key 'problem' is missing",
    )


def test_a_recipe_with_a_wrong_key(run, tmp_path):
    (tmp_path / "recipe.json").write_text('{"name": "x"}')
    arguments = ("import", tmp_path / "trees.jsonl", f"--recipe={tmp_path / 'recipe.json'}", f"--out={tmp_path / 'b'}")
    refused(run(*arguments), "recipe.json: key 'description' is missing")


def test_square_brackets_are_text_and_no_markup(run, tmp_path):
    result = run("verify", "banks[/red]of[bold]mine")
    refused(result, "bank='banks[/red]of[bold]mine' is neither a directory nor a bundled bank")
    bank = copy_few(tmp_path / "[dim]recorded")
    assert f"{bank}" in run("info", bank).stdout
