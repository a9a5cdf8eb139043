"""The demo from end to end, with one seed: what it writes and what it claims."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from gym_stepwise_routing.baselines import AlwaysLargest, FirstKLarge, RandomMix
from gym_stepwise_routing.evaluation import play
from gym_stepwise_routing.evaluation.p_values import required_n
from gym_stepwise_routing.game.game import Game
from studies.demo.demo import COST_LIMIT, DELTA, NAME, TARGET, Line, _settled, relative_cost, run_demo


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
    assert {"demo.json", "demo.md", "demo.png", "demo.html", "tensorboard"} == {p.name for p in out.iterdir()}
    assert list((out / "tensorboard").rglob("events.out.tfevents*"))
    with Image.open(out / "demo.png") as picture:
        assert picture.width > 1000


def results(out):
    return json.loads((out / "demo.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)["results"]


def test_results_are_strict_json_with_n_seeds_and_intervals(demo):
    out, _, _ = demo
    told = results(out)
    assert told["seeds"] == [7]
    assert told["resamples"] >= 10_000
    for line in told["lines"]:
        assert line["n"] > 0
        assert line["accuracy"]["low"] <= line["accuracy"]["estimate"] <= line["accuracy"]["high"]
    assert told["bank"]["hash"] == Game(split="test").source_hash


def test_lines_are_what_the_routers_do(demo):
    out, _, _ = demo
    game = Game(split="test", mode="regenerate", cost_unit="large_tokens")
    lines = {line["router"]: line for line in results(out)["lines"]}
    largest = play(AlwaysLargest(), game)
    for router in (AlwaysLargest(), FirstKLarge(2)):  # always-largest has drafts, in this mode
        run = play(router, game)
        line = lines[run.router]
        assert line["accuracy"]["estimate"] == pytest.approx(run.accuracy)
        assert line["costs"]["large_tokens"]["estimate"] == pytest.approx(run.mean_cost)
        assert line["difference"]["estimate"] == pytest.approx(run.accuracy - largest.accuracy)
    assert lines["always-largest"]["costs"]["flops"]["estimate"] == pytest.approx(1)
    alone = play(AlwaysLargest(), Game(split="test", mode="route", cost_unit="large_tokens"))  # nobody drafts for it
    ratio = play(FirstKLarge(2), game).costs["flops"].mean() / alone.costs["flops"].mean()
    assert lines["first-2-large"]["costs"]["flops"]["estimate"] == pytest.approx(ratio)


def test_cost_intervals_pair_numerator_and_denominator():
    """Against a bootstrap written out; the reference relative to itself is certain."""
    game = Game(split="calibration", cost_unit="large_tokens")
    run, largest = play(RandomMix(0.5, 0), game), play(AlwaysLargest(), game)
    interval = relative_cost(run.costs["flops"][None], largest.costs["flops"])
    rng, ratios = np.random.default_rng(5), []
    for _ in range(4000):
        picks = rng.integers(len(run), size=len(run))
        ratios.append(run.costs["flops"][picks].mean() / largest.costs["flops"][picks].mean())
    assert (interval.low, interval.high) == pytest.approx(np.quantile(ratios, [0.025, 0.975]), rel=0.02)
    same = relative_cost(largest.costs["flops"][None], largest.costs["flops"])
    assert (same.low, same.high) == (pytest.approx(1), pytest.approx(1))


def test_draws_of_a_seed_are_averaged_before_resampling():
    game = Game(split="calibration", cost_unit="large_tokens")
    runs, largest = [play(RandomMix(0.5, seed), game) for seed in range(6)], play(AlwaysLargest(), game)
    line, apart = Line.of(runs, largest, "rules", draws=3), Line.of(runs, largest, "rules")
    assert (line.seeds, apart.seeds) == (2, 6)
    assert line.accuracy.estimate == pytest.approx(apart.accuracy.estimate)


def test_a_target_that_cannot_be_certified_is_said_where_it_matters(demo):
    out, page, _ = demo
    (certificate,) = results(out)["certificates"]
    (line,) = page.tables[0].rows
    assert line[1] == ("yes" if certificate["certified"] else "no")
    assert line[-1] == certificate["promise"]
    if not certificate["certified"]:
        assert certificate["threshold"] == 0


def test_the_page_says_first_what_is_promised_and_saved(demo):
    out, page, _ = demo
    lines = {line["router"]: line for line in results(out)["lines"]}
    saved = 1 - lines[f"{NAME}, certified"]["costs"]["large_tokens"]["estimate"]
    assert results(out)["certificates"][0]["certified"]
    assert saved > 0.05
    assert page.lead.startswith(
        "Certified: with probability at least 0.9, accuracy of at least 95% of always-largest's"
    )
    assert f"It saves {saved:.1%} [" in page.lead
    more = lines[f"{NAME}, certified"]["costs"]["flops"]["estimate"] - 1  # drafts, and reading what others wrote
    assert f"and takes {more:.1%} [" in page.lead
    html = (out / "demo.html").read_text(encoding="utf-8")
    assert html.index("Certified: with") < html.index("<table>")
    assert html.index("stepwise-routing train --mode regenerate") > html.index("<table>")


def test_what_the_number_of_problems_settles_is_said_before_training(demo):
    _, page, steps = demo
    assert steps[0] == ("announced", 0)
    assert any(line.startswith(f"Target: {TARGET}") for line in page.setting)
    assert required_n(TARGET.alpha, DELTA) == 45
    assert "39 calibration problems" in _settled(39)
    assert "error: 45; errors that can be certified: none, whatever is trained." in _settled(39)
    assert _settled(45).endswith("certified: 0.")
    assert _settled(105).endswith("certified: 2.")


def test_the_agent_keeps_its_limit_on_the_training_problems(demo):
    out, _, _ = demo
    told = results(out)
    assert told["cost_on_train"] <= COST_LIMIT + 1e-3
    (line,) = [line for line in told["lines"] if line["router"] == NAME]
    # the most likely action, which it was not trained for, costs far more
    assert line["costs"]["large_tokens"]["estimate"] < COST_LIMIT + 0.1
    assert line["seeds"] == 1


def test_progress_adds_up(demo):
    from gym_stepwise_routing.agents.training import hyperparameters

    _, _, steps = demo
    assert {stage for stage, _ in steps} == {"announced", "training, seed 7"}
    assert sum(count for _, count in steps) >= hyperparameters("lagrangian_ppo").total_timesteps


def test_no_seeds(tmp_path):
    with pytest.raises(ValueError, match="at least one training seed"):
        run_demo(tmp_path, seeds=[])
