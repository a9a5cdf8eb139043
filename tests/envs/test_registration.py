"""Ids, specs and limits: what Gymnasium's ``make`` and ``make_vec`` promise of any environment."""

from __future__ import annotations

import re
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode

from gym_stepwise_routing.registration import ENV_ID, SETUPS, register


@pytest.mark.parametrize("name", SETUPS)
def test_each_id_of_a_set_up_is_the_environment_with_its_arguments(name):
    env, plain = gym.make(name), gym.make(ENV_ID, **SETUPS[name])
    assert env.spec.id == name
    assert env.unwrapped.game.config.mode == SETUPS[name]["mode"]
    assert data_equivalence(env.reset(seed=3), plain.reset(seed=3), exact=True)
    assert ("simulated" in name) == env.unwrapped.routing_spec.simulated


def test_arguments_of_make_change_a_set_up():
    env = gym.make("StepwiseRouting/gsm8k-route-v0", cost_unit="large_tokens", split="test")
    assert (env.unwrapped.game.cost_unit, env.unwrapped.game.split) == ("large_tokens", "test")
    many = gym.make_vec("StepwiseRouting/gsm8k-escalate-v0", num_envs=3)
    assert (many.num_envs, many.unwrapped.game.config.mode) == (3, "escalate")


def test_the_page_lists_the_ids(repository):
    page = (repository / "docs" / "environment_ids.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\S+-v0)` \|", page, flags=re.MULTILINE) == [ENV_ID, *SETUPS]


def test_registration_is_idempotent():
    before = {name: gym.registry[name] for name in (ENV_ID, *SETUPS)}
    register()
    assert all(gym.registry[name] is spec for name, spec in before.items())


def test_an_id_with_the_module_needs_no_import():
    """The form that worker processes and configuration files need; Gymnasium 1 reads no entry point of packages."""
    program = "import gymnasium; print(gymnasium.make('gym_stepwise_routing:StepwiseRouting/gsm8k-route-v0').spec.id)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "StepwiseRouting/gsm8k-route-v0"


def test_a_spec_survives_json():
    env = gym.make(ENV_ID, mode="regenerate", budget=(0.2, 0.9), observation=("progress", "ledger"))
    again = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert again.unwrapped.routing_spec == env.unwrapped.routing_spec
    assert data_equivalence(again.reset(seed=1), env.reset(seed=1), exact=True)


def test_a_spec_of_many_episodes_survives_json():
    env = gym.make_vec(ENV_ID, num_envs=4, autoreset_mode="SameStep", mode="escalate", max_episode_steps=2)
    again = gym.make_vec(EnvSpec.from_json(env.unwrapped.spec.to_json()))
    assert (again.num_envs, again.metadata["autoreset_mode"]) == (4, AutoresetMode.SAME_STEP)
    assert data_equivalence(again.reset(seed=1)[0], env.reset(seed=1)[0], exact=True)


@pytest.mark.parametrize("autoreset", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_a_limit_of_steps_truncates_many_episodes_as_it_truncates_one(autoreset):
    """The vector environment's own limit against Gymnasium's ``TimeLimit``, over the same problems."""
    game = {"cost_unit": "large_tokens", "max_episode_steps": 3, "budget": 0.4}
    many, one = gym.make_vec(ENV_ID, num_envs=6, autoreset_mode=autoreset, **game), gym.make(ENV_ID, **game)
    _, infos = many.reset(seed=0)
    problems, cut, played = infos["problem"], 0, []
    for row, problem in enumerate(problems):
        one.reset(options={"problem": int(problem)})
        played.append([])
        while not played[row] or not (played[row][-1][2] or played[row][-1][3]):
            played[row].append(one.step(1))
    ended = np.zeros(6, dtype=np.bool_)
    for step in range(3):
        _, rewards, terminated, truncated, infos = many.step(np.ones(6, dtype=np.int64))
        for row in np.flatnonzero(~ended):
            expected = played[row][step]
            assert (rewards[row], terminated[row], truncated[row]) == expected[1:4]
            if autoreset == AutoresetMode.NEXT_STEP:
                assert infos["truncated_by"][row] == expected[4]["truncated_by"]
                assert infos["bankrupt"][row] == expected[4]["bankrupt"]
        cut += int((truncated & ~terminated & ~ended).sum())
        ended |= terminated | truncated
    assert ended.all()
    assert cut >= 2
    if autoreset == AutoresetMode.NEXT_STEP:  # the resetting step is no step of the next episode
        first = many.step(np.ones(6, dtype=np.int64))
        assert not first[3].any()


def test_a_limit_of_steps_counts_from_each_reset():
    many = gym.make_vec(ENV_ID, num_envs=2, max_episode_steps=2)
    many.reset(seed=0)
    many.step(np.array([1, 1]))
    many.reset(seed=0)
    assert not many.step(np.array([1, 1]))[3].any()
    assert many.step(np.array([1, 1]))[3].all()


@pytest.mark.parametrize("limit", [0, -1, True, 2.5])
def test_a_limit_is_a_count(limit):
    with pytest.raises(ValueError, match=r"max_episode_steps=.*; allowed: an integer >= 1"):
        gym.make_vec(ENV_ID, num_envs=2, max_episode_steps=limit)


def test_gymnasiums_own_vector_benchmark_runs():
    performance = pytest.importorskip("gymnasium.utils.performance")
    if not hasattr(performance, "benchmark_vector_step"):
        pytest.skip("this Gymnasium has no benchmark of vector environments")
    for autoreset in (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP):
        env = gym.make_vec(ENV_ID, num_envs=64, autoreset_mode=autoreset)
        assert performance.benchmark_vector_step(env, target_duration=0.1, seed=0) > 1000
