"""Adapters to other conventions."""

from __future__ import annotations

import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest
from fake_sources import TreeSource
from gymnasium.utils.env_checker import check_env, data_equivalence

from gym_stepwise_routing.envs.wrappers import (
    FinalTruncation,
    FromSafetyGymnasium,
    MaskInObservation,
    ScalarisedReward,
    ToSafetyGymnasium,
    VectorReward,
)
from gym_stepwise_routing.types import TRUNCATIONS


def make(**game):
    return gym.make("StepwiseRouting-v0", cost_unit="large_tokens", **game)


def episode(env, seed: int = 0) -> list[tuple]:
    """All steps of one episode of the largest model."""
    env.reset(seed=seed)
    steps = [env.step(1)]
    while not any(steps[-1][-3:-1]):
        steps.append(env.step(1))
    return steps


def test_the_scalarised_reward_is_reward_minus_penalty_times_cost():
    plain, penalised = episode(make()), episode(ScalarisedReward(make(), penalty=0.25))
    assert len(plain) == len(penalised) > 1
    for (_, reward, *_, info), (_, changed, *_, same) in zip(plain, penalised, strict=True):
        assert info["cost"] == same["cost"] > 0
        assert changed == reward - 0.25 * info["cost"]


@pytest.mark.parametrize("penalty", [-0.1, float("nan"), float("inf")])
def test_bad_penalties(penalty):
    with pytest.raises(ValueError, match=r"penalty=.*; allowed: a finite number >= 0"):
        ScalarisedReward(make(), penalty=penalty)


def test_final_truncation_reports_truncations_as_terminations():
    source = TreeSource(0)
    source.terminal[:] = source.correct[:] = False
    inner = np.flatnonzero(source.depth < source.horizon)
    source.child[inner] = len(source.prompt_tokens) + np.arange(2 * len(inner)).reshape(-1, 2)
    *_, terminated, truncated, info = episode(make(source=source))[-1]
    assert (terminated, truncated) == (False, True)
    *_, terminated, truncated, info = episode(FinalTruncation(make(source=source)))[-1]
    assert (terminated, truncated, TRUNCATIONS[info["truncated_by"]]) == (True, False, "horizon")


def test_the_vector_reward_is_correctness_and_negative_cost():
    env = VectorReward(make())
    for (_, reward, *_, info), (_, vector, *_) in zip(episode(make()), episode(env), strict=True):
        assert vector.dtype == np.float32
        np.testing.assert_array_equal(vector, np.array([reward, -info["cost"]], dtype=np.float32))
        assert env.reward_space.contains(vector)


def test_mo_gymnasiums_own_wrappers_work_on_the_vector_reward():
    wrappers = pytest.importorskip("mo_gymnasium.wrappers", reason="needs mo-gymnasium, which the extra 'dev' has")
    weight = np.array([1.0, 0.25])
    plain = episode(make())
    for env in (VectorReward(make()), VectorReward(gym.wrappers.TimeLimit(make(), 50))):
        assert env.unwrapped is env
        assert env.unwrapped.reward_dim == env.unwrapped.reward_space.shape[0] == 2
        linear = episode(wrappers.LinearReward(env, weight=weight))
        for (_, reward, *_, info), (_, scalar, *_, same) in zip(plain, linear, strict=True):
            assert scalar == pytest.approx(reward - 0.25 * info["cost"])
            assert same["vector_reward"].shape == (2,)
        *_, info = episode(wrappers.MORecordEpisodeStatistics(env))[-1]
        costs = [step[-1]["cost"] for step in plain]
        np.testing.assert_allclose(info["episode"]["r"], [plain[-1][1], -sum(costs)], rtol=1e-6)


@pytest.mark.parametrize(
    "wrap", [VectorReward, ToSafetyGymnasium, lambda env: FromSafetyGymnasium(ToSafetyGymnasium(env))]
)
def test_masks_and_rendering_are_those_of_the_environment(wrap):
    inner = make(mode="escalate", render_mode="ansi")
    env = wrap(inner)
    env.reset(seed=0)
    np.testing.assert_array_equal(env.action_masks(), inner.unwrapped.action_masks())
    assert (env.render_mode, env.metadata) == ("ansi", inner.metadata)


def test_an_environment_without_masks_has_none_afterwards():
    plain = FromSafetyGymnasium(ToSafetyGymnasium(gym.make("CartPole-v1")))
    assert not hasattr(plain, "action_masks")
    assert hasattr(FromSafetyGymnasium(ToSafetyGymnasium(make())), "action_masks")


def test_gymnasiums_wrappers_accept_the_six_tuple_environment():
    env = gym.Wrapper(ToSafetyGymnasium(make()))
    assert isinstance(env.env, gym.Env)
    env.reset(seed=0)
    assert len(env.step(1)) == 6
    assert FromSafetyGymnasium(env).action_masks().shape == (2,)


def test_safety_gymnasium_there_and_back():
    there = ToSafetyGymnasium(make())
    _, _, cost, *_, info = episode(there)[0]
    assert cost == info["cost"]
    assert there.action_space == make().action_space
    assert there.unwrapped.action_masks().shape == (2,)
    back = FromSafetyGymnasium(ToSafetyGymnasium(make()))
    check_env(back, skip_render_check=True)
    for expected, result in zip(episode(make()), episode(back), strict=True):
        np.testing.assert_array_equal(result[0], expected[0])
        assert result[1:4] == expected[1:4]
        assert result[4]["cost"] == expected[4]["cost"]


def test_from_safety_gymnasium_renders_and_closes_the_environment():
    inner = ToSafetyGymnasium(make(render_mode="ansi"))
    env = FromSafetyGymnasium(inner)
    env.reset(seed=0)
    assert env.render() == inner.env.render() != ""
    closed = []
    inner.env.close = lambda: closed.append(True)
    env.close()
    assert closed == [True]


WRAPPERS = [
    lambda: ScalarisedReward(make(), penalty=0.5),
    lambda: FinalTruncation(make()),
    lambda: MaskInObservation(make()),
    lambda: VectorReward(make()),
    lambda: ToSafetyGymnasium(make()),
    lambda: FromSafetyGymnasium(ToSafetyGymnasium(make())),
]


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_wrapped_environments_pickle_and_copy(wrap):
    env = wrap()
    env.reset(seed=2)
    for twin in (copy.deepcopy(env), pickle.loads(pickle.dumps(env))):
        assert data_equivalence(twin.step(0), copy.deepcopy(env).step(0), exact=True)


def test_wrappers_are_part_of_the_specification():
    """RecordConstructorArgs: the wrapped environment can be made again from its spec."""
    env = FinalTruncation(ScalarisedReward(make(), penalty=0.5))
    again = gym.make(env.spec)
    assert type(again) is FinalTruncation
    assert again.env.penalty == 0.5
    for expected, result in zip(episode(env), episode(again), strict=True):
        assert result[1:4] == expected[1:4]
