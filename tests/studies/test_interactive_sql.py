"""Certificates on interactive SQL: the page has what the study measures, and divisions keep their halves apart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gym_stepwise_routing.leaderboard.track import open_track
from studies.interactive_sql import _divided, broken, certify_rows

ROOT = Path(__file__).resolve().parents[2]


def test_a_promise_is_broken_where_the_other_half_loses_more():
    """Two groups of 100; the cheap threshold loses nothing in the first and everything in the second."""
    right = np.ones((2, 200), dtype=bool)
    right[1, 100:] = False
    cost = np.stack([np.full(200, 1.0), np.full(200, 0.25)])
    groups = np.repeat(["a", "b"], 100)
    seen = {_divided(right, cost, groups, seed, share=0.95, delta=0.1) for seed in range(8)}
    # certified on the first, it breaks on the second; on the second nothing is certified
    assert seen == {(1.0, 0.75, 100.0), (0.0, 0.0, 100.0)}


def test_divisions_by_task_keep_their_promise_more_often_than_tolerated():
    found = broken("intercode-sql-gpt", "task", 40, 0.95, 0.1)
    assert found.broken <= 0.1
    assert 0.2 < found.saved < 0.6
    assert found.items == pytest.approx(0.738 * 516, rel=0.03)


def test_the_page_has_what_is_measured():
    page = json.loads((ROOT / "docs/results/interactive_sql.json").read_text(encoding="utf-8"))["results"]
    (row,) = certify_rows(open_track("intercode-sql-gpt"), ("feedback",), ROOT / "leaderboard", 0.95, 0.1)
    (told,) = (each for each in page["rows"] if (each["track"], each["row"]) == ("intercode-sql-gpt", "feedback"))
    assert (row.threshold, row.items, row.certified) == (told["threshold"], told["items"], told["certified"])
    assert row.saving.saving.estimate == pytest.approx(told["saving"]["saving"]["estimate"], abs=1e-6)
    assert {each["track"] for each in page["rows"]} >= {"intercode-sql-openai", "intercode-sql-seven-calls"}
