"""Contenders against playing their routers one by one."""

from __future__ import annotations

import numpy as np
import pytest
from fake_sources import TreeSource, Untabulated

from gym_stepwise_routing.baselines import ConfidenceThreshold, FirstKLarge, RandomMix
from gym_stepwise_routing.baselines.cascade import SelfJudge, answers
from gym_stepwise_routing.baselines.observed_figures import needs_blocks
from gym_stepwise_routing.comparison import Rule, compare, state_bounds
from gym_stepwise_routing.comparison.arena import Arena
from gym_stepwise_routing.comparison.cascades import Cascade, LearnedCascade
from gym_stepwise_routing.comparison.contenders import Averaged, Listed, Mixed, Swept
from gym_stepwise_routing.comparison.run import select
from gym_stepwise_routing.comparison.state_bounds import StateOnly
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.evaluation.evaluate import play
from gym_stepwise_routing.routers.base import ThresholdRouter
from gym_stepwise_routing.sources.subset import limited
from gym_stepwise_routing.types import DEFAULT_BLOCKS, TOKEN_CLASS_FIGURES

STEPS = ("progress", "confidence")


@pytest.fixture
def arena():
    return Arena(TreeSource(0, problems=45, models=3), cost_unit="flops")


@pytest.mark.parametrize("mode", ["route", "escalate", "regenerate"])
def test_a_sweep_is_its_thresholds_played_one_by_one(mode):
    arena = Arena(TreeSource(0, problems=45), mode=mode)
    contender = Swept(arena, ConfidenceThreshold("p_min"), STEPS)
    points = contender.points("test")
    assert len(points.right) == len(contender.labels)
    for index in (0, len(points.right) // 2, -1):
        threshold = float(contender._grid[index])
        alone = play(ThresholdRouter(ConfidenceThreshold("p_min"), threshold), arena.game("test", STEPS))
        np.testing.assert_array_equal(points.right[index], alone.right)
        np.testing.assert_allclose(points.cost[index], alone.cost)
        np.testing.assert_allclose(contender.costs("test", index)["dollars"], alone.costs["dollars"])


def test_a_sweep_may_hold_the_routers_own_threshold():
    arena = Arena(TreeSource(0, problems=45), mode="regenerate")
    router = ConfidenceThreshold("p_min", 0.123)
    plain, own = Swept(arena, router, STEPS), Swept(arena, router, STEPS, own=True)
    assert [label for label in own.labels if label not in plain.labels] == [router.name]
    index = own.labels.index(router.name)
    np.testing.assert_array_equal(own._grid, np.sort(own._grid))
    np.testing.assert_array_equal(own.points("test").cost[index], play(router, arena.game("test", STEPS)).cost)


def test_a_list_is_its_routers(arena):
    routers = [FirstKLarge(0), FirstKLarge(2)]
    contender = Listed(arena, routers, ("progress",))
    alone = play(routers[1], arena.game("test", ("progress",)))
    np.testing.assert_allclose(contender.points("test").cost[1], alone.cost)
    np.testing.assert_allclose(contender.costs("test", 1)["latency"], alone.costs["latency"])
    assert contender.labels == ["first-0-large", "first-2-large"]


def test_averages_are_over_draws(arena):
    draws = [Listed(arena, [RandomMix(0.5, seed)], ("progress",)) for seed in range(3)]
    mean = Averaged(draws)
    expected = np.mean([draw.points("test").right for draw in draws], axis=0)
    np.testing.assert_allclose(mean.points("test").right, expected)
    assert not np.isin(mean.points("test").right, (0, 1)).all()
    np.testing.assert_allclose(
        mean.costs("test", 0)["flops"], np.mean([draw.costs("test", 0)["flops"] for draw in draws], axis=0)
    )


def test_the_zero_router_mixes_models_of_the_train_hull(arena):
    contender = Mixed(arena, steps=4)
    models = arena.reference("test").models
    points = contender.points("test")
    corners = [index for index, label in enumerate(contender.labels) if "+" not in label]
    for index in corners:
        model = int(contender.labels[index].split()[-1])
        np.testing.assert_array_equal(points.right[index], models[model].right)
        np.testing.assert_allclose(contender.costs("test", index)["flops"], models[model].costs["flops"])
    if len(corners) > 1:
        middle = (corners[0] + corners[1]) // 2
        ends = points.costs[corners]
        assert ends.min() < points.costs[middle] < ends.max()


def test_single_models_pay_for_no_drafts():
    source = TreeSource(0, problems=45, verifier=True)
    costs = {mode: Arena(source, mode=mode).reference("test").models[-1].cost for mode in ("route", "regenerate")}
    np.testing.assert_array_equal(costs["route"], costs["regenerate"])


def test_a_cascade_pays_for_every_answer_it_tried(arena):
    contender = Cascade(arena, SelfJudge())
    models = arena.reference("test").models
    points = contender.points("test")
    np.testing.assert_allclose(points.cost[0], sum(m.cost for m in models))
    np.testing.assert_array_equal(points.right[0], models[-1].right)
    np.testing.assert_allclose(points.cost[-1], models[0].cost)
    np.testing.assert_allclose(contender.costs("test", 0)["dollars"], sum(m.costs["dollars"] for m in models))
    seen, _ = answers(arena.game("test", DEFAULT_BLOCKS, mode="route"), 0)
    middle = len(contender.labels) // 2
    accepted = 1 - contender._judge.approval(seen) < contender._grid[middle]
    np.testing.assert_allclose(points.cost[middle][accepted], models[0].cost[accepted])
    assert (points.cost[middle][~accepted] > models[0].cost[~accepted]).all()


def test_a_learned_cascade_asks_at_most_three_models_and_its_plans_are_worth_their_cost():
    arena = Arena(TreeSource(3, problems=120, models=4), cost_unit="flops")
    contender = LearnedCascade(arena, SelfJudge())
    train = contender.points("train")
    assert (np.diff(train.costs) > 0).all()
    assert (np.diff(train.accuracies) > 0).all()
    assert max(len(plan.models) for plan in contender._plans) <= 3
    assert all(plan.models == tuple(sorted(plan.models)) for plan in contender._plans)
    models = arena.reference("test").models
    game = arena.game("test", DEFAULT_BLOCKS, mode="route")
    rejection = [1 - contender._judge.approval(answers(game, model)[0]) for model in range(3)]
    for index, plan in enumerate(contender._plans):
        for problem in (0, 1, 2):
            paid = 0.0
            for place, model in enumerate(plan.models):
                paid += models[model].costs["flops"][problem]
                if place == len(plan.thresholds) or rejection[model][problem] < plan.thresholds[place]:
                    break
            assert contender.costs("test", index)["flops"][problem] == pytest.approx(paid)
            assert contender.points("test").right[index, problem] == models[model].right[problem]


def test_a_learned_cascade_leaves_out_who_is_not_worth_asking():
    source = TreeSource(3, problems=120, models=3)
    source.correct[source.model == 1] = False  # whoever asks the middle one pays for nothing
    contender = LearnedCascade(Arena(source, cost_unit="flops"), SelfJudge())
    assert all(1 not in plan.models for plan in contender._plans)
    assert {plan.models[-1] for plan in contender._plans} <= {0, 2}


def test_cross_fitted_decisions_do_not_know_the_problem_itself():
    def decided(flip: bool):
        source = TreeSource(0, problems=30)
        if flip:
            rows = source.terminal & (source.problem == 2)  # the first problem of the test split
            source.correct[rows] = ~source.correct[rows]
        arena = Arena(source, cost_unit="flops")
        return {fit: StateOnly(arena, [0.3], fit).points("test").cost[0] for fit in ("cross", "same")}

    before, after = decided(flip=False), decided(flip=True)
    assert before["cross"][0] == after["cross"][0]
    assert before["same"][0] != after["same"][0]  # on so few problems one is enough to change a decision on itself
    with pytest.raises(NotApplicableError, match="is random"):
        StateOnly(Arena(Untabulated(TreeSource(0, problems=9))), [0.3], "cross")


def test_estimates_on_too_many_states_are_refused(monkeypatch):
    monkeypatch.setattr(state_bounds, "MOST_STATES", 10)
    with pytest.raises(NotApplicableError, match=r"'fake-tree' has [\d,]+ states in all splits; allowed: up to 10"):
        StateOnly(Arena(TreeSource(0, problems=9)), [0.3], "cross")


def test_nobody_is_scored_on_zeros():
    source = TreeSource(0, problems=9)
    source.confidence[:] = np.nan
    with pytest.raises(NotApplicableError, match="'fake-tree' has no confidence figures before any decision"):
        Swept(Arena(source), ConfidenceThreshold("p_min"), STEPS)
    needs_blocks(Arena(source).game("train", ("progress", "question")), ("progress", "question"))


def test_an_api_that_tells_the_chosen_tokens_only_leaves_no_constant_rows():
    source = TreeSource(0, problems=60)
    source.confidence[:, 2:] = np.nan
    source.classes[:, [name.endswith("entropy_mean") for name in TOKEN_CLASS_FIGURES]] = np.nan
    names = ("confidence", "STEER", "two-part", "loop", "GlimpRouter", "AutoMix")
    found = compare(Arena(source), select(names), Rule(), resamples=100)
    played = {row.name for row in found.rows if not row.not_applicable}
    assert played == {"confidence p_mean", "confidence p_min", "STEER log-probability", "AutoMix cascade"}
    absent = {row.name: row.not_applicable for row in found.rows}
    assert absent["confidence entropy_first"].startswith("'fake-tree' has no entropy_first before any decision")
    assert absent["two-part risk"].startswith("'fake-tree' has no table_entropy_mean before any decision")


def test_a_limited_source_plays_the_first_problems():
    source = Untabulated(TreeSource(0, problems=60))
    few = limited(source, 4)
    assert few.problems("test").tolist() == source.problems("test")[:4].tolist()
    assert limited(source, 500) is source
    assert len(Arena(few).reference("test").models[0]) == 4
    with pytest.raises(ValueError, match="problems=1; allowed: an integer >= 2"):
        limited(source, 1)


def test_arenas_say_what_is_wrong():
    with pytest.raises(ValueError, match="split='calibration' is not known; allowed: 'train', 'test'"):
        Arena(TreeSource(0), split="calibration")
    arena = Arena(TreeSource(0))
    with pytest.raises(NotApplicableError, match="'fake-tree' has no verifier scores"):
        arena.game("train", ("verifier",))
