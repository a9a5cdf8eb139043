"""Commands that print a table print the same as JSON, and nothing else on standard output."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from gym_stepwise_routing.banks import BANKS, Bank
from gym_stepwise_routing.cli.app import app

BANK = "math500-qwen2.5-coder"


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
