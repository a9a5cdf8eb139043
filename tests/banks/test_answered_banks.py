"""Banks whose steps an environment answers: their columns, there and back, and refused without an environment."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from bank_files import TOY_PROBLEM, small_recipe

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.banks.bank_tables import ANSWERS
from gym_stepwise_routing.banks.jsonl import export_jsonl, import_jsonl
from gym_stepwise_routing.errors import BankError

RECIPE = small_recipe(recorded_mode="restart", environment="a database", horizon=2)


def tree(**changes) -> dict:
    step = {"tokens": 3, "context_tokens": 50, "answer_error": False, "answer_rows": 4, "answer_repeat": True}
    end = {"terminal": True, "final_answer": None, "correct": True}
    first = {"id": 1, "parent": 0, "depth": 1, "model": 0, **step, **changes}
    last = {"id": 2, "parent": 1, "depth": 2, "model": 0, "tokens": 1, **end}
    other = {"id": 3, "parent": 0, "depth": 1, "model": 1, "tokens": 2, "answer_error": True, **end}
    return {"problem": TOY_PROBLEM, "nodes": [{"id": 0, "parent": None, "depth": 0}, first, last, other]}


def imported(folder, recipe=RECIPE, **changes) -> Bank:
    path = folder / "trees.jsonl"
    path.write_text(json.dumps(tree(**changes)) + "\n")
    return import_jsonl(path, recipe, folder / "bank")


def test_what_was_answered_is_there_and_comes_back(tmp_path):
    bank = imported(tmp_path)
    assert bank.manifest.modes == ("restart",)
    nan = np.nan
    np.testing.assert_array_equal(bank.nodes.feedback, [[nan] * 3, [0, 4, 1], [nan] * 3, [1, nan, nan]])
    assert bank.nodes.context.tolist() == [-1, 50, -1, -1]
    export_jsonl(bank, tmp_path / "again.jsonl")
    assert json.loads((tmp_path / "again.jsonl").read_text()) == tree()


def test_answers_need_an_environment(tmp_path):
    with pytest.raises(BankError, match="node 1: context_tokens, but the recipe names no environment; allowed: one"):
        imported(tmp_path, replace(RECIPE, environment=None))


@pytest.mark.parametrize(("name", "value"), [("context_tokens", 0), ("answer_rows", -1), ("answer_error", "no")])
def test_impossible_figures_are_refused(tmp_path, name, value):
    with pytest.raises(BankError, match=name):
        imported(tmp_path, **{name: value})


def test_other_banks_have_no_such_columns():
    bank = Bank.open("gsm8k-mixtral-gpt4")
    assert bank.nodes.feedback is None
    assert bank.nodes.context is None
    assert set(ANSWERS) & set(bank.read("nodes.parquet").column_names) == set()
    assert pa.types.is_int32(Bank.open("intercode-sql-gpt").read("nodes.parquet")["context_tokens"].type)
    assert "environment" not in bank.manifest.as_json()
