"""How episodes go and end: rewards, costs, budgets, horizon, models that fail."""

from __future__ import annotations

import numpy as np
import pytest
from fake_sources import TreeSource, Untabulated

from gym_stepwise_routing.envs import StepwiseRoutingEnv, StepwiseRoutingVectorEnv
from gym_stepwise_routing.types import TRUNCATIONS


def chain(steps: int = 3, *, models: int = 2, ends: bool = True, problems: int = 1) -> TreeSource:
    """Problems whose traces have exactly so many steps, of 10 tokens each, and are right if they end."""
    source = TreeSource(0, models=models, problems=problems, horizon=steps)
    source.terminal[:] = source.correct[:] = ends & (source.depth == steps)
    inner = np.flatnonzero(source.depth < steps)
    source.child[inner] = problems + np.arange(len(inner) * models).reshape(-1, models)
    source.tokens[:] = np.where(source.depth > 0, 10, 0)
    return source


def play(env, actions):
    env.reset(seed=0)
    return [env.step(action) for action in actions]


def test_a_right_answer_is_rewarded_once_at_the_end():
    results = play(StepwiseRoutingEnv(chain(), cost_unit="large_tokens"), [0, 1, 1])
    assert [(reward, terminated, truncated) for _, reward, terminated, truncated, _ in results] == [
        (0.0, False, False),
        (0.0, False, False),
        (1.0, True, False),
    ]
    assert [info["raw_cost"] for *_, info in results] == [0, 10, 10]
    assert [info["cost"] for *_, info in results] == pytest.approx([0, 1 / 3, 1 / 3])
    assert results[-1][4]["spent"] == pytest.approx(2 / 3)
    assert results[-1][4]["ledger"][:, 3].tolist() == [10, 20]
    last = results[-1][4]
    assert (last["budget"], last["bankrupt"], last["failed"], last["truncated_by"]) == (np.inf, 0, 0, 0)


def test_a_wrong_answer_terminates_without_reward():
    source = chain()
    source.correct[:] = False
    _, reward, terminated, truncated, _ = play(StepwiseRoutingEnv(source), [0, 0, 0])[-1]
    assert (reward, terminated, truncated) == (0.0, True, False)


def test_the_horizon_truncates():
    _, reward, terminated, truncated, info = play(StepwiseRoutingEnv(chain(ends=False)), [0, 0, 0])[-1]
    assert (reward, terminated, truncated, TRUNCATIONS[info["truncated_by"]]) == (0.0, False, True, "horizon")


def test_an_unrecorded_end_truncates_before_the_horizon():
    source = chain()
    source.child[source.depth == 1] = -1
    env = StepwiseRoutingEnv(source, normaliser=1.0)
    _, _, terminated, truncated, info = play(env, [0])[-1]
    assert (terminated, truncated, TRUNCATIONS[info["truncated_by"]]) == (False, True, "no_model")


def test_escalation_ends_where_only_smaller_models_were_recorded():
    source = chain()
    source.child[source.depth == 1, 1] = -1
    env = StepwiseRoutingEnv(source, mode="escalate", normaliser=1.0)
    assert TRUNCATIONS[play(env, [1])[-1][4]["truncated_by"]] == "no_model"
    assert not play(env, [0])[-1][3]


@pytest.mark.parametrize("source", [chain(), Untabulated(chain())], ids=["table", "rules"])
def test_a_hard_budget_truncates_when_it_is_exceeded(source):
    """Always-largest costs 30 tokens = 1; the budget of 0.5 is 15 tokens, exceeded by the second large step."""
    arguments = {"cost_unit": "large_tokens", "budget": 0.5, "normaliser": 30.0}
    env = StepwiseRoutingEnv(source, hard_budget=True, **arguments)
    first, second = play(env, [1, 1])
    assert first[1:4] == (0.0, False, False)
    assert second[1:4] == (0.0, False, True)
    assert (TRUNCATIONS[second[4]["truncated_by"]], second[4]["bankrupt"], second[4]["budget"]) == ("budget", True, 0.5)
    soft = play(StepwiseRoutingEnv(source, **arguments), [1, 1, 1])
    assert [result[1:4] for result in soft] == [(0.0, False, False), (0.0, False, False), (1.0, True, False)]
    assert soft[-1][4]["bankrupt"] == 1
    assert play(StepwiseRoutingEnv(source, **arguments), [1, 0, 0])[-1][4]["bankrupt"] == 0


def test_a_hard_budget_exceeded_by_the_answer_itself_gives_no_reward():
    env = StepwiseRoutingEnv(chain(1), cost_unit="large_tokens", budget=0.5, hard_budget=True)
    ((_, reward, terminated, truncated, info),) = play(env, [1])
    assert (reward, terminated, truncated, TRUNCATIONS[info["truncated_by"]]) == (0.0, False, True, "budget")


def test_a_budget_that_is_met_exactly_is_kept():
    env = StepwiseRoutingEnv(chain(), cost_unit="large_tokens", budget=1.0, hard_budget=True)
    _, reward, terminated, truncated, info = play(env, [1, 1, 1])[-1]
    assert (reward, terminated, truncated, info["bankrupt"]) == (1.0, True, False, False)


def test_the_budget_is_observed():
    env = StepwiseRoutingEnv(chain(), cost_unit="large_tokens", observation=["ledger"], budget=(0.6, 0.9))
    names = env.feature_names
    left, known, spent = (names.index(name) for name in ("budget_left", "budget_known", "spent"))
    observation, info = env.reset(seed=0)
    assert 0.6 <= info["budget"] <= 0.9
    assert observation[left] == np.float32(info["budget"])
    observation, *_, info = env.step(1)
    assert observation[[known, spent]].tolist() == [1, np.float32(1 / 3)]
    assert observation[left] == np.float32(info["budget"] - 1 / 3)
    observation, info = env.reset(options={"budget": None})
    assert observation[[left, known]].tolist() == [0, 0]
    assert info["budget"] == np.inf
    assert env.reset(options={"budget": (0.3, 0.3)})[1]["budget"] == 0.3


def broken(*pairs: tuple[int, int]) -> Untabulated:
    """A chain of three steps, three models; each pair (depth, model) fails."""
    source = chain(models=3)
    for depth, model in pairs:
        source.fails[source.depth == depth, model] = True
    return Untabulated(source)


@pytest.mark.parametrize("mode", ["route", "escalate"])
def test_a_failing_model_is_masked_and_the_episode_goes_on(mode):
    env = StepwiseRoutingEnv(broken((1, 1)), mode=mode, normaliser=1.0)
    before, info = play(env, [0])[-1][::4]
    observation, reward, terminated, truncated, info = env.step(1)
    assert info["failed"] == 1
    assert (reward, terminated, truncated, info["cost"]) == (0.0, False, False, 0.0)
    assert info["action_mask"].tolist() == [True, False, True]
    np.testing.assert_array_equal(observation, before)  # the trace is as it was
    with pytest.raises(ValueError, match=r"action=1 is masked here; allowed: \[0, 2\]"):
        env.step(1)
    *_, info = env.step(2)
    assert info["failed"] == 0
    assert info["action_mask"].tolist() == [mode == "route"] * 2 + [True]  # it may be asked again at the next step
    assert env.step(2)[1:4] == (1.0, True, False)


def test_when_every_model_fails_the_episode_is_truncated():
    env = StepwiseRoutingEnv(broken((1, 0), (1, 1), (1, 2)), normaliser=1.0)
    results = play(env, [0, 2, 0, 1])
    assert [result[3] for result in results] == [False, False, False, True]
    assert TRUNCATIONS[results[-1][4]["truncated_by"]] == "no_model"
    assert results[-1][4]["failed"] == 1


def without_models(*, problems: int = 1) -> TreeSource:
    """Nobody can begin on the first problem."""
    source = chain(problems=problems)
    source.child[0] = -1
    return source


@pytest.mark.parametrize("masked_action", ["error", "project"])
@pytest.mark.parametrize("source", [without_models(), Untabulated(without_models())], ids=["table", "rules"])
def test_an_episode_that_begins_without_a_model_ends_with_any_action(source, masked_action):
    env = StepwiseRoutingEnv(source, masked_action=masked_action, normaliser=1.0, render_mode="ansi")
    first, info = env.reset(seed=0)
    assert not info["action_mask"].any()
    shown = env.render()
    with pytest.raises(ValueError, match="action=2; allowed: an integer from 0 to 1"):
        env.step(2)
    observation, *result, info = env.step(0)
    assert (result, TRUNCATIONS[info["truncated_by"]], info["cost"]) == ([0.0, False, True], "no_model", 0.0)
    np.testing.assert_array_equal(observation, first)
    assert env.render() == shown


def test_one_episode_without_a_model_does_not_stop_the_others():
    env = StepwiseRoutingVectorEnv(2, without_models(problems=4), normaliser=1.0)
    env.reset(seed=0, options={"problems": [0, 3]})
    _, _, terminated, truncated, info = env.step(np.array([1, 1]))
    assert (terminated.tolist(), truncated.tolist()) == ([False, False], [True, False])
    assert [TRUNCATIONS[number] for number in info["truncated_by"]] == ["no_model", ""]
    with pytest.raises(ValueError, match="action=7 of episode 0; allowed: an integer from 0 to 1"):
        env.step(np.array([7, 1]))


def test_a_probe_that_fails_costs_nothing_and_is_unknown():
    env = StepwiseRoutingEnv(broken((0, 0)), observation=["probe"], normaliser=1.0)
    observation, _ = env.reset(seed=0)
    assert observation.tolist() == [0, 0, 0]
    *_, info = env.step(1)
    assert info["ledger"][0].tolist() == [0] * 7


def test_a_model_that_fails_to_draft_is_masked_and_the_others_write():
    env = StepwiseRoutingEnv(broken((0, 0)), mode="regenerate", normaliser=1.0)
    _, info = env.reset(seed=0)
    assert info["action_mask"].tolist() == [False, True, True]
    *_, info = env.step(1)
    assert info["ledger"][0].tolist() == [0] * 7
    assert info["ledger"][1, 3] == 10
    assert info["action_mask"].tolist() == [True, True, True]


def test_without_a_draft_nothing_is_shown_of_one():
    """Not the figures of the last step either, which are another model's."""
    source = broken((1, 0))
    source.inner.confidence[:] = -0.5
    env = StepwiseRoutingEnv(source, mode="regenerate", observation=["progress", "confidence"], normaliser=1.0)
    shown = [env.feature_names.index(name) for name in ("last_tokens", "p_mean", "confidence_known")]
    observation, _ = env.reset(seed=0)
    assert observation[shown] == pytest.approx([np.log(11) / 10, np.exp(-0.5), 1])
    observation, *_, info = env.step(1)
    assert info["action_mask"].tolist() == [False, True, True]
    assert observation[shown].tolist() == [0, 0, 0]
    env.step(1)
    observation, _, terminated, *_ = env.step(1)  # a trace that has ended shows its last step
    assert terminated
    assert observation[shown] == pytest.approx([np.log(11) / 10, np.exp(-0.5), 1])


def test_a_rewrite_that_fails_keeps_the_draft():
    env = StepwiseRoutingEnv(broken((0, 1)), mode="regenerate", normaliser=1.0, render_mode="ansi")
    env.reset(seed=0)
    shown = env.render()
    *_, info = env.step(1)
    assert info["failed"] == 1
    assert info["action_mask"].tolist() == [True, False, True]
    assert env.render() == shown
    assert "pending draft:" in shown
    *_, info = env.step(0)
    assert info["ledger"][0].tolist()[:5] == [1, *info["ledger"][0].tolist()[1:3], 10, 0]
    assert info["ledger"][1].tolist() == [0] * 7


def test_failures_in_the_vector_environment():
    env = StepwiseRoutingVectorEnv(3, broken((1, 1)), normaliser=1.0)
    env.reset(seed=0)
    env.step(np.array([0, 0, 0]))
    _, _, _, truncated, info = env.step(np.array([0, 1, 2]))
    assert info["failed"].tolist() == [0, 1, 0]
    assert not truncated.any()
    assert env.action_masks().tolist() == [[True] * 3, [True, False, True], [True] * 3]
    assert info["cost"].tolist()[1] == 0
    _, _, terminated, _, _ = env.step(np.array([0, 2, 2]))
    assert terminated.tolist() == [True, False, True]


def test_next_step_autoreset_ignores_the_action_after_the_end():
    env = StepwiseRoutingVectorEnv(2, chain(1))
    first, _ = env.reset(seed=0)
    _, reward, terminated, _, _ = env.step(np.array([0, 1]))
    assert (reward.tolist(), terminated.tolist()) == ([1, 1], [True, True])
    assert env.action_masks().all()
    observation, reward, terminated, truncated, info = env.step(np.array([0, 0]))
    np.testing.assert_array_equal(observation, first)
    for nothing in (reward, terminated, truncated, info["cost"]):
        assert not nothing.any()
