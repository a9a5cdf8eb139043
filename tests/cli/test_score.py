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


class Rater(hub.LargeModelRater):
    """In place of the large model: short steps are good; every word is a token."""

    def __init__(self, model, *, trust_remote_code):
        assert not trust_remote_code

    def _length(self, text):
        return len(text.split())

    def score(self, trace):
        return max(0, 9 - len(trace.steps[-1]) // 20) / 9


@pytest.fixture
def rated(monkeypatch, tmp_path):
    monkeypatch.setattr(hub, "LargeModelRater", Rater)
    monkeypatch.setattr(questions, "join_questions", lambda bank, files: ["Q"] * len(bank.problems))
    path = tmp_path / "rating.parquet"
    done = CliRunner(env={"COLUMNS": "200"}).invoke(
        app, ["score", BANK, "--kind", "rating", "--model", "weights", "--any-weights", "--out", str(path)]
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
    assert (verifier.prompt_tokens, verifier.decoded_tokens) == (len(hub.RATING.split()), 1)
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


@pytest.mark.parametrize("mode", ["regenerate", "route"])
def test_without_ratings_it_says_what_it_needs(tmp_path, mode):
    arguments = ["compare", "--bank", BANK, "--mode", mode, "--only", "SpecReason", "--out", str(tmp_path)]
    done = CliRunner().invoke(app, [*arguments, "--resamples", "100"])
    assert done.exit_code == 0, done.output
    (row,) = json.loads((tmp_path / "comparison.json").read_text())["rows"]
    assert "needs mode 'regenerate'" in row["not_applicable"]
    assert "ratings by the largest model" in row["not_applicable"]


def test_ratings_by_another_model_are_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(questions, "join_questions", lambda bank, files: ["Q"] * len(bank.problems))
    arguments = ["score", BANK, "--kind", "rating", "--model", "weights", "--out", str(tmp_path / "x")]
    done = CliRunner(env={"COLUMNS": "400"}).invoke(app, arguments)
    assert done.exit_code == 2
    assert "model='weights' is not named like the bank's largest model" in done.output
    assert "--any-weights" in done.output
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_kind_is_refused(tmp_path):
    arguments = ["score", BANK, "--kind", "guess", "--model", "x", "--out", str(tmp_path / "x")]
    done = CliRunner(env={"COLUMNS": "400"}).invoke(app, arguments)
    assert done.exit_code == 2
    assert "kind='guess'" in done.output
