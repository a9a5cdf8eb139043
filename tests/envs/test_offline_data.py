"""Offline data: Minari's data sets give back what was played, and d3rlpy's learners see all of it."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from info_types import INFOS

from gym_stepwise_routing.envs.wrappers import FinalTruncation

PENALTY_FREE = {"cost_unit": "large_tokens", "budget": 0.6, "hard_budget": True, "masked_action": "project"}
WITHOUT = "needs {}, which no extra of this package brings"


def make(**game):
    return gym.make("StepwiseRouting-v0", **game)


def collected(tmp_path, monkeypatch, data_format, *, final=True):
    """A data set of four episodes, one of which always goes beyond its budget, and the steps that were played."""
    minari = pytest.importorskip("minari", reason=WITHOUT.format("minari[create]"))
    for needed in ("jax", {"hdf5": "h5py", "arrow": "pyarrow"}[data_format]):
        pytest.importorskip(needed, reason=WITHOUT.format("minari[create,hdf5]"))
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    plain = make(**PENALTY_FREE)
    env = FinalTruncation(plain) if final else plain
    collector = minari.DataCollector(env, record_infos=True, data_format=data_format)
    rng = np.random.default_rng(0)
    played = []
    for episode in range(6):
        steps = [collector.reset(seed=episode)]
        while len(steps) == 1 or not (steps[-1][2] or steps[-1][3]):
            steps.append(collector.step(int(rng.integers(2))))
        played.append(steps)
    name = f"routing{data_format}-v0"
    collector.create_dataset(name, description="Random play of the bundled bank.")
    return minari.load_dataset(name), played


@pytest.mark.parametrize("data_format", ["hdf5", "arrow"])
def test_minari_returns_what_was_played_in_both_formats(tmp_path, monkeypatch, data_format):
    dataset, played = collected(tmp_path, monkeypatch, data_format)
    episodes = list(dataset.iterate_episodes())
    assert len(episodes) == len(played)
    assert any(steps[-1][4]["bankrupt"] for steps in played)
    for episode, steps in zip(episodes, played, strict=True):
        np.testing.assert_array_equal(episode.observations, [step[0] for step in steps])
        np.testing.assert_array_equal(episode.rewards, [step[1] for step in steps[1:]])
        assert episode.terminations.tolist() == [False] * (len(steps) - 2) + [True]
        assert not episode.truncations.any()
        infos = [steps[0][1], *(step[4] for step in steps[1:])]
        assert {name: values.dtype.type for name, values in episode.infos.items()} == INFOS
        for name, values in episode.infos.items():
            np.testing.assert_array_equal(values, [info[name] for info in infos], err_msg=name)
    again = dataset.recover_environment()
    again.reset(seed=0)
    assert again.step(0)[4].keys() == INFOS.keys()


@pytest.mark.parametrize("final", [True, False])
def test_d3rlpys_learners_see_the_last_reward_of_an_episode_that_is_terminated(tmp_path, monkeypatch, final):
    """The reason for FinalTruncation: without it the step that exceeded the budget reaches no learner."""
    d3rlpy = pytest.importorskip("d3rlpy", reason=WITHOUT.format("d3rlpy"))
    dataset, played = collected(tmp_path, monkeypatch, "arrow", final=final)
    episodes = list(dataset.iterate_episodes())
    parts = {
        "observations": np.concatenate([episode.observations[:-1] for episode in episodes]),
        "actions": np.concatenate([episode.actions for episode in episodes])[:, None],
        "rewards": np.concatenate([-episode.infos["cost"][1:] for episode in episodes])[:, None].astype(np.float32),
        "terminals": np.concatenate([episode.terminations for episode in episodes]).astype(np.float32),
        "timeouts": np.concatenate([episode.truncations for episode in episodes]).astype(np.float32),
    }
    space = {"action_space": d3rlpy.constants.ActionSpace.DISCRETE, "action_size": 2}
    buffer = d3rlpy.dataset.MDPDataset(**parts, **space)
    learned = [
        buffer.transition_picker(episode, step).reward[0]
        for episode in buffer.episodes
        for step in range(episode.transition_count)
    ]
    spent = sum(steps[-1][4]["spent"] for steps in played)
    assert len(buffer.episodes) == len(played)
    assert (-sum(learned) == pytest.approx(spent, rel=1e-5)) == final
