"""Tabulated games; that the numbers are those of the rules is shown in envs/test_vector_equals_scalar."""

from __future__ import annotations

import tracemalloc
import warnings

import numpy as np
import pytest
from fake_sources import TreeSource, Untabulated

from gym_stepwise_routing.baselines import oracle_paths
from gym_stepwise_routing.costs.ledger import KEPT
from gym_stepwise_routing.errors import NotApplicableError, TooManyPathsError
from gym_stepwise_routing.evaluation.evaluate import play
from gym_stepwise_routing.game import tabulation as tables
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.game.transitions import Rules
from gym_stepwise_routing.routers.base import Replay
from gym_stepwise_routing.types import MODES


@pytest.mark.parametrize(
    ("mode", "expected"), [("route", 1 + 2 + 4 + 8), ("escalate", 1 + 2 + 3 + 4), ("regenerate", 15)]
)
def test_one_row_for_every_sequence_of_decisions(mode, expected):
    source = TreeSource(0, problems=1, horizon=3)
    source.terminal[:] = source.correct[:] = False
    inner = np.flatnonzero(source.depth < 3)
    source.child[inner] = 1 + np.arange(2 * len(inner)).reshape(-1, 2)
    table = Game(source, mode=mode).table
    assert len(table) == expected
    assert (table.child >= 0).sum() == expected - 1
    np.testing.assert_array_equal(table.mask, table.child >= 0)
    assert table.stuck.sum() == {"route": 8, "escalate": 4, "regenerate": 8}[mode]


def test_tables_are_read_only():
    table = Game(TreeSource()).table
    for name in table.__slots__:
        with pytest.raises(ValueError, match="read-only"):
            getattr(table, name)[...] = 0


def alike(horizon: int) -> TreeSource:
    """One problem whose steps read alike whoever wrote them: two nodes a depth, and ``2**depth`` paths to them."""
    source = TreeSource(0, problems=1, horizon=6)
    source.horizon = horizon
    source.terminal[:] = source.correct[:] = False
    for node in range(2 * horizon + 1):  # the root, and at each depth the step of either model
        depth = (node + 1) // 2
        source.depth[node], source.model[node], source.tokens[node] = depth, (node + 1) % 2 if node else -1, 10
        source.child[node] = [2 * depth + 1, 2 * depth + 2] if depth < horizon else -1
    return source


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(3))
def test_rows_are_counted_as_they_are_built(mode, seed):
    game = Game(TreeSource(seed, models=3, gaps=0.2), mode=mode)
    start = game.rules.start(game.problems, np.random.default_rng(0))
    rows = len(game.table)
    assert tables.count_rows(game.rules, start, most=rows) == rows
    with pytest.raises(TooManyPathsError, match="has more sequences of decisions than a table"):
        tables.count_rows(game.rules, start, most=rows - 1)


@pytest.mark.parametrize(("mode", "expected"), [("route", 2**31 - 1), ("regenerate", 2**31 - 1), ("escalate", 496)])
def test_two_thousand_million_paths_are_counted_without_unrolling(mode, expected):
    game = Game(alike(30), mode=mode)
    start = game.rules.start(game.problems, np.random.default_rng(0))
    assert tables.count_rows(game.rules, start, most=1 << 40) == expected


def test_a_table_of_its_full_size_is_built_and_one_byte_less_is_not(monkeypatch):
    table = Game(TreeSource(models=4)).table
    columns = [getattr(table, name) for name in table.__slots__ if name not in ("problems", "roots")]
    size = sum(column.nbytes for column in columns)
    monkeypatch.setattr(tables, "MAX_BYTES", size)
    assert len(Game(TreeSource(models=4)).table) == len(table)
    monkeypatch.setattr(tables, "MAX_BYTES", size - 1)
    with pytest.warns(UserWarning, match=r"'fake-tree', mode='route' has more .* the game is played without a"):
        assert Game(TreeSource(models=4)).table is None


def test_beyond_the_limit_the_rules_play_the_same_game_with_one_warning():
    game = Game(alike(30), mode="route", normaliser=1e12)
    rises = Replay(np.array([[0, 1] * 15]), "rises")
    tracemalloc.start()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        played = play(rises, game)
        play(rises, game)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()
    assert len(said) == 1
    assert "allowed: fewer problems, fewer models, a shorter horizon, or mode='escalate'" in str(said[0].message)
    random = play(rises, Game(Untabulated(alike(30)), mode="route", normaliser=1e12))
    np.testing.assert_array_equal(played.ledger, random.ledger)
    assert played.decisions.shape == (1, 30)
    with pytest.raises(NotApplicableError, match="source 'fake-tree' has too many paths for a table: no path is known"):
        oracle_paths(game)


@pytest.mark.parametrize("tabulated", [True, False])
def test_ledgers_go_beyond_two_to_the_31(tabulated):
    source = alike(3)
    source.tokens[1:] = 2**31 - 1
    game = Game(source if tabulated else Untabulated(source), mode="route", normaliser=1.0)
    played = play(Replay(np.array([[0, 0, 0]]), "smallest"), game)
    assert played.ledger[0, 0, KEPT] == 3 * (2**31 - 1)
    assert (played.ledger >= 0).all()


def test_a_random_source_has_no_table():
    source = Untabulated(TreeSource())
    assert Game(source, normaliser=1.0).table is None
    rules = Rules(source, mode="route", observation=["progress"], cost_unit="flops")
    with pytest.raises(ValueError, match="source='fake-tree' is random; allowed: a deterministic source"):
        tables.tabulate(rules, np.arange(2), 1.0)
