"""Tabulated games; that the numbers are those of the rules is shown in envs/test_vector_equals_scalar."""

from __future__ import annotations

import numpy as np
import pytest
from fake_sources import TreeSource, Untabulated

from gym_stepwise_routing.game import tabulation as tables
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.game.transitions import Rules


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


def test_a_tree_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(tables, "MAX_ROWS", 20)
    with pytest.raises(ValueError, match="'fake-tree' unrolls to more than 20 sequences of decisions; allowed: fewer"):
        Game(TreeSource(models=4)).table  # noqa: B018


def test_a_random_source_has_no_table():
    source = Untabulated(TreeSource())
    assert Game(source, normaliser=1.0).table is None
    rules = Rules(source, mode="route", observation=["progress"], cost_unit="flops")
    with pytest.raises(ValueError, match="source='fake-tree' is random; allowed: a deterministic source"):
        tables.tabulate(rules, np.arange(2), 1.0)
