"""What Gymnasium and Stable-Baselines3 ask of any environment, in every mode; every warning is an error."""

from __future__ import annotations

import copy
import doctest
import pickle
import warnings
from dataclasses import fields
from typing import get_type_hints

import gymnasium as gym
import numpy as np
import pytest
from fake_sources import TreeSource, Untabulated
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import DictInfoToList

from gym_stepwise_routing.envs import StepwiseRoutingVectorEnv, stepwise_routing, wrappers
from gym_stepwise_routing.envs.stepwise_routing import environment_game
from gym_stepwise_routing.game.config import GameArguments, GameConfig
from gym_stepwise_routing.game.row_table import project_actions
from gym_stepwise_routing.types import BLOCKS, MODES, SOURCES

HEADINGS = [
    "Description",
    "Action Space",
    "Observation Space",
    "Rewards",
    "Starting State",
    "Episode End",
    "Arguments",
    "Vectorized environment",
    "Version History",
]
ABSENT = ("verifier", "feedback", "token_classes")
"""Blocks of figures that the bundled bank does not have."""
GAMES = {
    "bundled": {},
    "bundled-probe": {"observation": [block for block in BLOCKS if block not in ABSENT]},
    "bundled-budget": {"budget": (0.3, 1.2), "hard_budget": True, "cost_unit": "large_tokens", "split": "test"},
    "three-models-all-blocks": {
        "source": TreeSource(1, models=3, verifier=True, gaps=0.1),
        "observation": BLOCKS,
        "cost_unit": "dollars",
    },
    "by-the-rules": {
        "source": Untabulated(TreeSource(2, models=3, verifier=True)),
        "observation": BLOCKS,
        "cost_unit": "latency",
        "budget": 0.8,
        "normaliser": 3.0,
    },
}


def random_step(env, rng):
    mask = env.unwrapped.action_masks()
    return env.step(int(rng.choice(np.flatnonzero(mask))))


def play(env, steps: int, seed: int) -> list:
    """Everything that an environment returns over so many steps of random allowed actions."""
    rng = np.random.default_rng(seed)
    seen = [env.reset(seed=seed)]
    for _ in range(steps):
        result = random_step(env, rng)
        seen.append(result)
        if result[2] or result[3]:
            seen.append(env.reset())
    return seen


@pytest.fixture
def strict():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("game", GAMES)
@pytest.mark.usefixtures("strict")
def test_gymnasiums_checker_is_silent(game, mode):
    env = gym.make("StepwiseRouting-v0", mode=mode, masked_action="project", **GAMES[game])
    check_env(env.unwrapped)
    env.close()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("game", GAMES)
@pytest.mark.usefixtures("strict")
def test_stable_baselines_checker_is_silent(game, mode):
    check_sb3 = pytest.importorskip("stable_baselines3.common.env_checker").check_env
    check_sb3(gym.make("StepwiseRouting-v0", mode=mode, masked_action="project", **GAMES[game]).unwrapped)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("game", GAMES)
@pytest.mark.usefixtures("strict")
def test_two_seeded_copies_agree_exactly(game, mode):
    first, second = (gym.make("StepwiseRouting-v0", mode=mode, **GAMES[game]) for _ in range(2))
    assert data_equivalence(play(first, 60, seed=3), play(second, 60, seed=3), exact=True)


def test_unseeded_resets_differ():
    """A million to one against 12 equal draws from 70 problems, twice, in two fresh environments."""
    draws = []
    for _ in range(2):
        env = gym.make("StepwiseRouting-v0")
        draws.append([env.reset()[1]["problem"] for _ in range(12)])
        assert len(set(draws[-1])) > 1
    assert draws[0] != draws[1]
    vector = gym.make_vec("StepwiseRouting-v0", num_envs=12)
    assert vector.reset()[1]["problem"].tolist() != vector.reset()[1]["problem"].tolist()


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))], ids=["copy", "pickle"])
@pytest.mark.parametrize("game", ["bundled", "three-models-all-blocks", "by-the-rules"])
@pytest.mark.parametrize("mode", ["route", "regenerate"])
def test_a_copy_in_the_middle_of_an_episode_goes_on_alike(game, mode, clone):
    env = gym.make("StepwiseRouting-v0", mode=mode, render_mode="ansi", **GAMES[game])
    rng = np.random.default_rng(0)
    env.reset(seed=4)
    while True:  # until an episode is under way
        *_, terminated, truncated, _ = random_step(env, rng)
        if not (terminated or truncated):
            break
        env.reset()
    twin = clone(env)
    assert twin.render() == env.render()
    for _ in range(30):
        action = int(rng.choice(np.flatnonzero(env.unwrapped.action_masks())))
        expected, result = env.step(action), twin.step(action)
        assert data_equivalence(expected, result, exact=True)
        if expected[2] or expected[3]:
            assert data_equivalence(env.reset(), twin.reset(), exact=True)


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))], ids=["copy", "pickle"])
@pytest.mark.parametrize("game", ["bundled", "by-the-rules"])
def test_a_copy_of_a_vector_environment_goes_on_alike(game, clone):
    env = StepwiseRoutingVectorEnv(5, autoreset_mode=AutoresetMode.SAME_STEP, **GAMES[game])
    env.reset(seed=1)
    env.step(np.ones(5, dtype=np.int64))
    twin = clone(env)
    for step in range(20):
        actions = np.arange(5) * step % 2
        assert data_equivalence(env.step(actions), twin.step(actions), exact=True)


@pytest.mark.parametrize("autoreset", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize("game", ["bundled-budget", "three-models-all-blocks", "by-the-rules"])
def test_gymnasium_makes_infos_of_each_episode_of_those_of_all(game, autoreset):
    env = gym.make_vec("StepwiseRouting-v0", num_envs=3, autoreset_mode=autoreset, **GAMES[game])
    env = DictInfoToList(env)
    _, infos = env.reset(seed=0)
    kind = SOURCES.index(env.unwrapped.game.source.kind)
    ended = 0
    for _ in range(8):
        assert [(info["source"], info["simulated"]) for info in infos] == [(kind, SOURCES[kind] == "simulator")] * 3
        actions = project_actions(np.ones(3, dtype=np.int64), env.unwrapped.action_masks())
        *_, terminated, truncated, infos = env.step(actions)
        ended += int((terminated | truncated).sum())
    assert ended


def test_a_copy_shares_the_tables_of_the_bank():
    env = gym.make("StepwiseRouting-v0").unwrapped
    twin = copy.deepcopy(env)
    assert twin.game.table is env.game.table
    assert twin.game.source.bank is env.game.source.bank


@pytest.mark.parametrize("source", [TreeSource(2), Untabulated(TreeSource(2))], ids=["table", "rules"])
def test_what_is_returned_is_the_callers_own(source):
    """Scribbling over everything that was returned changes nothing that comes later."""
    calm, scribbled = (
        stepwise_routing.StepwiseRoutingEnv(source, normaliser=1.0, cost_unit="large_tokens", budget=9.0)
        for _ in range(2)
    )
    vector_calm, vector_scribbled = (
        StepwiseRoutingVectorEnv(4, source, normaliser=1.0, cost_unit="large_tokens") for _ in range(2)
    )

    def scribble(*values):
        for value in values:
            if isinstance(value, dict):
                scribble(*value.values())
            elif isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
                value[...] = 1

    pairs = [(calm, scribbled, 1), (vector_calm, vector_scribbled, np.ones(4, dtype=np.int64))]
    for one, other, action in pairs:
        one.reset(seed=5)
        scribble(*other.reset(seed=5))
        scribble(other.action_masks())
        for _ in range(8):
            expected, result = one.step(action), other.step(action)
            assert data_equivalence(expected, result, exact=True)
            scribble(*result)
            if isinstance(expected[2], bool) and (expected[2] or expected[3]):
                one.reset()
                scribble(*other.reset())


def test_both_entry_points_are_registered():
    assert isinstance(gym.make("StepwiseRouting-v0").unwrapped, stepwise_routing.StepwiseRoutingEnv)
    vector = gym.make_vec("StepwiseRouting-v0", num_envs=3)
    assert isinstance(vector, StepwiseRoutingVectorEnv)
    assert vector.num_envs == 3


def test_the_class_docstring_has_the_headings_of_a_gymnasium_page():
    documentation = stepwise_routing.StepwiseRoutingEnv.__doc__
    assert [line.strip()[3:] for line in documentation.splitlines() if line.strip().startswith("## ")] == HEADINGS


@pytest.mark.parametrize("module", [stepwise_routing, wrappers])
def test_examples_in_docstrings(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


def test_the_argument_table_lists_every_argument_with_its_default():
    documentation = stepwise_routing.StepwiseRoutingEnv.__doc__
    table = documentation[documentation.index("| parameter ") :].split("\n\n")[0]
    rows = [[cell.strip(" `") for cell in row.split("|")] for row in table.splitlines()[2:]]
    listed = {row[1]: row[3] for row in rows}
    defaults = {field.name: field.default for field in fields(GameConfig)}
    assert set(listed) == {*defaults, "render_mode"}
    assert set(defaults) == {"source", *get_type_hints(GameArguments)}
    assert environment_game("gsm8k-qwen2.5-coder", {}).masked_action == listed["masked_action"] == "error"
    for name in set(defaults) - {"observation", "masked_action"}:
        assert listed[name] == str(defaults[name])
