"""The page on what carries over: lines are chosen on calibration, gains are held against mixing, transfer is real."""

from __future__ import annotations

import json

import numpy as np
import pytest
from bank_files import few_problems

from gym_stepwise_routing.baselines import AlwaysLargest, AlwaysSmallest
from gym_stepwise_routing.comparison.roster import roster
from gym_stepwise_routing.comparison.run import run_comparison
from gym_stepwise_routing.evaluation import curves
from gym_stepwise_routing.evaluation.evaluate import play
from gym_stepwise_routing.evaluation.outcomes import SweepOutcomes
from studies.baselines.claims import ZERO
from studies.carry_over import __main__ as page
from studies.carry_over import stage as stages
from studies.carry_over.stage import CARRIED, Stage, Task

FEW = ("zero router", "first k large", "last k large", "every other", "GlimpRouter", "STEER max-logit")
FEW += ("verifier, least score", "query classifier", "fitted Q", "oracle")


@pytest.fixture(scope="module", autouse=True)
def few_families():
    """Of each line of the table one family or more."""
    everyone = roster()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "roster", lambda: tuple(family for family in everyone if family.name in FEW))
        yield


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    """Two small tasks whose train problems differ in number, so that what is fitted on them differs."""
    folders = [
        few_problems(tmp_path_factory.mktemp("bank"), train=count, calibration=30, test=50) for count in (40, 80)
    ]
    return [Task(name, str(folder)) for name, folder in zip(("few", "more"), folders, strict=True)]


@pytest.fixture(scope="module")
def stage(tasks):
    return Stage(tasks[0], 1000)


def test_the_ends_are_what_is_played(stage):
    ends, game = stage.ends(), stage.arena.game("test", ("progress",))
    small, large = play(AlwaysSmallest(), game), play(AlwaysLargest(), game)
    assert (ends.small, ends.large) == (small.accuracy, large.accuracy)
    assert ends.small_cost == pytest.approx(small.mean_cost / large.mean_cost)
    assert ends.large <= ends.oracle <= 1
    ceiling = stage.arena.reference("test").ceiling
    assert ceiling.accuracy(ends.oracle_cost * large.mean_cost + 1e-9) >= ends.large - 1e-9


def test_the_best_of_a_group_is_chosen_on_calibration(stage):
    names = ["first k large", "last k large", "every other", "STEER max-logit"]  # the last cannot be played here
    heights = {}
    for name in names[:3]:
        points = stage.points(name, "calibration")
        anchors = stage.arena.reference("calibration").anchors
        heights[name] = curves.aiq(curves.Curves(costs=points.costs, accuracies=points.accuracies, anchors=anchors))
    assert stage.best(names) == max(heights, key=heights.get)
    assert stage.best(["STEER max-logit"]) is None


def test_mixing_gains_nothing_and_the_oracle_much(stage):
    mixing = stage.points(ZERO, "test")
    assert stage.gain(SweepOutcomes(right=mixing.right, cost=mixing.cost)) == pytest.approx((0, 0, 0), abs=1e-12)
    best = stage.points("oracle", "test")
    estimate, low, _ = stage.gain(SweepOutcomes(right=best.right, cost=best.cost))
    assert estimate > low > 0


def test_signals_are_those_of_a_comparison(stage):
    compared = run_comparison(
        stage.task.bank, mode="escalate", only=["query classifier", "GlimpRouter"], resamples=1000
    )
    told = {row.name: row.signal for row in compared.rows}
    found = stage.signals()
    assert found["query classifier"][0] == pytest.approx(told["query classifier"].estimate)
    assert found["GlimpRouter"][0] == pytest.approx(told["GlimpRouter"].estimate)
    (row,) = (row for row in compared.rows if row.name == "GlimpRouter")
    assert stage.signals(1)["GlimpRouter"][0] == pytest.approx(row.later_signal.estimate)


def test_the_page(tasks, tmp_path, monkeypatch, few_steps):
    few_steps(20, budgets=2)
    monkeypatch.setattr(page, "TASKS", tasks)
    page.main(out=tmp_path, seeds=3, resamples=1000, tasks="")
    text = (tmp_path / "carry_over.md").read_text()
    found = json.loads((tmp_path / "carry_over.json").read_text())["results"]
    assert "nan" not in text
    own = {gain["task"]: gain["gain"] for gain in found["gains"] if gain["line"] == CARRIED}
    carried = {(each["trained"], each["played"]): each for each in found["carried"]}
    assert set(carried) == {(a, b) for a in ("few", "more") for b in ("few", "more")}
    for name in ("few", "more"):
        assert carried[name, name]["gain"] == pytest.approx(own[name])
    assert not np.allclose(carried["few", "more"]["gain"], own["more"])
    assert [line["task"] for line in found["tasks"]] == ["few", "more"]


def test_an_unknown_task(tmp_path):
    with pytest.raises(ValueError, match="tasks='Chess' is not known; allowed: 'GSM8K'"):
        page.main(out=tmp_path, seeds=3, resamples=1000, tasks="Chess")
