"""Command ``score``, from ratings to SpecReason in a comparison; the judges themselves have tests of their own."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

pytest.importorskip("transformers", reason="verifiers need the llm extra")

from gym_stepwise_routing.banks import Bank, questions
from gym_stepwise_routing.baselines.verifiers import hub
from gym_stepwise_routing.baselines.verifiers.scores import read_scores
from gym_stepwise_routing.cli.app import app

BANK = "gsm8k-qwen2.5-coder"


class Rater:
    """In place of the large model: short steps are good."""

    def __init__(self, model):
        pass

    def score(self, step):
        return max(0, 9 - len(step.step) // 20) / 9


@pytest.fixture
def rated(monkeypatch, tmp_path):
    monkeypatch.setattr(hub, "LargeModelRater", Rater)
    monkeypatch.setattr(questions, "join_questions", lambda bank, files: ["Q"] * len(bank.problems))
    path = tmp_path / "rating.parquet"
    done = CliRunner(env={"COLUMNS": "200"}).invoke(
        app, ["score", BANK, "--kind", "rating", "--model", "weights", "--out", str(path)]
    )
    assert done.exit_code == 0, done.output
    return path


def test_ratings_are_charged_as_the_largest_model_and_make_spec_reason_play(rated, tmp_path):
    bank = Bank.open(BANK)
    verifier = read_scores(rated, bank).pool.verifier
    largest = bank.pool[-1]
    assert verifier.name == f"{largest.name} (rating)"
    assert (verifier.parameters, verifier.price, verifier.latency) == (
        largest.parameters,
        largest.price,
        largest.latency,
    )
    arguments = ["compare", "--bank", BANK, "--mode", "regenerate", "--only", "SpecReason", "--only", "TRIM-Thr"]
    arguments += ["--resamples", "100"]
    folder = tmp_path / "out"
    done = CliRunner().invoke(app, [*arguments, "--scores", str(rated), "--out", str(folder)])
    assert done.exit_code == 0, done.output
    rows = {row["name"]: row for row in json.loads((folder / "comparison.json").read_text())["rows"]}
    assert rows["SpecReason"]["not_applicable"] == ""
    assert len(set(rows["SpecReason"]["costs"])) > 3
    # every draft is read by a model as large as the one that is to be saved
    assert min(rows["SpecReason"]["costs"]) > 0.5


def test_without_ratings_it_says_what_it_needs(tmp_path):
    arguments = ["compare", "--bank", BANK, "--mode", "regenerate", "--only", "SpecReason", "--out", str(tmp_path)]
    done = CliRunner().invoke(app, [*arguments, "--resamples", "100"])
    assert done.exit_code == 0, done.output
    (row,) = json.loads((tmp_path / "comparison.json").read_text())["rows"]
    assert "needs ratings by the largest model" in row["not_applicable"]


def test_an_unknown_kind_is_refused(tmp_path):
    arguments = ["score", BANK, "--kind", "guess", "--model", "x", "--out", str(tmp_path / "x")]
    done = CliRunner(env={"COLUMNS": "400"}).invoke(app, arguments)
    assert done.exit_code == 2
    assert "kind='guess'" in done.output
