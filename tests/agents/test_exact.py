"""Exact policy gradients: values against enumeration, gradients against finite differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch as th
from bank_parts import bank_part
from fake_sources import TreeSource

from gym_stepwise_routing.agents.exact import ExactPolicyGradient
from gym_stepwise_routing.agents.exact.all_tilts import chances_of, slope, solve_tilts
from gym_stepwise_routing.agents.exact.decision_tree import DecisionTree
from gym_stepwise_routing.agents.exact.folds import FoldTraining, assign_folds
from gym_stepwise_routing.agents.exact.learners import Candidate, learner, natural_step
from gym_stepwise_routing.agents.scores import scored
from gym_stepwise_routing.envs.sb3 import RoutingVecEnv
from gym_stepwise_routing.evaluation.expectation import expected_outcomes
from gym_stepwise_routing.game.game import Game

UNIT = "large_tokens"
LINEAR, NETWORK = (0, 0.1, 4.0), (6, 0.3, 0.02)


def random_logits(tree, seed=0):
    return th.randn(tree.mask.shape, generator=th.Generator().manual_seed(seed), dtype=th.float64)


@pytest.fixture(scope="module", params=["fake, three models", "bank, route", "bank, regenerate"])
def game(request):
    if request.param.startswith("fake"):
        return Game(TreeSource(7, models=3, problems=24, horizon=3, gaps=0.2), split="train")
    return Game(bank_part(size=12), mode=request.param.split()[-1], cost_unit="flops")


@pytest.fixture(scope="module")
def tree(game):
    return DecisionTree(game, th.float64)


def enumerated(game, tree, chances):
    """Right and cost of each problem, path by path, from the table alone."""
    table = game.table
    place = {int(row): i for i, row in enumerate(np.flatnonzero(~table.stuck))}
    found = np.zeros((2, len(table.roots)))
    paths = [(int(root), 1.0) for root in table.roots]
    while paths:
        row, chance = paths.pop()
        if table.stuck[row]:
            problem = table.problem[row]
            found[0, problem] += chance * (table.terminal[row] and table.correct[row])
            found[1, problem] += chance * table.cost[row]
        actions = np.flatnonzero(table.mask[row])
        paths += [(int(table.child[row, a]), chance * float(chances[a, place[row]])) for a in actions]
    return found


def test_values_are_those_of_enumeration(game, tree):
    chances = chances_of(random_logits(tree), th.tensor([0.3, -1.0], dtype=th.float64), tree.mask)
    worth = tree.worth(chances)
    for policy in range(2):
        right, cost = enumerated(game, tree, chances[:, :, policy].numpy())
        np.testing.assert_allclose(worth.right[:, policy].numpy(), right, atol=1e-12)
        np.testing.assert_allclose(worth.cost[:, policy].numpy(), cost, atol=1e-12)


def test_what_is_reached_and_spent_adds_up_to_the_cost(tree):
    chances = chances_of(random_logits(tree), th.zeros(1, dtype=th.float64), tree.mask)
    worth = tree.worth(chances)
    weight = th.rand(tree.problems, 1, generator=th.Generator().manual_seed(1), dtype=th.float64)
    reached = tree.reach(chances, weight)
    # an action's own cost is its cost to come, less that of the state it leads to: summed over all states the latter
    # are those of all states but the roots
    to_come = sum(chances[action] * after[:, 1] for action, after in enumerate(worth.after))
    spent = (reached * to_come).sum() - (reached * to_come)[tree.problems :].sum()
    assert float(spent) == pytest.approx(float((weight * (worth.cost - tree._begun)).sum()), rel=1e-10)


def solved(tree, logits, weight, budget):
    return solve_tilts(tree, logits, th.zeros_like(budget), weight, budget, steps=60)


def a_problem(tree, budgets=3):
    weight = th.rand(tree.problems, generator=th.Generator().manual_seed(2), dtype=th.float64)
    weight /= weight.sum()
    low, high = (float(weight @ tree.worth(tree.constant(model)).cost[:, 0]) for model in (0, -1))
    return weight, low + (high - low) * th.linspace(0.25, 0.75, budgets, dtype=th.float64)


def test_tilts_put_the_cost_at_the_budget(tree):
    weight, budget = a_problem(tree)
    tilt, found = solved(tree, 0.3 * random_logits(tree), weight, budget)
    np.testing.assert_allclose(found.cost.numpy(), budget.numpy(), atol=1e-9)
    assert bool((tilt[0] > tilt[-1]).all())
    roughly = solve_tilts(tree, 0.3 * random_logits(tree), th.zeros_like(budget), weight, budget, 60, close=0.01)[1]
    assert 1e-9 < float((roughly.cost - budget).abs().max()) < 0.01


def test_the_gradient_at_fixed_costs_is_that_of_finite_differences(tree):
    weight, budget = a_problem(tree)
    logits = 0.3 * random_logits(tree)
    _, found = solved(tree, logits, weight, budget)
    assert bool((found.multiplier > 0.01).all())  # where cost buys nothing the multiplier is 0, and no derivative
    step = 1e-5
    for seed in range(3):
        direction = random_logits(tree, seed=10 + seed)
        ends = [solved(tree, logits + sign * step * direction, weight, budget)[1].right for sign in (1, -1)]
        expected = float((found.by_logit * direction).sum())
        assert expected == pytest.approx(float((ends[0] - ends[1]).mean() / (2 * step)), rel=1e-5, abs=1e-8)


def test_the_multiplier_is_what_the_last_unit_of_cost_buys(tree):
    weight, budget = a_problem(tree)
    logits = 0.3 * random_logits(tree)
    _, found = solved(tree, logits, weight, budget)
    up, down = (solved(tree, logits, weight, budget + move)[1].right for move in (1e-5, -1e-5))
    rate = ((up - down) / 2e-5).clamp(min=0.0)
    np.testing.assert_allclose(found.multiplier.numpy(), rate.numpy(), rtol=1e-4, atol=1e-6)


def test_two_models_are_the_softmax_of_two(tree):
    logits, tilt = random_logits(tree), th.tensor([0.3, -1.0], dtype=th.float64)
    ranks = th.linspace(0, 1, len(logits), dtype=th.float64)[:, None, None]
    tilted = (logits.unsqueeze(2) - ranks * tilt).masked_fill(~tree.mask.unsqueeze(2), -np.inf)
    np.testing.assert_allclose(chances_of(logits, tilt, tree.mask), th.softmax(tilted, dim=0), atol=1e-12)


def test_a_natural_step_changes_the_policy_by_what_its_information_says(tree):
    weight, budget = a_problem(tree)
    units = th.randn(len(tree), 3, generator=th.Generator().manual_seed(4), dtype=th.float64)
    start = th.zeros(len(tree.mask) - 1, 3, dtype=th.float64)
    logits = th.zeros(tree.mask.shape, dtype=th.float64)
    tilt, found = solved(tree, logits, weight, budget)
    step = natural_step(units, found, start, rate=1e-2, decay=1e-9)
    moved = chances_of(th.cat([logits[:1], step @ units.T]), tilt, tree.mask)
    inside = th.where(moved > 0, found.chances * (found.chances / moved).log(), 0.0).nan_to_num()
    divergence = float((found.reached * inside.sum(dim=0)).sum(dim=0).mean())
    # g d = d F d / rate at the best d, and the divergence is d F d / 2
    gain = float((found.by_logit[1:] * (step @ units.T)).sum())
    assert divergence == pytest.approx(0.5 * 1e-2 * gain, rel=2e-2)
    shrunk = natural_step(units, found, start, rate=1e-2, decay=1e5)
    np.testing.assert_allclose(shrunk, found.by_logit[1:] @ units / 1e5, rtol=1e-2)


def test_values_are_those_of_a_router_that_draws():
    game = Game(bank_part(), mode="regenerate", cost_unit=UNIT)
    model = ExactPolicyGradient("MlpPolicy", RoutingVecEnv(1, game.config), seed=5)
    tree = DecisionTree(game, th.float64)
    network = scored(model)
    logits = th.log(th.as_tensor(network.probabilities(tree.observation.numpy()))).T
    worth = tree.worth(chances_of(logits, th.zeros(1, dtype=th.float64), tree.mask))
    right, cost = expected_outcomes(network, game)
    np.testing.assert_allclose(worth.right[:, 0].numpy(), right, atol=1e-9)
    np.testing.assert_allclose(worth.cost[:, 0].numpy(), cost, atol=1e-9)


def test_networks_follow_the_gradient_of_finite_differences(tree):
    """One step of AdamW without decay is as long as its rate in every weight, in the direction of the gradient."""
    inputs = th.randn(len(tree), 5, generator=th.Generator().manual_seed(3), dtype=th.float64)
    learns = learner(Candidate(4, 0.0, 1e-3), inputs, policies=2, models=len(tree.mask), seed=0)
    by_logit = [random_logits(tree, seed) for seed in range(2)]
    weight = th.ones(tree.problems, dtype=th.float64)
    flat = th.zeros(1, dtype=th.float64)
    slopes = [replace(slope(tree, one, flat, weight), by_logit=one) for one in by_logit]
    weights = (learns.hidden, learns.bias, learns.output)
    before = [weight.clone() for weight in weights]

    def gain():
        return sum(float((own * logits).sum()) for own, logits in zip(by_logit, learns.logits(), strict=True))

    numeric = []
    for weight in weights:
        for place in np.ndindex(*weight.shape):
            ends = []
            for sign in (1, -1):
                weight[place] += sign * 1e-6
                ends.append(gain())
                weight[place] -= sign * 1e-6
            numeric.append((ends[0] - ends[1]) / 2e-6)
    learns.logits()
    learns.step(slopes)
    gradient = np.concatenate([-weight.grad.numpy().ravel() for weight in weights])
    np.testing.assert_allclose(gradient, numeric, rtol=1e-5, atol=1e-6)
    moved = np.concatenate([(weight - old).numpy().ravel() for weight, old in zip(weights, before, strict=True)])
    np.testing.assert_allclose(moved, 1e-3 * np.sign(gradient), rtol=1e-3)


@pytest.mark.parametrize("candidate", [LINEAR, NETWORK])
def test_several_policies_as_one(candidate):
    inputs = th.randn(7, 5, generator=th.Generator().manual_seed(3))
    learns = learner(Candidate(*candidate), inputs, policies=3, models=3, seed=0)
    if candidate is LINEAR:
        learns.weight += th.randn(learns.weight.shape, generator=th.Generator().manual_seed(4))
    hidden, bias, output, offset = learns.together()
    assert offset is None
    units = inputs if hidden is None else th.tanh(inputs @ hidden.T + bias)
    logits = learns.logits()
    assert logits.shape == (3, 3, 7)
    assert not logits[:, 0].any()
    np.testing.assert_allclose(units @ output.T, logits.mean(dim=0).T, atol=1e-6)


def test_what_is_learned_from_is_learned():
    tree = DecisionTree(Game(bank_part(size=60), mode="regenerate", cost_unit=UNIT))
    training = FoldTraining(tree, tree.observation, assign_folds(tree.problems, 3, 0), 5)
    run = training.run(Candidate(0, 1e-4, 4.0), seed=0, steps=6, patience=7)
    looks = [progress.accuracy for progress, _ in run]
    assert len(looks) == 7
    assert looks[-1] > looks[1] > looks[0] + 0.02


def test_held_out_problems_move_no_policy():
    tree = DecisionTree(Game(bank_part(size=12), cost_unit=UNIT), th.float64)
    fold = assign_folds(tree.problems, 3, 0)
    training = FoldTraining(tree, tree.observation, fold, 4)
    for policy in range(3):
        found = slope(tree, random_logits(tree), th.zeros(4, dtype=th.float64), training._weight[:, policy])
        held = fold[tree.problem] == policy
        assert not found.by_logit[:, held].any()
        assert found.by_logit[:, ~held].any()


def test_held_out_problems_are_played_by_who_has_not_seen_them(tree):
    training = FoldTraining(tree, tree.observation, assign_folds(tree.problems, 3, 0), 4)
    one = random_logits(tree)
    fold = training._fold[tree.problem]
    # where a policy has seen the problem it may order its states as it likes: only the scale of its tilts is left
    others = th.stack([th.where(fold == policy, one, one.mean(dim=1, keepdim=True)) for policy in range(3)])
    alike = th.stack([th.where(fold == policy, one, others[policy]) for policy in range(3)])
    assert training._held_out(others) == training._held_out(alike)
    assert training._held_out(th.stack([one] * 3)) != training._held_out(th.stack([-one] * 3))


def test_the_greatest_tilted_logit_is_taken_where_it_is_allowed(tree):
    training = FoldTraining(tree, tree.observation, assign_folds(tree.problems, 3, 0), 4)
    logits, tilt = (
        random_logits(tree),
        th.randn(len(tree), 5, dtype=th.float64, generator=th.Generator().manual_seed(1)),
    )
    ranks = th.linspace(0, 1, len(logits), dtype=th.float64)[:, None, None]
    tilted = (logits.unsqueeze(2) - ranks * tilt).masked_fill(~tree.mask.unsqueeze(2), -np.inf)
    taken = training._greatest(logits, tilt)
    assert th.equal(taken.argmax(dim=0), tilted.argmax(dim=0))
    assert th.equal(taken.sum(dim=0), th.ones_like(tilt))
