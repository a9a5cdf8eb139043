"""Mode restart on a tree small enough to be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from fake_sources import TreeSource, Untabulated

from gym_stepwise_routing.baselines.oracle import oracle_paths
from gym_stepwise_routing.costs.ledger import CACHED, CALLS, KEPT, PREFILL
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.evaluation.evaluate import play
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.game.transitions import Rules
from gym_stepwise_routing.routers.base import Replay
from gym_stepwise_routing.types import CONFIDENCE, FEEDBACK

SMALL, LARGE = [5, 7, 11], [20, 30]
"""Tokens of the steps of each model: the small one fails after three, the large one is right after two."""
PROMPT = [100, 200]


class Attempts(TreeSource):
    """One problem. The small model's attempt has three steps and is wrong, the large one's has two and is right.

    Node 0 is the root, 1 to 3 are the small model's attempt, 4 and 5 the large one's.
    """

    def __init__(self, *, context: bool = False) -> None:
        super().__init__(0, models=2, problems=1, horizon=3)
        self.problem = np.zeros(6, dtype=np.int64)
        self.depth = np.array([0, 1, 2, 3, 1, 2])
        self.model = np.array([-1, 0, 0, 0, 1, 1])
        self.child = np.array([[1, 4], [2, -1], [3, -1], [-1, -1], [-1, 5], [-1, -1]])
        self.tokens = np.array([0, *SMALL, *LARGE])
        self.terminal = np.array([False, False, False, True, False, True])
        self.correct = np.array([False] * 5 + [True])
        self.confidence = np.full((6, len(CONFIDENCE)), np.nan, dtype=np.float32)
        self.score = np.full(6, np.nan, dtype=np.float32)
        self.fails = np.zeros((6, 2), dtype=np.bool_)
        self.prompt_tokens, self.shared_prefix = np.array([PROMPT]), np.array([[10, 20]])
        self.question = np.ones((1, 4), dtype=np.float32)
        nothing = [np.nan] * len(FEEDBACK)
        self.answers = np.array([nothing, [1, np.nan, 0], [0, 0, 1], [0, 6, 0], [0, np.nan, 0], [0, 3, 0]], np.float32)
        self.contexts = np.array([-1, 100, 150, 170, 200, 260]) if context else np.full(6, -1)


def game(source: TreeSource | Untabulated | None = None, **changes) -> Game:
    arguments = {"mode": "restart", "cost_unit": "large_tokens", "observation": ("progress", "ledger", "feedback")}
    return Game(source or Attempts(), split="train", normaliser=50.0, **arguments | changes)


def played(actions: list[int], source: TreeSource | None = None):
    return play(Replay(np.array([actions + [0] * 8])), game(source))


@pytest.mark.parametrize(
    ("actions", "right", "steps", "kept"),
    [
        ([0, 0, 0], False, 3, [23, 0]),
        ([1, 1], True, 2, [0, 50]),
        ([0, 1, 1], True, 3, [5, 50]),
        ([0, 0, 1, 1], True, 4, [12, 50]),
    ],
)
def test_what_was_spent_stays_spent_and_the_larger_model_writes_the_whole_answer(actions, right, steps, kept):
    found = played(actions)
    assert (bool(found.right[0]), int(found.steps[0])) == (right, steps)
    assert found.ledger[0, :, KEPT].tolist() == kept
    assert found.cost[0] == kept[1] / 50


def test_each_model_reads_the_prompt_and_its_own_attempt_alone():
    ledger = played([0, 0, 1, 1]).ledger[0]
    # small: 90 of 100 afresh, then its cache has all; large: 180 of 200 afresh, then its cache has all
    assert ledger[:, [CALLS, PREFILL, CACHED]].tolist() == [[2, 90, 10 + 105], [2, 180, 20 + 220]]


def test_recorded_contexts_are_counted_whole():
    ledger = played([0, 0, 1, 1], Attempts(context=True)).ledger[0]
    assert ledger[:, [CALLS, PREFILL, CACHED]].tolist() == [[2, 250, 0], [2, 460, 0]]


def test_a_smaller_model_may_not_come_back_and_an_attempt_that_has_ended_ends_the_episode():
    table = game().table
    row = int(table.roots[0])
    assert table.mask[row].tolist() == [True, True]
    for _ in range(2):
        row = int(table.child[row, 0])
        assert table.mask[row].tolist() == [True, True]
    assert table.mask[table.child[row, 0]].tolist() == [False, False]
    handed = int(table.child[row, 1])
    assert table.mask[handed].tolist() == [False, True]
    assert table.depth[handed] == 3
    assert len(table) == 1 + 3 + 3 * 2  # root, small attempt, and the large attempt begun at three places


def test_the_observation_is_of_the_present_attempt_and_the_ledger_of_all():
    shown = game()
    names = list(shown.spec.feature_names)
    table = shown.table
    second = int(table.child[table.child[table.roots[0], 0], 0])

    def named(row: int, *wanted: str) -> list[float]:
        return [round(float(table.observation[row, names.index(name)]), 6) for name in wanted]

    about = ("answer_error", "answer_empty", "answer_repeat", "turns_left", "answer_known")
    assert named(int(table.roots[0]), *about) == [0, 0, 0, 1, 0]
    assert named(int(table.child[table.roots[0], 0]), *about) == [1, 0, 0, round(2 / 3, 6), 1]
    assert named(second, *about) == [0, 1, 1, round(1 / 3, 6), 1]
    handed = int(table.child[second, 1])
    assert named(handed, *about) == [0, 0, 0, round(2 / 3, 6), 1]
    assert named(handed, "depth", "share_0", "share_1") == [round(1 / 3, 6), 0, 1]
    assert named(handed, "trace_tokens", "decoded_0", "decoded_1") == [
        round(float(np.log1p(count) / 10), 6) for count in (20, 12, 20)
    ]
    assert named(int(table.child[handed, 1]), "answer_rows") == [round(float(np.log1p(3) / 10), 6)]


def test_the_oracle_begins_with_the_model_that_will_be_right():
    paths = oracle_paths(game(cost_unit="flops"))
    assert paths.right[0] * 50 == 2 * 3e9 * (180 + 50)
    assert paths.decisions[0].tolist() == [1, 1, -1, -1, -1]
    assert paths.any[0] * 50 == 2 * 1e9 * (90 + 23)
    assert oracle_paths(game()).any.tolist() == [0.0]  # the small model's attempt costs no large tokens


def test_always_largest_costs_the_same_as_in_the_other_modes():
    for mode in ("route", "restart"):
        assert Game(Attempts(), mode=mode, cost_unit="flops", observation=("progress",)).normaliser == pytest.approx(
            2 * 3e9 * (180 + 50)
        )


def test_a_larger_model_that_fails_to_begin_leaves_the_attempt_as_it_was():
    source = Attempts()
    source.fails[0, 1] = True
    rules = Rules(source, mode="restart", observation=("progress",), cost_unit="flops")
    rng = np.random.default_rng(0)
    first = rules.step(rules.start(np.zeros(1, dtype=np.int64), rng), np.array([0]), rng)
    failed = rules.step(first, np.array([1]), rng)
    assert failed.trace.failed.tolist() == [True]
    assert failed.trace.latent["node"].tolist() == [1]
    np.testing.assert_array_equal(failed.account.ledger, first.account.ledger)
    assert rules.masks(failed).tolist() == [[True, False]]
    again = rules.step(failed, np.array([0]), rng)  # the next step asks it anew
    assert rules.masks(again).tolist() == [[True, True]]


def test_the_feedback_block_needs_an_environment_that_answers():
    source = TreeSource()
    source.feedback = False
    with pytest.raises(NotApplicableError, match=r"block 'feedback': .*'fake-tree' has no environment that answers"):
        Rules(source, mode="restart", observation=["feedback"], cost_unit="flops")
