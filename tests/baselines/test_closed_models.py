"""The banks of closed models against the published answers."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.baselines.constant import AlwaysModel
from gym_stepwise_routing.errors import NotApplicableError, PriceError
from gym_stepwise_routing.evaluation.evaluate import play
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.recorder.closed_models import BANKS, MODELS, read_answers

ACCURACY = {
    "text-davinci-003": 0.588,
    "Mixtral-8x7B-Instruct-v0.1": 0.638,
    "gpt-3.5-turbo": 0.779,
    "gpt-4-1106-preview": 0.857,
    "gpt-4o-mini-2024-07-18": 0.929,
}


@pytest.mark.parametrize("name", BANKS)
def test_banks_hold_numbers_only_for_the_whole_test_set(name):
    bank = Bank.open(name)
    assert len(bank.problems) == 1319
    assert bank.pool.names == BANKS[name]
    assert bank.manifest.horizon == 1
    assert all(bank.text(row) is None and bank.final_answer(row) is None for row in range(0, len(bank.nodes), 97))
    for model, expected in enumerate(BANKS[name]):
        right = bank.correct[bank.model == model]
        assert right.mean() == pytest.approx(ACCURACY[expected], abs=5e-4)
        assert bank.pool[model].price.date == "2026-11-24"


def test_every_answer_is_there_as_published(shared_dir):
    bank = Bank.open("gsm8k-closed-models")
    lines = (shared_dir / "data/gsm8k/test.jsonl").read_text(encoding="utf-8").splitlines()
    questions = [" ".join(json.loads(line)["question"].split()) for line in lines]
    for model, name in enumerate(MODELS):
        answers = read_answers(shared_dir / "data/gsm8k_closed_models", name)
        published = np.array([answers[questions[index]].right for index in bank.problems.index])
        np.testing.assert_array_equal(bank.correct[bank.child[bank.problems.root, model]], published)
        words = np.array([len(answers[questions[index]].text.split()) for index in bank.problems.index])
        tokens = bank.tokens[bank.child[bank.problems.root, model]]
        assert np.corrcoef(words, tokens)[0, 1] > 0.8


def test_costs_are_dollars_by_the_price_table():
    game = Game("gsm8k-mixtral-gpt4", split="test", cost_unit="dollars")
    evaluation = play(AlwaysModel(1), game)
    bank = game.source.bank
    rows = bank.child[bank.problems.root[game.problems], 1]
    dollars = (bank.problems.prompt_tokens[game.problems, 1] * 10 + bank.tokens[rows] * 30) * 1e-6
    np.testing.assert_allclose(evaluation.costs["dollars"], dollars)
    assert evaluation.mean_cost == pytest.approx(1.0)


def test_closed_models_have_no_parameters_and_no_confidence():
    with pytest.raises(PriceError, match="no parameter count"):
        Game("gsm8k-mixtral-gpt4", cost_unit="flops")
    game = Game("gsm8k-mixtral-gpt4", cost_unit="dollars", observation=["confidence"])
    assert (game.table.observation == 0).all()
    with pytest.raises(NotApplicableError, match="verifier"):
        Game("gsm8k-mixtral-gpt4", cost_unit="dollars", observation=["verifier"])
