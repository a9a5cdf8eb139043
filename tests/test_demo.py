"""The demo from end to end, with one seed: what it writes and what it claims."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from gym_stepwise_routing.baselines import AlwaysLargest, FirstKLarge
from gym_stepwise_routing.demo import run_demo
from gym_stepwise_routing.evaluation import play
from gym_stepwise_routing.game import Game


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    steps = []
    return out, run_demo(out, seeds=[7], progress=lambda stage, count: steps.append((stage, count))), steps


def test_it_writes_everything_and_nothing_half(demo):
    out, _, _ = demo
    assert {"results.json", "table.md", "frontier.png", "index.html", "tensorboard"} == {p.name for p in out.iterdir()}
    assert list((out / "tensorboard").rglob("events.out.tfevents*"))
    with Image.open(out / "frontier.png") as picture:
        assert picture.width > 1000


def test_results_are_strict_json_with_n_seeds_and_intervals(demo):
    out, _, _ = demo
    results = json.loads((out / "results.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert results["seeds"] == [7]
    assert results["resamples"] >= 10_000
    for row in results["rows"]:
        assert row["n"] > 0
        assert row["accuracy"]["low"] <= row["accuracy"]["estimate"] <= row["accuracy"]["high"]
    assert results["bank"]["hash"] == Game(split="test").source_hash


def test_rows_are_what_the_routers_do(demo):
    _, result, _ = demo
    game = Game(split="test", cost_unit="large_tokens")
    rows = {row.router: row for row in result.rows}
    for router in (AlwaysLargest(), FirstKLarge(2)):
        run = play(router, game)
        assert rows[run.router].accuracy.estimate == pytest.approx(run.accuracy)
        assert rows[run.router].costs["large_tokens"].estimate == pytest.approx(run.mean_cost)
    assert rows["always-largest"].costs["flops"].estimate == pytest.approx(1)


def test_a_target_that_cannot_be_certified_is_said_where_it_matters(demo):
    out, result, _ = demo
    page = (out / "index.html").read_text(encoding="utf-8")
    for certificate in result.certificates:
        if not certificate.certified:
            assert "Not certified for 1 of 1 seeds" in page
            assert certificate.threshold == 0
        else:
            assert "Certified for 1 of 1 seeds" in page
    assert np.all([f"n = {len(Game(split='test').problems)}" in line for line in result.findings[:2]])


def test_progress_adds_up(demo):
    from gym_stepwise_routing.agents.training import hyperparameters

    _, _, steps = demo
    assert {stage for stage, _ in steps} == {"training, seed 7"}
    assert sum(count for _, count in steps) >= hyperparameters("lagrangian_ppo").total_timesteps


def test_no_seeds(tmp_path):
    with pytest.raises(ValueError, match="at least one training seed"):
        run_demo(tmp_path, seeds=[])
