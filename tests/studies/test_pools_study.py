"""The page on what pools could pay is what its study measures, and a router's share is never more than the whole."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from studies.baselines.pages import SETTINGS
from studies.pools import exact_saving, measured, reached

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"


@pytest.mark.parametrize("name", ["gsm8k-route", "intercode-sql-gpt"])
def test_the_page_has_what_is_measured(name):
    (setting,) = (setting for setting in SETTINGS if setting.name == name)
    row = measured(setting, RESULTS / "baselines")
    written = json.loads((RESULTS / "pools.json").read_text(encoding="utf-8"))["results"]
    (told,) = (entry for entry in written if entry["page"] == name)
    assert (row.router, row.routers, row.n) == (told["router"], told["routers"], told["n"])
    assert (row.small, row.large, row.both, row.exact) == pytest.approx(
        tuple(told[key] for key in ("small", "large", "both", "exact"))
    )
    assert row.saved[0] < row.exact


def test_pools_of_more_models_are_left_out():
    (setting,) = (setting for setting in SETTINGS if setting.name == "gsm8k-closed-models")
    assert measured(setting, RESULTS / "baselines") is None


def test_the_cheapest_problems_are_asked_first():
    right = np.array([[True, False, False, False], [True, True, True, False]])
    cost = np.array([[0.0, 0.0, 0.0, 0.0], [1.0, 2.0, 0.5, 0.5]])
    assert exact_saving(right, cost, keep=2 / 3) == pytest.approx(1 - 0.5 / 4)
    assert exact_saving(right, cost, keep=1.0) == pytest.approx(1 - 2.5 / 4)


def test_bounds_and_constants_are_no_routers():
    chosen = {"accuracy": [0.9, 0.8, 1.0], "cost": [0.2, 0.1, 0.3]}
    rows = [{"name": name, "chosen": chosen} for name in ("oracle", "single models", "query classifier")]
    assert reached(rows, 0.85) == ("query classifier", (0.8, 0.7, 0.9), 1)
    assert reached(rows, 0.95) == (None, None, 1)
