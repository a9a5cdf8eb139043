"""The banks of code: what their page says of them, and no task in two splits of the two."""

from __future__ import annotations

import pytest

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.banks.questions import join_questions
from gym_stepwise_routing.baselines import AlwaysLargest, AlwaysSmallest
from gym_stepwise_routing.evaluation.evaluate import play
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.types import SPLITS

MBPP, HUMAN_EVAL = "mbpp-qwen2.5-coder", "humaneval-qwen2.5-coder"


def tasks(name, split):
    bank = Bank.open(name)
    return {bank.problem_ids[row] for row in bank.split_problems(split)}


@pytest.mark.parametrize(("name", "count", "small", "large"), [(MBPP, 300, 106, 154), (HUMAN_EVAL, 164, 65, 97)])
def test_the_figures_of_the_page(name, count, small, large):
    game = Game(name, split="test", cost_unit="flops")
    assert len(game.problems) == count
    assert play(AlwaysSmallest(), game).right.sum() == small
    assert play(AlwaysLargest(), game).right.sum() == large


def test_no_task_is_in_two_splits_of_the_two_banks():
    for split in ("train", "calibration"):
        assert tasks(MBPP, split) == tasks(HUMAN_EVAL, split)
    found = [tasks(name, split) for name in (MBPP, HUMAN_EVAL) for split in SPLITS]
    assert len(set.union(*found)) == sum(map(len, found[:3])) + len(tasks(HUMAN_EVAL, "test"))


@pytest.mark.parametrize("name", [MBPP, HUMAN_EVAL])
def test_rows_have_no_gaps_and_texts_join(name, shared_dir):
    bank, data = Bank.open(name), shared_dir / "data"
    rows = {}
    for dataset, split, index, _ in bank.problems.references():
        rows.setdefault(f"{dataset}/{split}", []).append(index)
    assert all(sorted(found) == list(range(len(found))) for found in rows.values())
    files = {"mbpp": data / "mbpp" / "mbpp.jsonl", "human_eval": data / "human_eval" / "HumanEval.jsonl.gz"}
    asked = join_questions(bank, {key: files[key.partition("/")[0]] for key in rows})
    assert len(asked) == len(bank.problems)
