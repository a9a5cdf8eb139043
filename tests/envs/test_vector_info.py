"""Infos whose arrays are made when they are read are dictionaries like any other, whenever that is."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from info_types import INFOS

from gym_stepwise_routing.envs import StepwiseRoutingEnv, StepwiseRoutingVectorEnv

NAMES = {*INFOS, *(f"_{name}" for name in INFOS)}
GAMES = {
    "bank": {"budget": (0.2, 1.0), "hard_budget": True},
    "rules": {"source": "math-qwen2.5", "normaliser": 1e3, "budget": (0.2, 1.0), "hard_budget": True},
}


def played(game, steps=9, same_step=False, read=lambda info: None):
    mode = AutoresetMode.SAME_STEP if same_step else AutoresetMode.NEXT_STEP
    env = StepwiseRoutingVectorEnv(13, masked_action="project", autoreset_mode=mode, **GAMES[game])
    infos = [env.reset(seed=0)[1]]
    read(infos[-1])
    rng = np.random.default_rng(0)
    for _ in range(steps):
        infos.append(env.step(rng.integers(2, size=13))[-1])
        read(infos[-1])
    return infos


def assert_equal(one, other):
    assert list(one) == list(other)
    for name, value in one.items():
        if isinstance(value, dict):
            assert_equal(value, other[name])
        else:
            np.testing.assert_array_equal(value, other[name], err_msg=name)


@pytest.mark.parametrize("same_step", [False, True])
@pytest.mark.parametrize("game", GAMES)
def test_they_say_the_same_whenever_they_are_read(game, same_step):
    at_once, later = played(game, same_step=same_step, read=dict), played(game, same_step=same_step)
    for one, other in zip(at_once, later, strict=True):
        assert_equal(one, other)
    costs = [info["cost"] for info in later]
    assert any(cost.any() for cost in costs)


@pytest.mark.parametrize("game", GAMES)
def test_they_are_dictionaries(game):
    info = played(game)[-1]
    assert "ledger" in info
    assert "episode" not in info
    assert info.get("episode") is None
    info["episode"] = 1  # as Gymnasium's wrappers do
    assert len(info) == len(NAMES) + 1
    assert set(info) == {*NAMES, "episode"}
    for other in (dict(info), {**info}, info.copy(), copy.deepcopy(info), pickle.loads(pickle.dumps(info)), info | {}):
        assert type(other) is dict
        assert_equal(other, info)
    assert info.pop("episode") == 1
    assert list(info)[: len(INFOS)] == list(StepwiseRoutingEnv().reset()[1])
    with pytest.raises(KeyError, match="nothing"):
        info["nothing"]


def test_what_was_written_stays_and_what_was_removed_is_gone():
    first, second = played("bank")[-2:]
    first["cost"] = "mine"
    assert first["cost"] == "mine"
    assert dict(first)["cost"] == "mine"
    del second["cost"]
    assert "cost" not in second
    with pytest.raises(KeyError, match="cost"):
        second["cost"]


def test_what_one_reader_writes_into_an_array_reaches_no_later_info():
    expected = played("bank")

    def spoil(info):
        for value in info.values():
            value[...] = 0

    for one, other in zip(played("bank", read=lambda info: spoil(dict(info))), expected, strict=True):
        for name in ("cost", "ledger", "budget"):
            assert not one[name].any()
        assert other["budget"].all()
    untouched = played("bank", read=lambda info: None)
    for one, other in zip(untouched, expected, strict=True):
        assert_equal(one, other)
