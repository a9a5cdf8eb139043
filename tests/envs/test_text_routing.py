"""Routing as a conversation: what is shown, how a reply is read, and what the router itself costs."""

from __future__ import annotations

import numpy as np
import pytest
from generator_fakes import FakeGenerator
from gymnasium.error import ResetNeeded

from gym_stepwise_routing.costs.models import Model, ModelPool
from gym_stepwise_routing.datasets import Problem
from gym_stepwise_routing.envs.stepwise_routing import StepwiseRoutingEnv
from gym_stepwise_routing.envs.text_routing import TextRouting, named_model
from gym_stepwise_routing.errors import PriceError
from gym_stepwise_routing.generators import Failure, StepRule
from gym_stepwise_routing.generators.prompts import PromptTemplate
from gym_stepwise_routing.sources.live import LiveSource

SMALL, LARGE = "Qwen2.5-Coder-0.5B-Instruct", "Qwen2.5-Coder-1.5B-Instruct"
PROBLEM = "gsm8k/test/0"


def played(routing, replies, **tokens):
    turns = [routing.reset(problem=PROBLEM)]
    for reply in replies:
        turns.append(routing.reply(reply, **tokens))
        if turns[-1].done:
            break
    return turns


@pytest.mark.parametrize(
    ("reply", "model"),
    [
        ("small", 0),
        ("I take LARGE.", 2),
        ("not small but small-er", 1),
        ("small? No: large", 2),
        ("**small**", 0),
        ("smaller", None),
        ("small.5", None),
        ("", None),
    ],
)
def test_the_last_name_in_a_reply_counts_and_no_part_of_a_longer_one(reply, model):
    assert named_model(reply, ("small", "small-er", "large")) == model


def test_the_same_episode_as_in_the_environment():
    env = StepwiseRoutingEnv(split="test", cost_unit="large_tokens")
    env.reset(options={"problem": PROBLEM})
    turns = played(TextRouting(split="test", cost_unit="large_tokens"), [LARGE, SMALL, LARGE, LARGE, LARGE])
    for turn, action in zip(turns[1:], (1, 0, 1, 1, 1), strict=False):
        _, reward, terminated, truncated, info = env.step(action)
        assert (turn.reward, turn.done, turn.cost) == (reward, terminated or truncated, info["cost"])
        assert turn.spent == info["spent"]
        assert turn.model == (SMALL, LARGE)[action]
    assert turns[-1].done


def test_a_turn_shows_question_steps_costs_and_names():
    routing = TextRouting(split="test", cost_unit="large_tokens", questions={PROBLEM: "How much is 1 + 1?"})
    first, second = played(routing, [LARGE])
    assert first.text.splitlines() == [
        "Question: How much is 1 + 1?",
        "No step is written yet.",
        "Spent: 0 (1 is the mean cost of the largest model alone)",
        f"You may name: {SMALL}, {LARGE}",
    ]
    step = routing.env.texts()[0]
    assert len(step) > 20
    assert f"1. [{LARGE}] {step}" in second.text.splitlines()
    assert f"Spent: {second.spent:.3g} " in second.text
    assert "Figures" not in second.text
    assert SMALL in routing.system_prompt
    assert "4.94e+08 parameters" in routing.system_prompt


def test_without_texts_the_figures_are_shown_by_name():
    routing = TextRouting("gsm8k-like", cost_unit="large_tokens")
    routing.reset(seed=0)
    turn = routing.reply(routing.models[1])
    assert f"1. [{routing.models[1]}] (no text kept)" in turn.text
    assert "Question: (no text kept; problem " in turn.text
    figures = dict(item.split("=") for item in turn.text.split("Figures: ")[1].splitlines()[0].split(", "))
    names = routing.env.feature_names
    assert float(figures["p_mean"]) == pytest.approx(routing._observation[names.index("p_mean")], rel=1e-2)
    assert "draft" not in turn.text.lower()


def test_the_draft_is_shown_and_kept_by_the_smallest_models_name():
    routing = TextRouting(split="test", mode="regenerate", cost_unit="large_tokens")
    first = routing.reset(problem=PROBLEM)
    draft = routing.env.texts()[1]
    assert f"Draft: [{SMALL}] {draft}" in first.text
    assert f"1. [{SMALL}] {draft}" in routing.reply(SMALL).text


def test_a_larger_model_that_begins_afresh_leaves_the_steps():
    routing = TextRouting("intercode-sql-gpt", mode="restart", cost_unit="dollars", observation=("progress",))
    routing.reset(seed=3)
    routing.reply(routing.models[0])
    turn = routing.reply(routing.models[0])
    assert f"2. [{routing.models[0]}]" in turn.text
    turn = routing.reply(routing.models[1])
    assert f"1. [{routing.models[1]}]" in turn.text
    assert f"[{routing.models[0]}]" not in turn.text


@pytest.mark.parametrize(("unclear", "model"), [("smallest", SMALL), ("largest", LARGE)])
def test_a_reply_that_names_nobody_is_told(unclear, model):
    routing = TextRouting(split="test", cost_unit="large_tokens", unclear=unclear)
    _, turn = played(routing, ["The answer is 18."])
    assert (turn.understood, turn.model) == (False, model)
    _, turn = played(routing, [LARGE])
    assert (turn.understood, turn.model) == (True, LARGE)


def test_a_masked_model_is_not_chosen():
    routing = TextRouting(split="test", mode="escalate", cost_unit="large_tokens", unclear="error")
    routing.reset(problem=PROBLEM)
    turn = routing.reply(LARGE)
    assert f"You may name: {LARGE}" in turn.text.splitlines()
    with pytest.raises(ValueError, match=rf"reply='{SMALL}' names no model that may be chosen; allowed: {LARGE}$"):
        routing.reply(SMALL)


def test_the_routers_tokens_are_charged():
    router = Model("SmolLM2-135M-Instruct", parameters=134.5e6)
    routing = TextRouting(split="test", cost_unit="flops", router=router)
    free = played(TextRouting(split="test", cost_unit="flops"), [LARGE] * 5)
    turns = played(routing, [LARGE] * 5, prompt_tokens=200, completion_tokens=10)
    expected = 2 * 134.5e6 * 210 / routing.env.game.normaliser  # FLOPs: 2 a parameter and token
    assert turns[1].router_cost == pytest.approx(expected)
    assert [turn.cost for turn in turns] == [turn.cost for turn in free]
    np.testing.assert_allclose(
        [turn.spent for turn in turns], [turn.spent + n * expected for n, turn in enumerate(free)]
    )
    assert f"Spent: {turns[1].spent:.3g} " in turns[1].text
    routing.reset(problem=PROBLEM)
    assert routing.reply(LARGE, prompt_tokens=0, completion_tokens=0).spent == pytest.approx(free[1].spent)


@pytest.mark.parametrize(
    ("router", "tokens", "words"),
    [
        (True, {}, "prompt_tokens=None; allowed: a count, since it is charged"),
        (True, {"prompt_tokens": 3}, "completion_tokens=None; allowed: a count"),
        (True, {"prompt_tokens": -1, "completion_tokens": 0}, "prompt_tokens=-1; allowed: an integer >= 0"),
        (True, {"prompt_tokens": 1, "completion_tokens": 0.5}, "completion_tokens=0.5; allowed: an integer >= 0"),
        (False, {"prompt_tokens": 3}, "prompt_tokens=3; allowed: None, since the router is free"),
    ],
)
def test_tokens_are_told_where_they_are_charged_and_nowhere_else(router, tokens, words):
    charged = Model("router", parameters=1e8) if router else None
    routing = TextRouting(split="test", cost_unit="flops", router=charged)
    routing.reset(problem=PROBLEM)
    with pytest.raises(ValueError, match=words):
        routing.reply(LARGE, **tokens)
    assert routing.env.depth == 0  # refused before anything was played


def test_what_cannot_be_played_is_refused_at_once():
    with pytest.raises(PriceError, match="router"):
        TextRouting(cost_unit="dollars", router=Model("router", parameters=1e8))
    with pytest.raises(
        ValueError, match=r"router='router': .* nothing in cost_unit='large_tokens'; allowed: .*'flops'"
    ):
        TextRouting(router=Model("router", parameters=1e8))
    with pytest.raises(ValueError, match="unclear='middle' is not known; allowed: 'smallest', 'largest', 'error'"):
        TextRouting(unclear="middle")
    with pytest.raises(ResetNeeded):
        TextRouting().reply(LARGE)


def test_live_models_show_question_and_steps_and_a_failure_adds_none():
    small = FakeGenerator("small", lambda prompt, prefix: "Two and two.\n" if not prefix else "The answer is 4.\n\n")
    large = FakeGenerator("large", lambda prompt, prefix: Failure("server is down", retryable=False))
    live = LiveSource(
        {"test": [Problem("toy", "test", 0, "What is 2 + 2?", "4")]},
        [small, large],
        pool=ModelPool([Model("small", 1e9), Model("large", 7e9)]),
        prompt=PromptTemplate("plain", "Q: {question}\nA:\n"),
        rule=StepRule(horizon=4),
    )
    routing = TextRouting(live, split="test", normaliser=1e9)
    assert routing.reset().text.startswith("Question: What is 2 + 2?\nNo step is written yet.\nSpent: 0 ")
    turn = routing.reply("large")
    assert "No step is written yet." in turn.text
    assert turn.text.endswith("You may name: small")
    turn = routing.reply("small")
    assert "\nSteps so far:\n1. [small] Two and two.\nSpent: " in turn.text
    turn = routing.reply("small")
    assert (turn.done, turn.right, turn.reward) == (True, True, 1.0)
    assert "2. [small] The answer is 4.\nThe answer is there: right." in turn.text
