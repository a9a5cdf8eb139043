"""Banks with figures by class of token: their columns, there and back, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bank_files import TOY_PROBLEM, small_recipe
from generator_fakes import FakeGenerator

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.banks.jsonl import export_jsonl, import_jsonl
from gym_stepwise_routing.datasets import Problem
from gym_stepwise_routing.envs.stepwise_routing import StepwiseRoutingEnv
from gym_stepwise_routing.errors import BankError, NotApplicableError
from gym_stepwise_routing.generators import StepRule
from gym_stepwise_routing.generators.prompts import PromptTemplate
from gym_stepwise_routing.recorder.grow import RecordingStats, grow_trees
from gym_stepwise_routing.recorder.settings import RecordingSettings
from gym_stepwise_routing.reporting.bank_card import bank_card
from gym_stepwise_routing.types import TOKEN_CLASS_FIGURES

RECIPE = small_recipe(recorded_mode="escalate", horizon=2)
BOTH = {
    "table_tokens": 1,
    "table_logprob_mean": -0.5,
    "table_logprob_min": -0.5,
    "table_entropy_mean": 0.25,
    "other_tokens": 2,
    "other_logprob_mean": -1.0,
    "other_logprob_min": -1.5,
    "other_entropy_mean": 0.75,
}
NONE = {"table_tokens": 0, **{name: BOTH[name] for name in TOKEN_CLASS_FIGURES[4:]}}


def tree(**changes: Any) -> dict[str, Any]:
    end = {"terminal": True, "final_answer": None, "correct": True}
    first = {"id": 1, "parent": 0, "depth": 1, "model": 0, "tokens": 5, "first_step_tokens": 3, **end, **BOTH}
    other = {"id": 2, "parent": 0, "depth": 1, "model": 1, "tokens": 2, **end, **NONE}
    first = {name: value for name, value in (first | changes).items() if value is not None or name == "final_answer"}
    return {"problem": TOY_PROBLEM, "nodes": [{"id": 0, "parent": None, "depth": 0}, first, other]}


def imported(folder: Path, **changes: Any) -> Bank:
    path = folder / "trees.jsonl"
    path.write_text(json.dumps(tree(**changes)) + "\n", encoding="utf-8")
    return import_jsonl(path, RECIPE, folder / "bank")


def test_the_figures_are_there_and_come_back(tmp_path: Path) -> None:
    bank = imported(tmp_path)
    nan = np.nan
    wanted = [[nan] * 8, list(BOTH.values()), [0, nan, nan, nan, *list(NONE.values())[1:]]]
    np.testing.assert_array_equal(Bank.open(bank.path).nodes.classes, np.array(wanted, np.float32))
    export_jsonl(bank, tmp_path / "again.jsonl")
    assert json.loads((tmp_path / "again.jsonl").read_text()) == tree()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"table_tokens": 2}, "table_tokens 2 and other_tokens 2; allowed: counts that come to 3, or neither"),
        ({"first_step_tokens": None}, "table_tokens 1 and other_tokens 2; allowed: counts that come to 5"),
        ({"table_tokens": None}, "table_tokens None and other_tokens 2"),
        ({"table_entropy_mean": None}, "table_entropy_mean is None of 1 tokens; allowed: one if there are any"),
        ({"other_logprob_min": 0.5}, "other_logprob_min is 0.5, out of range"),
        ({"table_entropy_mean": -1.0}, "table_entropy_mean is -1.0, out of range"),
        ({"other_tokens": -1}, "other_tokens is -1; allowed: 0"),
    ],
)
def test_figures_that_cannot_be_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BankError, match=message):
        imported(tmp_path, **changes)


def test_a_bank_without_them_has_no_such_columns_and_no_such_block(tmp_path: Path) -> None:
    bank = Bank.open("gsm8k-mixtral-gpt4")
    assert bank.nodes.classes is None
    assert not set(TOKEN_CLASS_FIGURES) & set(bank.read("nodes.parquet").column_names)
    with pytest.raises(NotApplicableError, match=r"block 'token_classes': .* has no figures by class of token"):
        StepwiseRoutingEnv(bank, mode="escalate", observation=["token_classes"])


def test_the_block_shows_what_was_recorded_and_masks_the_rest(tmp_path: Path) -> None:
    env = StepwiseRoutingEnv(imported(tmp_path), mode="escalate", observation=["token_classes"], split="test")
    start, _ = env.reset(seed=0)
    assert not start.any()
    shown = env.step(0)[0]
    p = np.exp([-0.5, -0.5, -1.0, -1.5])
    np.testing.assert_allclose(shown, [1 / 3, *p[:2], 0.25, *p[2:], 0.75, 1], rtol=1e-6)
    env.reset(seed=0)
    other = env.step(1)[0]
    np.testing.assert_allclose(other, [0, 0, 0, 0, *p[2:], 0.75, 4 / 7], rtol=1e-6)


def test_a_recording_of_a_problem_with_a_table_has_them() -> None:
    table = (("Year", "City"), ("1998", "Oslo"))
    problem = Problem("toy", "test", 0, "Year | City\n1998 | Oslo\n\nWhich city?", "Oslo", table=table)
    settings = RecordingSettings(
        PromptTemplate("plain", "Table:\n{question}\nAnswer:\n"),
        mode="escalate",
        rule=StepRule(horizon=2, answer=r"The answer is [^\n]+"),
        grading="table",
    )
    pool = [FakeGenerator(name, lambda prompt, prefix: "The answer is Oslo") for name in ("small", "large")]
    (recorded,) = grow_trees([problem], pool, settings, RecordingStats([0, 0]))
    (_, first, second) = recorded["nodes"]
    assert first["correct"]
    assert (first["table_tokens"], first["other_tokens"]) == (4, first["tokens"] - 4)
    assert {name: first[name] for name in TOKEN_CLASS_FIGURES} == {name: second[name] for name in TOKEN_CLASS_FIGURES}


def test_the_card_tells_which_tables_were_left_out(tmp_path: Path) -> None:
    bank = imported(tmp_path)
    assert "tables of" not in bank_card(bank)
    limited = {name: replace(entry, max_table_characters=1500) for name, entry in RECIPE.datasets.items()}
    again = import_jsonl(tmp_path / "trees.jsonl", replace(RECIPE, datasets=limited), tmp_path / "limited")
    assert "| problems | 1; toy: tables of at most 1,500 characters |" in bank_card(again)
    assert Bank.open(again.path).manifest.datasets["toy"].max_table_characters == 1500
    assert "max_table_characters" not in (bank.path / "bank.json").read_text(encoding="utf-8")
