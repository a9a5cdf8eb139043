"""The demo from end to end, with one seed: what it writes and what it claims."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from PIL import Image

from gym_stepwise_routing.baselines import AlwaysLargest, AlwaysSmallest, FirstKLarge
from gym_stepwise_routing.evaluation import play
from gym_stepwise_routing.evaluation.p_values import exact_p_value, required_n
from gym_stepwise_routing.game.game import Game
from studies.demo.demo import run_demo
from studies.demo.findings import (
    COST_LIMIT,
    DELTA,
    DRAWS,
    FEW_ERRORS,
    NAME,
    TARGET,
    schedule_found,
    second_target,
    settled,
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    steps = []
    return (
        out,
        run_demo(
            out,
            seeds=[7],
            progress=lambda stage, count: steps.append((stage, count)),
            announce=lambda _: steps.append(("announced", 0)),
        ),
        steps,
    )


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


def test_what_the_number_of_problems_settles_is_said_before_training():
    assert required_n(TARGET.alpha, DELTA) == 45
    assert "39 calibration problems" in settled(39)
    assert "45 would be needed. Whatever is trained, it will not be certified." in settled(39)
    assert "up to 0 errors among them would certify it" in settled(45)
    assert "up to 2 errors" in settled(105)


@pytest.mark.parametrize("solved", [10, 39, 45, 60, 104])
def test_the_second_target_is_the_strictest_that_a_few_errors_certify(solved):
    target = second_target(solved)
    assert exact_p_value(FEW_ERRORS, solved, target.alpha) <= DELTA
    assert exact_p_value(FEW_ERRORS, solved, target.alpha - 0.0011) > DELTA
    assert target.share < TARGET.share


def test_there_is_no_second_target_where_the_first_leaves_room_or_nothing_would_do():
    assert second_target(105) is None
    assert [second_target(solved) for solved in range(FEW_ERRORS + 1)] == [None] * (FEW_ERRORS + 1)


def test_it_was_announced_before_training_and_stands_on_the_page(demo):
    out, result, steps = demo
    assert steps[0] == ("announced", 0)
    assert result.promises[0].startswith("Before training: ")
    assert result.promises[0].split("; ")[0] in (out / "index.html").read_text(encoding="utf-8").replace(
        "&gt;", ">"
    ).replace("&#39;", "'")


def test_the_agent_keeps_its_limit_on_the_training_problems_and_says_what_it_costs_on_others(demo):
    _, result, _ = demo
    line = next(line for line in result.findings if "limit 0.5" in line)
    on_train = float(re.search(r": ([0-9.]+) on the training problems", line)[1])
    assert on_train <= COST_LIMIT + 1e-3
    row = next(row for row in result.rows if row.router == NAME)
    cost = row.costs["large_tokens"]
    assert f"{cost.estimate:.2f} [{cost.low:.2f}, {cost.high:.2f}] on the test problems" in line
    # the most likely action, which it was not trained for, costs far more
    assert cost.estimate < COST_LIMIT + 0.1
    assert row.seeds == 1


def test_every_finding_carries_n_seeds_and_an_interval(demo):
    _, result, _ = demo
    for line in result.findings:
        assert f"n = {len(Game(split='test').problems)}" in line
        assert "1 seed" in line
        assert re.search(r"\[[-+.\d]+, [-+.\d]+\]", line) or line.startswith("No schedule")


def test_the_best_schedule_is_named_where_it_beats_the_agent():
    game = Game(split="test", cost_unit="large_tokens")
    schedules = [play(FirstKLarge(k), game) for k in (1, 2, 3)]
    worse, better = ([play(router, game)] * DRAWS for router in (AlwaysSmallest(), AlwaysLargest()))
    assert schedule_found(schedules, better, 1).startswith("No schedule within 1.00 large-model tokens")
    dear = [replace(run, cost=run.cost + 2.0) for run in worse]
    assert "The schedule first-2-large beats" in schedule_found(schedules, worse, 1)  # the best within the limit
    best = max(schedules, key=lambda run: run.accuracy)
    line = schedule_found(schedules, dear, 1)
    assert line.startswith(f"The schedule {best.router} beats that agent: accuracy +")
    assert "the best of 3 schedules within" in line


def test_progress_adds_up(demo):
    from gym_stepwise_routing.agents.training import hyperparameters

    _, _, steps = demo
    assert {stage for stage, _ in steps} == {"announced", "training, seed 7"}
    assert sum(count for _, count in steps) >= hyperparameters("lagrangian_ppo").total_timesteps


def test_no_seeds(tmp_path):
    with pytest.raises(ValueError, match="at least one training seed"):
        run_demo(tmp_path, seeds=[])
