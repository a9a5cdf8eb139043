"""Commands that print a table print the same as JSON, and nothing else on standard output."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import gym_stepwise_routing
from gym_stepwise_routing.banks import BANKS, Bank
from gym_stepwise_routing.cli.app import app

BANK = "math500-qwen2.5-coder"
RECIPES = Path(gym_stepwise_routing.__file__).parent / "data" / "recipes"


def told(*words):
    result = CliRunner().invoke(app, [*map(str, words), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_bank_info():
    bank = Bank.open(BANK)
    facts = told("bank", "info", BANK)
    assert facts["hash"] == bank.hash
    assert facts["splits"]["test"]["problems"] == len(bank.split_problems("test")) == 150
    assert [model["name"] for model in facts["models"]] == list(bank.pool.names)


def test_bank_info_of_all():
    assert list(told("bank", "info")) == list(BANKS)


def test_bank_card_and_sample(tmp_path):
    card = told("bank", "card", BANK)
    test = next(split for split in card["splits"] if split["split"] == "test")
    assert test["problems"] == 150
    assert [alone["model"] for alone in test["alone"]] == list(Bank.open(BANK).pool.names)
    assert test["reachable"] >= max(alone["right"] for alone in test["alone"])
    drawn = told("bank", "sample", BANK, 40, "--out", tmp_path / "drawn")
    assert sum(split["problems"] for split in drawn["splits"].values()) == 40
    assert drawn["hash"] == Bank.open(tmp_path / "drawn").hash


def test_bank_import(tmp_path):
    trees, folder = tmp_path / "trees.jsonl", tmp_path / "bank"
    assert CliRunner().invoke(app, ["bank", "export", BANK, "--out", str(trees)]).exit_code == 0
    recipe = next(RECIPES.glob(f"{BANK}.json"))
    facts = told("bank", "import", trees, "--recipe", recipe, "--out", folder)
    assert facts["hash"] == Bank.open(folder).hash
    assert facts["nodes"] == len(Bank.open(folder).nodes)


def test_train_says_what_it_made_and_whether_that_is_a_constant(tmp_path):
    pytest.importorskip("stable_baselines3")
    words = ("train", "--agent", "ppo", "--bank", BANK, "--mode", "escalate", "--seeds", 1, "--out", tmp_path)
    dear, free = (told(*words[:-1], tmp_path / str(p), "--penalty", p, "--steps", 20_000)[0] for p in (50, 0))
    assert dear["constant"] == Bank.open(BANK).pool.names[0]
    assert free["constant"] != dear["constant"]
    assert (dear["cost_unit"], dear["limit_kept"]) == ("large_tokens", None)
    assert (tmp_path / "50" / "ppo-seed0" / "manifest.json").is_file()


def test_verify_tells_figures_and_faults(repository, tmp_path):
    pytest.importorskip("pydantic")
    rows = repository / "leaderboard" / "entries" / "gsm8k-closed-models.jsonl"
    entry = next(row for row in map(json.loads, rows.read_text().splitlines()) if row["name"] == "always-largest")
    folder = tmp_path / "gsm8k-closed-models"
    folder.mkdir()
    good, forged = folder / "always-largest.json", folder / "forged.json"
    good.write_text(json.dumps(entry))
    forged.write_text(json.dumps(entry | {"name": "forged"}))
    result = CliRunner().invoke(app, ["verify", str(good), str(forged), "--no-rerun", "--json"])
    assert result.exit_code == 1
    fine, bad = json.loads(result.stdout)
    assert (fine["verified"], fine["rerun"], fine["cost_unit"]) == (True, "not asked", "dollars")
    assert fine["figures"] == entry["figures"]
    assert not bad["verified"]
    assert "reference" in {fault["code"] for fault in bad["faults"]}


def test_names_of_models_stay_whole_at_80_columns():
    for words in (("bank", "info", BANK), ("bank", "verify", BANK)):
        shown = CliRunner().invoke(app, list(words), env={"COLUMNS": "80"}).stdout
        names = Bank.open(BANK).pool.names if words[1] == "info" else ("texts.parquet",)
        assert all(name in shown for name in names)


def test_bank_verify():
    facts = told("bank", "verify", BANK)
    assert facts["files"]["nodes.parquet"]["rows"] == len(Bank.open(BANK).nodes)
    assert facts["question_texts"] is None


def test_simulate():
    facts = told("simulate", "--preset", "gsm8k-like")
    assert facts["simulated"] is True
    assert {row["basis"] for row in facts["numbers"]} <= {"measured", "derived", "fitted", "assumption"}
    assert facts["numbers"]


def test_compare(tmp_path):
    words = ["--bank", BANK, "--mode", "escalate", "--cost-unit", "large_tokens", "--resamples", 100]
    result = told("compare", *words, "--only", "first", "--out", tmp_path)
    assert result == json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in result["rows"]]
