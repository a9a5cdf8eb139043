"""Minari data sets: what was played comes back, its environment is found again, and others are refused."""

from __future__ import annotations

import json

import gymnasium as gym
import numpy as np
import pytest

from gym_stepwise_routing.baselines import ConfidenceThreshold
from gym_stepwise_routing.baselines.oracle import oracle
from gym_stepwise_routing.evaluation.evaluate import evaluate
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.sources.simulator import SimulatorSource
from gym_stepwise_routing.sources.simulator.to_bank import export_bank
from gym_stepwise_routing.types import VERSION

minari = pytest.importorskip("minari", reason="needs minari[create,hdf5], which no extra of this package brings")
for _needed in ("jax", "h5py"):
    pytest.importorskip(_needed, reason="needs minari[create,hdf5], which no extra of this package brings")

from gym_stepwise_routing.comparison import minari_datasets  # noqa: E402
from gym_stepwise_routing.comparison.minari_datasets import export_minari, load_minari  # noqa: E402

MATH = GameConfig("math500-qwen2.5-coder", split="calibration", mode="escalate", cost_unit="large_tokens")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(autouse=True)
def datasets_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))


def episodes_of(dataset):
    return list(dataset.iterate_episodes())


@pytest.mark.parametrize("policy", ["largest", "oracle", ConfidenceThreshold("p_mean")], ids=str)
def test_a_data_set_holds_what_the_evaluation_plays(policy):
    dataset = export_minari(MATH, policy)
    expected = {
        "largest": lambda: evaluate(minari_datasets.AlwaysLargest(), MATH),
        "oracle": lambda: oracle(Game(MATH)),
    }.get(policy if isinstance(policy, str) else "", lambda: evaluate(policy, MATH))()
    episodes = episodes_of(dataset)
    assert len(episodes) == len(expected)
    assert [episode.rewards.sum() == 1 for episode in episodes] == expected.right.tolist()
    np.testing.assert_allclose([episode.infos["spent"][-1] for episode in episodes], expected.cost)
    np.testing.assert_allclose([episode.infos["cost"][1:].sum() for episode in episodes], expected.cost)
    for episode, decided in zip(episodes, expected.decisions, strict=True):
        assert episode.actions.tolist() == decided[decided >= 0].tolist()
        assert episode.terminations.tolist() == [False] * (len(episode.actions) - 1) + [True]
        assert not episode.truncations.any()
        assert len(episode.observations) == len(episode.rewards) + 1


def test_ids_metadata_and_the_environment_are_found_again():
    made = export_minari(MATH, "random", passes=2, seed=4)
    dataset = load_minari("stepwise-routing/math500-qwen2_5-coder/escalate-random-v0")
    assert dataset.total_episodes == made.total_episodes == 2 * len(Game(MATH).problems)
    halves = np.split(np.array([str(episode.actions) for episode in episodes_of(dataset)]), 2)
    assert (halves[0] != halves[1]).any()
    env = dataset.recover_environment()
    assert env.unwrapped.game.config.mode == "escalate"
    assert env.observation_space == dataset.observation_space
    assert dataset.storage.metadata["requirements"] == [f"gym-stepwise-routing=={VERSION}"]
    score = minari.get_normalized_score(dataset, np.array([oracle(Game(MATH)).accuracy]))
    assert score == pytest.approx([1.0])


def test_hindsight_shows_each_episode_the_budget_that_it_needed():
    dataset = export_minari(MATH, "random", hindsight=True)
    assert dataset.spec.dataset_id.endswith("escalate-random-budgets-v0")
    names = Game(MATH).spec.feature_names
    left, known = names.index("budget_left"), names.index("budget_known")
    spent = []
    for episode in episodes_of(dataset):
        spent.append(episode.infos["spent"][-1])
        assert episode.infos["budget"].tolist() == [max(spent[-1], 1e-6)] * len(episode.observations)
        assert episode.observations[0, left] == np.float32(episode.infos["budget"][0])
        assert episode.observations[:, known].all()
        assert abs(episode.observations[-1, left]) <= 1e-5
        assert not episode.infos["bankrupt"].any()
    assert len(set(spent)) > 10
    assert load_minari(dataset.spec.dataset_id).recover_environment().unwrapped.game.budget[1] == max(spent)


def test_a_simulated_data_set_says_so(tmp_path):
    bank = export_bank(SimulatorSource("gsm8k-like", problems=30), tmp_path / "simulated", seed=1)
    dataset = export_minari(GameConfig(str(bank.path), cost_unit="large_tokens"), "smallest")
    assert dataset.storage.metadata["description"].startswith("SIMULATED")
    assert all(episode.infos["simulated"].all() for episode in episodes_of(dataset))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": ["depth"]}, r"is of another environment: features=\['depth'\], here"),
        ({"source_hash": "0" * 64}, "is of another environment: source_hash='0000"),
    ],
)
def test_a_data_set_of_another_environment_is_refused(change, message):
    dataset = export_minari(MATH, "largest")
    told = json.loads(dataset.storage.metadata["stepwise_routing_game"])
    dataset.storage.update_metadata({"stepwise_routing_game": json.dumps(told | change)})
    with pytest.raises(ValueError, match=message):
        load_minari(dataset.spec.dataset_id)


def test_a_data_set_of_a_version_that_is_not_registered_is_refused(monkeypatch):
    dataset = export_minari(MATH, "largest")

    def missing(*_, **__):
        raise gym.error.VersionNotFound("Environment version v7 for `StepwiseRouting` doesn't exist")

    monkeypatch.setattr(minari.MinariDataset, "recover_environment", missing)
    with pytest.raises(ValueError, match="its environment cannot be made here: Environment version v7"):
        load_minari(dataset.spec.dataset_id)


def test_other_peoples_data_sets_are_refused():
    collector = minari.DataCollector(gym.make("CartPole-v1"))
    collector.reset(seed=0)
    collector.step(0)
    collector.create_dataset("cartpole/short-v0")
    with pytest.raises(ValueError, match="was not written by export_minari"):
        load_minari("cartpole/short-v0")


@pytest.mark.parametrize(
    ("config", "arguments", "message"),
    [
        (MATH, {"policy": "best"}, "policy='best' is not known; allowed: 'random', 'smallest', 'largest', 'oracle'"),
        (MATH, {"policy": "random", "passes": 0}, "passes=0; allowed: >= 1"),
        (GameConfig("math-qwen2.5"), {"policy": "random"}, "source='math-qwen2.5' is random; allowed: a bank"),
        (GameConfig(budget=0.5), {"policy": "random", "hindsight": True}, r"hindsight=True with budget=0\.5"),
        (GameConfig(Game(MATH).source), {"policy": "random"}, "allowed: a name or path as text"),
    ],
)
def test_what_cannot_be_exported_is_said(config, arguments, message):
    with pytest.raises(ValueError, match=message):
        export_minari(config, **arguments)
