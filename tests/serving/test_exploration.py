"""Exploration: steps that are drawn, with the probabilities that are written down."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from logged import QUESTIONS, Lines, ask, check_replay, events, put_lines, write_log
from running_server import MODELS

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.serving.exploration import Exploration
from gym_stepwise_routing.serving.log_bank import bank_from_log
from gym_stepwise_routing.serving.pool_config import load_config

SHARE = 0.5


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Lines:
    """Eight judged answers to two questions with half of the steps drawn, and one at a threshold of its own."""

    def use(server, endpoints):
        for _ in range(4):
            for question in QUESTIONS:
                ask(server, question, right=True)
        ask(server, QUESTIONS[0], right=True, threshold=0.0)

    return write_log(tmp_path_factory.mktemp("served"), use, exploration={"share": SHARE, "seed": 3})


def test_draws_have_the_stated_probabilities_and_never_a_masked_model():
    exploration = Exploration(0.3, seed=0)
    mask = np.array([True, False, True, True])
    models, probabilities = zip(*(exploration.draw(2, mask) for _ in range(20_000)), strict=True)
    assert probabilities[0] == pytest.approx([0.1, 0, 0.8, 0.1])
    assert np.bincount(models, minlength=4) / len(models) == pytest.approx(probabilities[0], abs=0.015)


def test_the_log_has_the_probability_of_every_model_at_every_step(lines):
    explored, own = events(lines)[:-1], events(lines)[-1]
    steps = [step for line in explored for step in line["steps"]]
    for step in steps:
        wanted = [1 - SHARE / 2 if name == step["chosen"] else SHARE / 2 for name in MODELS]
        assert step["probabilities"] == pytest.approx(wanted)
    assert {step["model"] == step["chosen"] for step in steps} == {True, False}
    assert not any("probabilities" in step for step in own["steps"])


def test_the_bank_keeps_the_propensity_of_each_step_and_replays_what_was_logged(lines, tmp_path):
    made = bank_from_log(put_lines(tmp_path / "log.jsonl", lines), tmp_path / "bank")
    assert made.taken == check_replay(made.bank, lines) == 9
    assert made.bank.manifest.served.propensity is None
    bank = Bank.open(made.bank.path)
    nodes = bank.read("nodes.parquet")
    propensity, parent, model = (nodes[name].to_numpy() for name in ("propensity", "parent", "model"))
    roots = np.flatnonzero(parent < 0)
    assert np.isnan(propensity[roots]).all()
    asked_first = [line for line in events(lines) if line["question_sha256"] == events(lines)[0]["question_sha256"]]
    for k, name in enumerate(MODELS):
        given = [
            step["probabilities"][k] if "probabilities" in step else float(step["model"] == name)
            for step in (line["steps"][0] for line in asked_first)
        ]
        child = np.flatnonzero((parent == roots[0]) & (model == k))
        assert propensity[child] == pytest.approx(np.mean(given))


def test_a_bank_without_exploration_has_no_such_column(lines, tmp_path):
    made = bank_from_log(put_lines(tmp_path / "log.jsonl", _without(lines)), tmp_path / "bank")
    assert made.bank.manifest.served.propensity == 1.0
    assert "propensity" not in made.bank.read("nodes.parquet").column_names


def _without(lines: Lines) -> Lines:
    own = events(lines)[-1]
    return [line for line in lines if line["event"] == "server" or line.get("id") == own["id"]]


@pytest.mark.parametrize("share", [0, 1.5, -0.1])
def test_a_share_is_above_0_and_at_most_1(share, pool_file):
    with pytest.raises(ValueError, match=r"exploration\.share"):
        load_config(pool_file(exploration={"share": share}))


@pytest.mark.parametrize("probabilities", [[0.5, 0.6], [-0.5, 1.5]])
def test_a_log_whose_probabilities_are_none_is_refused_by_line(lines, probabilities, tmp_path: Path):
    broken = [line | {"steps": [dict(step) for step in line["steps"]]} if "steps" in line else line for line in lines]
    broken[1]["steps"][0]["probabilities"] = probabilities
    with pytest.raises(ValueError, match=r"line 2.*probabilities"):
        bank_from_log(put_lines(tmp_path / "log.jsonl", broken), tmp_path / "bank")
