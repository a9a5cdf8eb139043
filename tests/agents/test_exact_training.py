"""Training by exact policy gradients: folds, limits, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch as th
from bank_parts import bank_part

from gym_stepwise_routing.agents.exact import ExactPolicyGradient
from gym_stepwise_routing.agents.exact.decision_tree import DecisionTree
from gym_stepwise_routing.agents.exact.folds import FoldTraining, assign_folds
from gym_stepwise_routing.agents.exact.learners import Candidate
from gym_stepwise_routing.agents.limits import mean_outcome
from gym_stepwise_routing.agents.run_training import train_run
from gym_stepwise_routing.agents.scores import scored
from gym_stepwise_routing.agents.training import hyperparameters, train
from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.envs.sb3 import RoutingVecEnv
from gym_stepwise_routing.game.config import DEFAULT_BANK, GameConfig
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.sources.subset import Part

UNIT = "large_tokens"
LINEAR, NETWORK = (0, 0.1, 4.0), (6, 0.3, 0.02)


def quick(**algorithm):
    settings = hyperparameters("exact")
    return replace(settings, total_timesteps=40, algorithm=settings.algorithm | {"folds": 3} | algorithm)


@pytest.fixture(scope="module")
def trained():
    game = GameConfig(bank_part(size=150), mode="regenerate", cost_unit=UNIT)
    return train("exact", seed=1, game=game, settings=quick(candidates=[LINEAR, NETWORK]))


def test_training_beats_a_coin_of_the_same_cost_where_it_learned(trained):
    game = trained.env.env.game
    accuracy, cost = mean_outcome(scored(trained), game)
    tree = DecisionTree(game)
    (low, worst), (high, best) = (
        (float(end.cost.mean()), float(end.right.mean()))
        for end in (tree.worth(tree.constant(model)) for model in (0, -1))
    )
    coin = worst + (best - worst) * (cost - low) / (high - low)
    assert low < cost < high
    assert trained.chosen_steps > 0
    assert accuracy > coin + 0.003


@pytest.mark.parametrize("candidate", [LINEAR, NETWORK])
def test_the_policy_is_the_mean_of_those_of_the_folds(candidate):
    game = GameConfig(bank_part(), cost_unit=UNIT)
    model = train("exact", seed=1, game=game, settings=quick(candidates=[candidate]))
    tree = DecisionTree(model.env.env.game)
    inputs = model.policy.extract_features(tree.observation)
    training = FoldTraining(tree, inputs, assign_folds(tree.problems, 3, 1), 5)
    looks = {
        progress.step: (learns.logits().mean(dim=0)[1], progress.tilt[:, 2].mean())
        for progress, learns in training.run(model.chosen, seed=1, steps=40, patience=2)
    }
    larger, tilt = looks[model.chosen_steps]
    chances = np.asarray(scored(model).probabilities(tree.observation.numpy()))
    moved = np.log(chances[:, 1] / chances[:, 0]) - model.sharpness * np.asarray(larger - tilt)
    np.testing.assert_allclose(moved, moved.mean(), atol=2e-4 * model.sharpness)  # one tilt, to the middle of the costs


def test_folds_choose_width_and_steps(trained):
    held_out = dict(trained.held_out)
    assert set(held_out) == {Candidate(*LINEAR), Candidate(*NETWORK)}
    assert held_out[trained.chosen] == max(held_out.values())
    seen = len(trained.policy.features_extractor.centre)
    assert len(trained.policy.action_net.weight.T) == (3 * trained.chosen.width or seen)
    # the same training again, looked at step by step: the steps are those with the best held-out accuracy
    game = trained.env.env.game
    tree = DecisionTree(game)
    inputs = trained.policy.extract_features(tree.observation)
    training = FoldTraining(tree, inputs, assign_folds(tree.problems, 3, 1), 5)
    run = training.run(trained.chosen, seed=1, steps=20, patience=2)
    looks = [progress for progress, _ in run]
    best = max(looks, key=lambda look: look.held_out)
    assert (best.step, best.held_out) == (trained.chosen_steps, held_out[trained.chosen])


def test_sharpness_is_the_best_on_the_problems_left_out_and_changes_no_order(trained):
    tree = DecisionTree(trained.env.env.game)
    inputs = trained.policy.extract_features(tree.observation)
    training = FoldTraining(tree, inputs, assign_folds(tree.problems, 3, 1), 5)
    larger = 1.5 * th.randn(3, len(tree), generator=th.Generator().manual_seed(0))
    logits = th.stack([th.zeros(3, len(tree)), larger], dim=1)
    by_factor = {factor: training._held_out(logits, factor) for factor in (1.0, 2.0)}
    largest = float(logits.mean(dim=0).abs().max())
    assert 2.5 < largest < 5.0  # a factor of 2 keeps it within the tilts, 4 does not
    assert training.sharpness(logits, 0.0) == max(by_factor, key=by_factor.get)
    assert training.sharpness(10 * logits, 0.0) == 1.0
    # ever sharper logits are the greatest logit
    assert training._held_out(logits, 1e4) == pytest.approx(training._held_out(logits), abs=1e-4)


def test_a_run_keeps_its_limit_and_plays_from_its_file(tmp_path):
    game = GameConfig(bank_part(), cost_unit=UNIT)
    run = train_run("exact", tmp_path / "run", seed=0, game=game, settings=quick(candidates=[NETWORK]), limit=0.4)
    assert run.manifest.limit_kept
    assert run.manifest.cost == pytest.approx(0.4, abs=1e-4)
    assert mean_outcome(run.network, Game(game))[1] == pytest.approx(run.manifest.cost)


def test_a_floor_is_kept_by_the_same_policy():
    game = GameConfig(bank_part(), cost_unit=UNIT)
    model = train(
        "exact", seed=0, game=game, settings=quick(candidates=[NETWORK]), limit=0.5, constraint="accuracy_floor"
    )
    assert mean_outcome(scored(model), Game(game))[0] == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("variant", [None, "taught"])
def test_without_a_limit_it_costs_what_lies_between_the_constants(variant):
    """Sharpened and drawn step by step, the policy had a cost of 0.01 in restart."""
    settings = hyperparameters("exact", variant)
    own = settings.algorithm | {"folds": 3, "candidates": [LINEAR, NETWORK]} | ({"teachers": 1} if variant else {})
    game = GameConfig(bank_part(size=150), mode="restart", cost_unit=UNIT)
    model = train("exact", seed=1, game=game, settings=replace(settings, total_timesteps=20, algorithm=own))
    assert model.sharpness > 1
    assert mean_outcome(scored(model), model.env.env.game)[1] == pytest.approx(0.5, abs=1e-3)


def test_a_limit_below_always_smallest_is_warned_of_and_told(tmp_path):
    game = GameConfig(bank_part(), cost_unit="flops")
    with pytest.warns(UserWarning, match="what always-smallest costs"):
        run = train_run("exact", tmp_path / "run", seed=0, game=game, settings=quick(candidates=[NETWORK]), limit=0.01)
    assert run.manifest.limit_kept is False


def test_with_fewer_problems_than_folds_each_is_one():
    fold = assign_folds(3, 5, 0)
    assert sorted(fold.tolist()) == [0, 1, 2]
    assert np.bincount(assign_folds(11, 5, 0).numpy()).tolist() == [3, 2, 2, 2, 2]


def test_folds_without_a_right_answer_leave_a_policy_as_it_began():
    problems = bank_part(size=1).problems("train")
    unsolved = bank_part(size=1, solved=False).problems("train")
    source = Part(Bank.open(DEFAULT_BANK), {"train": np.union1d(problems, unsolved)})
    game = Game(source, cost_unit=UNIT)
    tree = DecisionTree(game)
    training = FoldTraining(tree, tree.observation, assign_folds(2, 2, 0), 4)
    run = training.run(Candidate(0, 0.1, 1.0), seed=0, steps=1, patience=2)
    *_, (_, learns) = run
    solved_by_problem = tree.worth(tree.constant(-1)).right[:, 0] + tree.worth(tree.constant(0)).right[:, 0]
    assert int((solved_by_problem > 0).sum()) <= 1
    assert sorted(bool(policy.any()) for policy in learns.weight) == [False, True]


@pytest.mark.parametrize(
    ("source", "changes", "message"),
    [
        ("gsm8k-like", {}, "is random: not every branch is known"),
        (DEFAULT_BANK, {"budget": 0.5, "hard_budget": True}, "hard_budget=True; allowed: None, or one budget"),
        (DEFAULT_BANK, {"budget": (0.1, 0.9)}, r"budget=\(0.1, 0.9\)"),
        ("one problem", {}, "1 train problem; allowed: at least 2"),
        ("unsolved", {}, "no recorded answer is right"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(source, changes, message):
    sources = {"one problem": lambda: bank_part(size=1), "unsolved": lambda: bank_part(size=6, solved=False)}
    game = GameConfig(sources.get(source, lambda: source)(), cost_unit=UNIT, **changes)
    with pytest.raises(ValueError, match=message):
        train("exact", seed=0, game=game, settings=quick())


def test_a_largest_model_that_costs_no_more_is_refused():
    tree = DecisionTree(Game(bank_part(size=4), cost_unit=UNIT))
    tree._gain[:, :, 1] = 0.0
    with pytest.raises(ValueError, match="a cost unit in which the largest model costs more"):
        FoldTraining(tree, tree.observation, assign_folds(4, 2, 0), 4)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("budgets", 0),
        ("folds", 1),
        ("width", {"candidates": [(-1, 0.1, 4.0)]}),
        ("candidates", {"candidates": [(0, 0.1)]}),
        ("candidates", []),
        ("decay", {"candidates": [(0, 0.0, 4.0)]}),
        ("rate", {"candidates": [(4, 0.0, 0.0)]}),
        ("patience", 0),
        ("limit", -1.0),
        ("constraint", "time"),
        ("activation_fn", {"policy_kwargs": {"activation_fn": th.nn.ReLU}}),
        ("share_features_extractor", {"policy_kwargs": {"share_features_extractor": False}}),
        ("budgets", True),
    ],
)
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(ValueError, match=name):
        ExactPolicyGradient(
            "MlpPolicy", RoutingVecEnv(1, cost_unit=UNIT), **(value if isinstance(value, dict) else {name: value})
        )


def test_a_training_that_goes_on_is_refused(trained):
    with pytest.raises(ValueError, match="keeps no state to go on from"):
        trained.learn(10, reset_num_timesteps=False)
