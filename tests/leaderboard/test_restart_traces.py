"""The trace viewer's data of a bank for mode restart: paths over larger models that begin afresh can be followed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.evaluation.evaluate import play
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.leaderboard.site.traces import tree_chunks
from gym_stepwise_routing.routers.base import Replay

NAME = "intercode-sql-openai"


@pytest.fixture(scope="module")
def bank():
    return Bank.open(NAME)


@pytest.mark.parametrize("actions", [[2], [0, 2], [0, 0, 1, 2], [1, 1, 1, 2]])
def test_every_path_leads_to_the_end_that_was_played(bank, actions):
    """Each sequence ends with the largest model until it is done; the trace is right where the episode was."""
    problems = bank.split_problems("test")[:40]
    game = Game(bank, split="test", mode="restart", cost_unit="dollars", observation=("progress",))
    decisions = np.array([actions + [2] * 30] * len(game.problems))
    found = play(Replay(decisions), game)
    trees = [tree for chunk in tree_chunks(bank, problems) for tree in chunk]
    for row, tree in enumerate(trees):
        node = 0
        for decision in found.decisions[row][found.decisions[row] >= 0]:
            node = tree["child"][node][decision]
            assert tree["model"][node] == decision
        assert tree["end"][node] is not None
        assert tree["right"][node] == found.right[row]
        assert tree["restart"] is True


def test_answers_are_told_in_words_and_no_text_is(bank):
    (tree,) = tree_chunks(bank, [int(bank.split_problems("test")[0])])[0]
    assert set(tree["text"]) == {""}
    assert tree["told"][0] == ""
    root = int(bank.problems.root[bank.split_problems("test")[0]])
    error, rows, repeat = bank.nodes.feedback[bank.child[root, 0]]
    expected = ["error"] * int(error == 1) + ([] if np.isnan(rows) else [f"{rows:.0f} row" + "s" * int(rows != 1)])
    expected += ["same command as before"] * int(repeat == 1)
    expected = expected or ["no table"]
    assert tree["told"][tree["child"][0][0]] == ", ".join(expected)
    json.dumps(tree, allow_nan=False)


def test_other_banks_have_neither_column():
    (tree,) = tree_chunks(Bank.open("gsm8k-mixtral-gpt4"), [0])[0]
    assert {"told", "restart"} & tree.keys() == set()
