"""The server plays by the rules of the game: the same decisions, ledger and cost as a live source in an evaluation."""

from __future__ import annotations

import pytest
from running_server import BANK, MODELS

from gym_stepwise_routing.baselines import ConfidenceThreshold
from gym_stepwise_routing.costs.ledger import as_table
from gym_stepwise_routing.costs.models import Model, ModelPool
from gym_stepwise_routing.costs.units import DEFAULT_UNIT
from gym_stepwise_routing.datasets import Problem
from gym_stepwise_routing.evaluation.evaluate import play
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.game.normaliser import always_largest_cost
from gym_stepwise_routing.generators.openai_server import OpenAIGenerator
from gym_stepwise_routing.generators.prompts import load_prompt
from gym_stepwise_routing.recorder.step_rules import step_rule
from gym_stepwise_routing.sources.live import LiveSource
from gym_stepwise_routing.sources.recorded import BankSource

QUESTION = "What is 6 x 7?"


@pytest.mark.parametrize("mode", ["route", "escalate", "regenerate"])
def test_decisions_ledger_and_cost_are_those_of_the_live_source(serve, endpoints, tmp_path, mode):
    endpoints[0].logprob = -0.75  # score 0.53: neither sure nor shaky
    with serve(router="confidence-p_min", mode=mode) as running:
        answer = running.ask().routing
    prompt = load_prompt(str(tmp_path / "prompt.txt"))
    generators = [OpenAIGenerator("fake", base_url=endpoint.url, api_key="none") for endpoint in endpoints]
    live = LiveSource(
        {"test": [Problem("toy", "test", 0, QUESTION, "42")]},
        generators,
        pool=ModelPool([Model(MODELS[0], 0.5e9), Model(MODELS[1], 1.5e9)]),
        prompt=prompt,
        rule=step_rule(prompt, "numeric"),
    )
    from gym_stepwise_routing.banks import Bank

    source = BankSource(Bank.open(BANK))
    normaliser = always_largest_cost(source, source.problems("calibration"), DEFAULT_UNIT)
    game = Game(GameConfig(live, split="test", mode=mode, normaliser=normaliser))
    result = play(ConfidenceThreshold(), game)
    live.close()
    decisions = result.decisions[0][result.decisions[0] >= 0]
    assert [step["model"] for step in answer["steps"]] == [MODELS[k] for k in decisions]
    assert answer["ledger"] == as_table(result.ledger[0], live.pool)
    assert answer["cost"]["normalised"] == pytest.approx(result.cost[0])
    assert result.right[0], "the live source knows the answer"
