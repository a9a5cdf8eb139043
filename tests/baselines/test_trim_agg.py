"""TRIM-Agg: its five features, and that it learns where there is something to learn."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from fake_sources import TreeSource
from test_trim_pomdp import perfect_game

from gym_stepwise_routing.baselines import AlwaysLargest, AlwaysSmallest
from gym_stepwise_routing.baselines.trim_agg import TrimAgg, best_of_seeds
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.evaluation.evaluate import play
from gym_stepwise_routing.game.game import Game

BLOCKS = ("progress", "verifier")


def test_features_are_the_papers():
    game = Game(TreeSource(0, verifier=True), mode="regenerate", observation=BLOCKS)
    router = TrimAgg(0.1)
    router.bind(game.spec)
    table, names = game.table, game.spec.feature_names
    features = router._aggregates(table.observation)
    for column, name in enumerate(("score_min", "score_product", "score")):
        np.testing.assert_array_equal(features[:, column], table.observation[:, names.index(name)])
    drafted = table.draft >= 0
    tokens = game.source.tokens[table.draft[drafted]]
    np.testing.assert_allclose(features[drafted, 3], tokens / 300, rtol=1e-5)
    np.testing.assert_allclose(features[:, 4], table.depth / 30, rtol=1e-6)


def test_it_beats_both_constants_with_a_perfect_verifier():
    source = perfect_game()
    train, test = (
        Game(source, split=split, mode="regenerate", cost_unit="large_tokens", observation=BLOCKS)
        for split in ("train", "test")
    )
    price = 0.3
    router = TrimAgg(price, steps=8_000).fit(train)
    found, *constants = (play(each, test) for each in (router, AlwaysSmallest(), AlwaysLargest()))
    worth = max(each.accuracy - price * each.mean_cost for each in constants)
    assert found.accuracy - price * found.mean_cost > worth + 0.05
    scores = router.scores(test.table.observation)
    assert scores.shape == (len(test.table), 1)
    assert ((scores >= 0) & (scores <= 1)).all()


def test_training_is_reproducible():
    game = Game(TreeSource(0, verifier=True), mode="regenerate", observation=BLOCKS)
    first, again, other = (
        TrimAgg(0.1, steps=1_000, seed=seed).fit(game).scores(game.table.observation) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_saved_policy_scores_as_the_trained_one(tmp_path):
    """As Stable-Baselines3's own network does, to float32's precision."""
    game = Game(TreeSource(0, verifier=True), mode="regenerate", observation=BLOCKS)
    trained = TrimAgg(0.1, steps=1_000).fit(game)
    trained.save(tmp_path / "policy.npz")
    restored = TrimAgg(0.1).restore(tmp_path / "policy.npz")
    restored.bind(game.spec)
    scores = trained.scores(game.table.observation)
    np.testing.assert_array_equal(restored.scores(game.table.observation), scores)
    assert restored.trained_on == trained.trained_on
    weights = {name: torch.as_tensor(array).float() for name, array in trained._weights.items()}
    x = torch.as_tensor(trained._aggregates(game.table.observation))
    x = torch.nn.functional.linear(x, weights["hidden_weight"], weights["hidden_bias"])
    x = torch.tanh(torch.nn.functional.layer_norm(x, (64,), weights["norm_weight"], weights["norm_bias"]))
    x = torch.softmax(torch.nn.functional.linear(x, weights["action_weight"], weights["action_bias"]), 1)
    np.testing.assert_allclose(scores[:, 0], x[:, 1], atol=1e-5)


def test_what_is_no_saved_policy(tmp_path):
    with pytest.raises(ValueError, match=r"trim-agg-0.1 has not been trained; allowed: fit\(\) first"):
        TrimAgg(0.1).save(tmp_path / "policy.npz")
    with pytest.raises(ValueError, match=r"none.npz is no policy of TRIM-Agg"):
        TrimAgg(0.1).restore(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", trained_on="{}", weights=np.zeros(3))
    with pytest.raises(ValueError, match=r"other.npz holds \['weights'\]; allowed: "):
        TrimAgg(0.1).restore(tmp_path / "other.npz")


def test_the_seed_that_does_best_on_train_is_kept():
    game = Game(perfect_game(), mode="regenerate", cost_unit="large_tokens", observation=BLOCKS)
    price, seeds = 0.3, (0, 1, 2)
    played = [play(TrimAgg(price, steps=1_500, seed=seed).fit(game), game) for seed in seeds]
    worth = [each.accuracy - price * each.mean_cost for each in played]
    assert len(set(worth)) > 1
    assert best_of_seeds(price, game, seeds, steps=1_500).seed == int(np.argmax(worth))


def test_what_it_needs():
    with pytest.raises(NotApplicableError, match="mode 'route' has none"):
        TrimAgg(0.1).fit(Game(TreeSource(0, verifier=True), observation=BLOCKS))
    with pytest.raises(ValueError, match=r"price=-0.1; allowed: >= 0"):
        TrimAgg(-0.1)
    with pytest.raises(ValueError, match="steps=0; allowed: an integer >= 1"):
        TrimAgg(0.1, steps=0)


def test_a_trained_router_can_be_copied():
    """Whoever verifies an entry plays copies of its router."""
    game = Game("math-qwen2.5", split="train", mode="regenerate", cost_unit="large_tokens", observation=BLOCKS)
    router = TrimAgg(0.3, steps=1).fit(game)
    observation = np.random.default_rng(0).random((50, len(game.spec.feature_names)), dtype=np.float32)
    np.testing.assert_array_equal(copy.deepcopy(router).scores(observation), router.scores(observation))
