"""What papers report, judged: each verdict from outcomes made for it; pages that hold every verdict."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from fake_sources import TreeSource
from typer import Typer
from typer.testing import CliRunner

from gym_stepwise_routing.compare import Arena, Rule, compare, roster
from gym_stepwise_routing.compare.pages import SETTINGS, Setting, main, write_page, write_peers
from gym_stepwise_routing.compare.peers import CLAIMS, Claim, findings
from gym_stepwise_routing.compare.roster import exchange_rate
from gym_stepwise_routing.compare.run import select
from gym_stepwise_routing.evaluation.outcomes import SweepOutcomes


@pytest.fixture(scope="module")
def result():
    names = ("single", "zero", "p_min", "entropy_first", "entropy_mean", "FrugalGPT", "TRIM-Thr", "state only")
    arena = Arena(TreeSource(10, problems=120), mode="regenerate", cost_unit="large_tokens")
    return compare(arena, select(names), Rule(), resamples=200)


def shaped(result, name, right, cost):
    """The result with other outcomes of one family."""
    outcomes = SweepOutcomes(right=right, cost=cost)
    rows = [
        replace(row, outcomes=outcomes, costs=cost.mean(axis=1), accuracies=right.mean(axis=1), settings=["a", "b"])
        if row.name == name
        else row
        for row in result.rows
    ]
    return replace(result, rows=rows)


def blend(result, share, gain):
    """Outcomes on the chord between the constants at a share of it, and a gain in accuracy."""
    ends = result.reference.outcomes
    right = (1 - share) * np.asarray(ends.right_small) + share * np.asarray(ends.right_large)
    cost = (1 - share) * np.asarray(ends.cost_small) + share * np.asarray(ends.cost_large)
    return np.clip(right + gain, 0, 1)[None], cost[None]


def verdict(result, claim):
    (found,) = findings(result, [claim])
    return found.verdict


def test_every_claim_names_families_of_the_roster():
    names = {family.name for family in roster()}
    for claim in CLAIMS:
        assert {claim.family, *claim.rivals, *([claim.signal] if claim.signal else [])} <= names
    assert len({claim.peer for claim in CLAIMS}) == len(CLAIMS)


@pytest.mark.parametrize(("gain", "expected"), [(0.3, "holds"), (-0.3, "does not hold"), (0.0, "not decided")])
def test_orderings(result, gain, expected):
    claim = Claim("x", "0", "better", "confidence p_min", ("zero router",))
    assert verdict(shaped(result, "confidence p_min", *blend(result, 0.5, gain)), claim) == expected


def test_as_good_as_is_less_than_better(result):
    claim = Claim("x", "0", "as good", "confidence p_min", ("zero router",), margin=0.02)
    assert verdict(shaped(result, "confidence p_min", *blend(result, 0.5, 0.0)), claim) == "holds"


def test_a_router_that_always_does_the_same_has_no_ordering(result):
    claim = Claim("x", "0", "better", "confidence p_min", ("zero router",))
    assert verdict(shaped(result, "confidence p_min", *blend(result, 0.01, 0.0)), claim) == "undefined"


@pytest.mark.parametrize(("share", "gain", "expected"), [(0.5, 0.5, "holds"), (1.0, 0.0, "does not hold")])
def test_points_must_save_something_and_lose_nothing(result, share, gain, expected):
    claim = Claim("x", "0", "as right, cheaper", "confidence p_min", figure="point")
    assert verdict(shaped(result, "confidence p_min", *blend(result, share, gain)), claim) == expected


def test_who_could_not_play_says_why(result):
    claim = Claim("x", "0", "better", "TRIM-Thr", ("zero router",))
    (found,) = findings(result, [claim])
    assert found.verdict == "not applicable"
    assert "no verifier scores" in found.measured


def test_claims_are_judged_in_their_modes(result):
    claim = Claim("x", "0", "better", "confidence p_min", ("zero router",), modes=("route",))
    assert findings(result, [claim]) == ()


def test_pages_hold_every_row_and_survive_a_second_run(result, tmp_path):
    setting = Setting("small", "fake-tree", "regenerate", "large_tokens")
    for _ in range(2):
        write_page(result, setting, tmp_path, 1.0)
        write_peers(tmp_path)
    page = (tmp_path / "small.md").read_text()
    assert page.startswith("# SIMULATED: baselines on fake-tree")
    for row in result.rows:
        assert row.name in page
    data = json.loads((tmp_path / "small.json").read_text(), parse_constant=pytest.fail)
    assert [row["name"] for row in data["rows"]] == [row.name for row in result.rows]
    assert (tmp_path / "small.json").stat().st_size < 100_000
    assert (tmp_path / "small.png").read_bytes().startswith(b"\x89PNG")
    peers = (tmp_path / "peers.md").read_text()
    for finding in findings(result):
        assert f"## {finding.claim.peer}" in peers
    assert "no verifier scores" in peers
    assert "[small](small.md) SIMULATED, n = 40" in peers


def test_the_command_refuses_pages_that_it_does_not_know(tmp_path):
    app = Typer()
    app.command()(main)
    done = CliRunner(env={"COLUMNS": "400"}).invoke(app, ["--only", "nosuch", "--out", str(tmp_path)])
    assert done.exit_code == 2
    assert "gsm8k-route" in done.output
    assert len({setting.name for setting in SETTINGS}) == len(SETTINGS)


def test_prices_are_in_units_of_what_the_mode_charges():
    source = TreeSource(0, problems=120, verifier=True)
    plain = exchange_rate(Arena(source, mode="route"))
    drafting = exchange_rate(Arena(source, mode="regenerate"))
    judged = exchange_rate(Arena(source, mode="regenerate"), ("progress", "verifier"))
    assert judged < drafting < plain
