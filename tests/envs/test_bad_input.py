"""Every bad input is one clear error that names the parameter, its value and what is allowed."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from fake_sources import TreeSource
from gymnasium.error import NameNotFound, ResetNeeded, VersionNotFound
from gymnasium.vector import AutoresetMode

from gym_stepwise_routing.costs.models import Model, ModelPool
from gym_stepwise_routing.envs import StepwiseRoutingEnv, StepwiseRoutingVectorEnv
from gym_stepwise_routing.errors import NotApplicableError, PriceError

NAN, INF = float("nan"), float("inf")
CONSTRUCTION = [
    ({"source": "gsm9k"}, r"source='gsm9k' is not known; allowed: a bundled bank \(.*gsm8k-qwen2.5-coder"),
    ({"source": 7}, "source=7; allowed: a StepSource, a Bank, a name or a path"),
    ({"split": "validation"}, "split='validation' is not known; allowed: 'train', 'calibration', 'test'"),
    ({"mode": "rout"}, "mode='rout' is not known; allowed: 'route', 'escalate', 'regenerate'"),
    ({"cost_unit": "euros"}, "cost_unit='euros' is not known; allowed: 'flops', 'large_tokens', 'dollars', 'latency'"),
    ({"observation": ("progress", "mood")}, "observation block='mood' is not known; allowed: 'progress'"),
    ({"observation": "progress"}, "observation='progress'; allowed: a sequence of blocks"),
    ({"observation": ()}, r"observation=\(\); allowed: one or more"),
    ({"budget": -0.5}, "budget=-0.5; allowed: a finite number > 0, a pair 0 < low <= high, or None"),
    ({"budget": NAN}, "budget=nan; allowed: a finite number > 0"),
    ({"budget": INF}, "budget=inf; allowed: a finite number > 0"),
    ({"budget": 0}, "budget=0; allowed: a finite number > 0"),
    ({"budget": True}, "budget=True; allowed: a finite number > 0"),
    ({"budget": "1"}, "budget='1'; allowed: a finite number > 0"),
    ({"budget": (0.5, NAN)}, r"budget=\(0.5, nan\); allowed"),
    ({"budget": (0.9, 0.5)}, r"budget=\(0.9, 0.5\); allowed: .*a pair 0 < low <= high"),
    ({"budget": (0.1, 0.2, 0.3)}, "allowed: a finite number > 0, a pair"),
    ({"budget": ()}, r"budget=\(\); allowed"),
    ({"budget": (0.5,)}, r"budget=\(0.5,\); allowed: a finite number > 0, a pair 0 < low <= high, or None"),
    ({"budget": 0.5, "hard_budget": "yes"}, "hard_budget='yes'; allowed: True or False"),
    ({"mode": np.array(["route", "escalate"])}, r"mode=array\(.* is not known; allowed: 'route', 'escalate'"),
    ({"normaliser": "1"}, "normaliser='1'; allowed: a finite number > 0, or None"),
    ({"normaliser": True}, "normaliser=True; allowed: a finite number > 0, or None"),
    ({"hard_budget": True}, "hard_budget=True with budget=None; allowed: a budget, or hard_budget=False"),
    ({"masked_action": "ignore"}, "masked_action='ignore' is not known; allowed: 'error', 'project'"),
    ({"normaliser": 0.0}, "normaliser=0.0; allowed: a finite number > 0, or None"),
    ({"normaliser": NAN}, "normaliser=nan; allowed: a finite number > 0, or None"),
]


@pytest.mark.parametrize(("arguments", "message"), CONSTRUCTION)
@pytest.mark.parametrize("make", [gym.make, gym.make_vec], ids=["scalar", "vector"])
def test_arguments(make, arguments, message):
    with pytest.raises(ValueError, match=message):
        make("StepwiseRouting-v0", **arguments)


def test_arguments_of_one_of_the_two():
    with pytest.raises(ValueError, match="render_mode='pdf' is not known; allowed: None, 'ansi', 'human', 'rgb_array'"):
        StepwiseRoutingEnv(render_mode="pdf")
    for number in (0, "2", 2.0, True):
        with pytest.raises(ValueError, match=f"num_envs={number!r}; allowed: an integer >= 1"):
            StepwiseRoutingVectorEnv(number)
    with pytest.raises(ValueError, match="autoreset_mode='Disabled' is not known; allowed: 'NextStep', 'SameStep'"):
        StepwiseRoutingVectorEnv(2, autoreset_mode=AutoresetMode.DISABLED)


def test_unknown_id():
    with pytest.raises(NameNotFound, match="StepwiseRoutin"):
        gym.make("StepwiseRoutin-v0")
    with pytest.raises(VersionNotFound, match="StepwiseRouting"):
        gym.make("StepwiseRouting-v9")


def test_misspelt_arguments_do_not_pass_silently():
    with pytest.raises(TypeError, match="unexpected keyword argument 'modes'"):
        gym.make("StepwiseRouting-v0", modes="route")


def test_a_model_without_a_price():
    source = TreeSource()
    source.pool = ModelPool([Model("open", parameters=1e9), Model("closed")])
    with pytest.raises(PriceError, match="cost_unit='dollars': model 'open' has no price; allowed: 'large_tokens'"):
        StepwiseRoutingEnv(source, cost_unit="dollars")
    with pytest.raises(PriceError, match="cost_unit='flops': model 'closed' has no parameter count"):
        StepwiseRoutingEnv(source, cost_unit="flops")
    assert StepwiseRoutingEnv(source).unwrapped.game.cost_unit == "large_tokens"  # the default, which every pool has


def test_what_the_source_does_not_have():
    source = TreeSource()
    source.modes = ("escalate",)
    with pytest.raises(
        NotApplicableError, match="mode='route' is not recorded in simulator 'fake-tree'; allowed: 'escalate'"
    ):
        StepwiseRoutingEnv(source)
    with pytest.raises(
        NotApplicableError,
        match="observation block 'verifier': simulator 'fake-tree' has no verifier scores; allowed: 'progress', 'con",
    ):
        StepwiseRoutingEnv(source, mode="escalate", observation=["verifier"])
    with pytest.raises(ValueError, match="split='test': simulator 'fake-tree' has no problem in it"):
        StepwiseRoutingEnv(TreeSource(problems=2), split="test")


RESETS = [
    ({"problems": 3}, "reset option='problems' is not known; allowed: 'problem', 'budget'"),
    (
        {"problem": "gsm8k/test/3"},
        "problem='gsm8k/test/3' is not in split 'train' of .*; allowed: its 640 problems, such as",
    ),
    ({"problem": "gsm8k/train/99999"}, "problem='gsm8k/train/99999' is not in split 'train'"),
    ({"problem": -1}, "problem=-1 is not in split 'train'"),
    ({"problem": None}, "problem=None is not in split 'train'"),
    ({"problem": [1, 2]}, r"problem=\[1, 2\] is not in split 'train' of .*; allowed: its .* problems, such as"),
    ({"problem": 0.5}, "problem=0.5 is not in split 'train'"),
    ({"budget": -1}, "budget=-1; allowed: a finite number > 0"),
    ({"budget": NAN}, "budget=nan; allowed: a finite number > 0"),
]


@pytest.mark.parametrize(("options", "message"), RESETS)
def test_reset_options(options, message):
    with pytest.raises(ValueError, match=message):
        gym.make("StepwiseRouting-v0").reset(options=options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"problem": [0, 1]}, "reset option='problem' is not known; allowed: 'problems', 'budgets'"),
        ({"problems": ["gsm8k/test/3", 0]}, "problem='gsm8k/test/3' is not in split 'train'"),
        ({"problems": [0]}, "reset option 'problems' has 1 entries; allowed: 2"),
        ({"problems": 3}, "reset option problems=3; allowed: a sequence of 2, one an episode"),
        ({"problems": "01"}, "reset option problems='01'; allowed: a sequence of 2"),
        ({"budgets": 0.5}, "reset option budgets=0.5; allowed: a sequence of 2, one an episode"),
        ({"budgets": np.array(0.5)}, r"reset option budgets=array\(0.5\); allowed: a sequence of 2"),
        ({"budgets": [0.5, -1.0]}, "budget=-1.0; allowed: a finite number > 0"),
        ({"budgets": [0.5, NAN]}, "budget=nan; allowed: a finite number > 0"),
    ],
)
def test_reset_options_of_the_vector_environment(options, message):
    with pytest.raises(ValueError, match=message):
        StepwiseRoutingVectorEnv(2).reset(options=options)


def test_a_problem_by_number_and_by_id():
    env = gym.make("StepwiseRouting-v0")
    number = int(env.unwrapped.game.problems[5])
    (name,) = env.unwrapped.game.source.problem_ids(np.array([number]))
    by_number, info = env.reset(options={"problem": number})
    by_id, same = env.reset(options={"problem": name})
    assert info["problem"] == same["problem"] == number
    np.testing.assert_array_equal(by_number, by_id)


@pytest.mark.parametrize("action", [2, -1, 0.5, None, np.array([1]), "1"])
def test_an_action_out_of_range(action):
    env = gym.make("StepwiseRouting-v0", disable_env_checker=True)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"action=.*; allowed: an integer from 0 to 1"):
        env.step(action)


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([0, 2], "action=2 of episode 1; allowed: an integer from 0 to 1"),
        ([-1, 0], "action=-1 of episode 0; allowed: an integer from 0 to 1"),
        ([0.0, 1.0], r"actions of shape \(2,\) and type float64; allowed: integers of shape \(2,\)"),
        ([0, 1, 1], r"actions of shape \(3,\) and type int64; allowed: integers of shape \(2,\)"),
    ],
)
def test_actions_of_the_vector_environment_out_of_range(actions, message):
    env = StepwiseRoutingVectorEnv(2)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        env.step(np.array(actions))


def long_trace() -> tuple[TreeSource, int]:
    """A tree, and a problem whose trace goes on whatever model begins."""
    source = TreeSource(0, models=3, problems=30)
    firsts = source.child[:30]
    return source, int(next(p for p in range(0, 30, 3) if not source.terminal[firsts[p]].any()))


def test_a_masked_action():
    source, problem = long_trace()
    env = StepwiseRoutingEnv(source, mode="escalate")
    env.reset(options={"problem": problem})
    env.step(1)
    with pytest.raises(ValueError, match=r"action=0 is masked here; allowed: \[1, 2\], or masked_action='project'"):
        env.step(0)
    env.step(2)  # the refused action has changed nothing
    vector = StepwiseRoutingVectorEnv(2, source, mode="escalate")
    vector.reset(options={"problems": [problem, problem]})
    vector.step(np.array([0, 1]))
    with pytest.raises(
        ValueError, match=r"action=0 of episode 1 is masked here; allowed: \[1, 2\], or masked_action='project'"
    ):
        vector.step(np.array([0, 0]))


def test_a_masked_action_is_projected_on_request():
    source, problem = long_trace()
    env = StepwiseRoutingEnv(source, mode="escalate", masked_action="project", render_mode="ansi")
    env.reset(options={"problem": problem})
    env.step(1)
    *_, info = env.step(0)
    assert info["ledger"][:3, 0].tolist() == [0, 2, 0]  # calls: model 1 wrote both steps


def test_stepping_without_an_episode():
    env = gym.make("StepwiseRouting-v0")
    with pytest.raises(ResetNeeded, match="reset"):
        env.step(0)
    with pytest.raises(ResetNeeded, match="no episode was started; allowed: reset"):
        env.unwrapped.action_masks()
    with pytest.raises(ResetNeeded, match=r"step\(\) on a finished episode; allowed: reset\(\) first"):
        env.unwrapped.step(0)
    vector = StepwiseRoutingVectorEnv(2)
    with pytest.raises(ResetNeeded, match="no episode was started; allowed: reset"):
        vector.step(np.zeros(2, dtype=np.int64))


def test_stepping_a_finished_episode():
    env = gym.make("StepwiseRouting-v0")
    env.reset(seed=0)
    while True:
        *_, terminated, truncated, _ = env.step(1)
        if terminated or truncated:
            break
    with pytest.raises(ResetNeeded, match=r"step\(\) on a finished episode; allowed: reset\(\) first"):
        env.step(1)
    env.reset()
    env.step(1)
