"""Teachers of the exact learner: products of inputs, and a network of plain inputs that follows."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch as th
from bank_parts import bank_part
from fake_sources import TreeSource

from gym_stepwise_routing.agents.exact import ExactPolicyGradient
from gym_stepwise_routing.agents.exact.decision_tree import DecisionTree
from gym_stepwise_routing.agents.exact.folds import FoldTraining, assign_folds
from gym_stepwise_routing.agents.exact.learners import Candidate
from gym_stepwise_routing.agents.exact.teachers import (
    Opinion,
    Schooling,
    _in_units,
    _student,
    learn_from,
    with_products,
)
from gym_stepwise_routing.agents.limits import mean_outcome
from gym_stepwise_routing.agents.scores import scored
from gym_stepwise_routing.agents.training import Checkpoints, hyperparameters, train
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.policy_network import PolicyNetwork

UNIT = "large_tokens"
LINEAR, NETWORK = (0, 0.1, 4.0), (6, 0.3, 0.02)
SCHOOLING = Schooling(candidates=[Candidate(*LINEAR), Candidate(*NETWORK)], folds=3, budgets=3, steps=10, patience=2)


def quick(**algorithm):
    settings = hyperparameters("exact", "taught")
    few = {"folds": 3, "candidates": [LINEAR, NETWORK], "products": 2, "teachers": 1}
    return replace(settings, total_timesteps=20, algorithm=settings.algorithm | few | algorithm)


@pytest.fixture(scope="module")
def tree():
    return DecisionTree(Game(bank_part(size=40), mode="regenerate", cost_unit=UNIT))


@pytest.fixture(scope="module")
def inputs(tree):
    seen = tree.observation
    return (seen - seen.mean(dim=0)) / seen.std(dim=0).clamp(min=1e-3)


def inputs_of(rows, features, seed=0):
    return th.randn(rows, features, generator=th.Generator().manual_seed(seed))


def test_products_are_appended_on_one_scale():
    plain = inputs_of(50, 4)
    weight = th.linspace(0.0, 1.0, 50)
    more = with_products(plain, weight, [3, 1])
    assert th.equal(more[:, :4], plain)
    assert more.shape == (50, 7)
    expected = th.stack([plain[:, 3] ** 2, plain[:, 3] * plain[:, 1], plain[:, 1] ** 2])
    for got, product in zip(more[:, 4:].T, expected, strict=True):
        assert float((weight * got).sum() / weight.sum()) == pytest.approx(0.0, abs=1e-5)
        assert float((weight * got**2).sum() / weight.sum()) == pytest.approx(1.0, abs=1e-4)
        assert float(np.corrcoef(got, product)[0, 1]) == pytest.approx(1.0, abs=1e-5)


def test_a_student_says_what_it_was_taught_and_keeps_the_means():
    seen = inputs_of(2000, 5)
    target = th.stack([th.zeros(2000), 3.0 + seen[:, 0] + seen[:, 1] * seen[:, 2], -7.0 - seen[:, 3]])
    weight = th.ones(2000)
    hidden, bias, output, offset = _student(seen, target, weight, 0)
    said = output @ th.tanh(seen @ hidden.T + bias).T + offset[:, None]
    assert not said[0].any()
    left = (said - target)[1:]
    assert float((left.var(dim=1) / target[1:].var(dim=1)).max()) < 0.1
    np.testing.assert_allclose(said.mean(dim=1), target.mean(dim=1), atol=0.1)


def test_an_opinion_is_that_of_the_best_candidate_and_step(tree, inputs):
    opinion, _ = SCHOOLING.opinion(tree, inputs, 1)
    fold = assign_folds(tree.problems, 3, 1)
    training = FoldTraining(tree, inputs, fold, 3)
    looks = [
        (progress.held_out, learns.logits().clone())
        for candidate in SCHOOLING.candidates
        for progress, learns in training.run(candidate, seed=1, steps=10, patience=2)
    ]
    _, logits = max(looks, key=lambda look: look[0])
    np.testing.assert_allclose(opinion.logits, logits.mean(dim=0))
    for policy in range(3):
        held = fold[tree.problem] == policy
        np.testing.assert_allclose(opinion.unseen[:, held], logits[policy][:, held])


def test_the_plain_policy_counts_as_much_as_all_teachers(tree, inputs):
    plain, _ = SCHOOLING.opinion(tree, inputs, 1)
    ways = [learn_from(SCHOOLING, tree, inputs, one, products=3, teachers=2, seed=1)[1] for one in (plain, plain)]
    np.testing.assert_array_equal(ways[0].logits, ways[1].logits)
    weight = tree.by_coin(1.0 / tree.problems)
    teachers = 2.0 * (ways[0].logits - 0.5 * _in_units(plain, weight).logits)
    assert float((teachers - _in_units(plain, weight).logits).abs().max()) > 0.01
    turned = replace(plain, logits=-plain.logits, unseen=-plain.unseen)
    other = learn_from(SCHOOLING, tree, inputs, turned, products=3, teachers=2, seed=1)[1]
    np.testing.assert_allclose(ways[0].logits - other.logits, _in_units(plain, weight).logits, atol=1e-5)


@pytest.mark.parametrize("larger", [1.0, -0.37, 3.0])
def test_constant_logits_stay_as_they_are(larger):
    """What rounding leaves of their spread is no unit: divided by it they were in the millions."""
    logits = th.stack([th.zeros(5000), th.full((5000,), larger)])
    weight = th.rand(5000, generator=th.Generator().manual_seed(0))
    kept = _in_units(Opinion(logits, 2 * logits), weight)
    assert th.equal(kept.logits, logits)
    assert th.equal(kept.unseen, 2 * logits)
    logits[1] += th.linspace(-1.0, 1.0, 5000) * 3**0.5
    spread = _in_units(Opinion(logits, logits), th.ones(5000)).logits[1].std()
    assert float(spread) == pytest.approx(1.0, abs=1e-3)


def test_a_limit_is_kept_where_no_input_says_anything():
    """Of three models a constant policy is learned, since the middle one is worth more than a mix of the others."""
    source = TreeSource(8, models=3, problems=60, horizon=1)
    game = GameConfig(source, cost_unit="flops", observation=("progress",))
    model = train("exact", seed=1, game=game, settings=replace(quick(products=1), total_timesteps=60), limit=0.6)
    assert model.chosen.width
    network, played = scored(model), model.env.env.game
    assert not model.policy.extract_features(DecisionTree(played).observation).any()
    assert mean_outcome(network, played)[1] == pytest.approx(0.6, abs=1e-3)


def test_what_is_taught_is_one_network_of_plain_inputs(tmp_path):
    game = GameConfig(bank_part(size=40), mode="regenerate", cost_unit=UNIT)
    model = train("exact", seed=1, game=game, settings=quick(), limit=0.4, constraint="cost_limit")
    untaught = train("exact", seed=1, game=game, settings=quick(products=0), limit=0.4, constraint="cost_limit")
    network = scored(model)
    seen = DecisionTree(model.env.env.game).observation.numpy()
    assert network.features == seen.shape[1]
    assert [len(layer.weight) for layer in network.dense] == [64, 2]
    network.save(tmp_path / "router.npz")
    np.testing.assert_array_equal(PolicyNetwork.load(tmp_path / "router.npz").scores(seen), network.scores(seen))
    assert np.abs(network.scores(seen) - scored(untaught).scores(seen)).max() > 0.01
    model.save(tmp_path / "model.zip")
    again = type(model).load(tmp_path / "model.zip")
    np.testing.assert_allclose(scored(again).scores(seen), network.scores(seen), atol=1e-6)


def test_a_checkpoint_holds_no_logits_of_the_tree(tmp_path):
    game = GameConfig(bank_part(size=20), cost_unit=UNIT)
    train("exact", seed=1, game=game, settings=quick(), limit=0.4, checkpoints=Checkpoints(tmp_path, 5))
    saved = sorted(tmp_path.glob("*.zip"))
    assert len(saved) == 3
    for path in saved:
        with zipfile.ZipFile(path) as file:
            data = file.read("data")
        assert "_opinion" not in json.loads(data)
        assert len(data) < 20_000  # 14,000 without them, of 361 states
        assert ExactPolicyGradient.load(path).chosen == Candidate(*LINEAR)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"products": True}, r"products=True; allowed: an integer >= 0"),
        ({"products": 2.0}, r"products=2.0; allowed: an integer >= 0"),
        ({"products": -1}, r"products=-1; allowed: an integer >= 0"),
        ({"teachers": 0}, r"teachers=0; allowed: an integer >= 1"),
        ({"candidates": [NETWORK]}, r"products=2 with no linear candidate; allowed: one of width 0"),
        ({"products": 1000}, r"products=1000; allowed: 0 to 37, the number of inputs"),
    ],
)
def test_bad_settings_are_named_before_the_training(changes, message):
    game, steps = GameConfig(bank_part(), cost_unit=UNIT), []
    with pytest.raises(ValueError, match=message):
        train("exact", seed=1, game=game, settings=quick(**changes), limit=0.4, progress=steps.append)
    assert not steps
