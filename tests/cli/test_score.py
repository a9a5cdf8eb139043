"""Command ``score``, from ratings to SpecReason in a comparison; the judges themselves have tests of their own."""

from __future__ import annotations

import json

import numpy as np
import pytest
from bank_files import few_bank
from typer.testing import CliRunner

pytest.importorskip("transformers", reason="verifiers need the llm extra")

from gym_stepwise_routing.banks import Bank, questions
from gym_stepwise_routing.baselines.verifiers import hub
from gym_stepwise_routing.baselines.verifiers.bank_judging import small_steps
from gym_stepwise_routing.baselines.verifiers.score_files import read_scores, write_scores
from gym_stepwise_routing.cli.app import app
from gym_stepwise_routing.costs.charging import Verifier


class Rater(hub.LargeModelRater):
    """In place of the large model: short steps are good; every word is a token."""

    def __init__(self, model, *, dtype, trust_remote_code):
        assert (dtype, trust_remote_code) == ("auto", False)

    def _length(self, text):
        return len(text.split())

    def scores(self, traces):
        return np.array([max(0, 9 - len(trace.steps[-1]) // 20) / 9 for trace in traces])


@pytest.fixture
def rate(monkeypatch, tmp_path):
    monkeypatch.setattr(hub, "LargeModelRater", Rater)
    monkeypatch.setattr(questions, "join_questions", lambda bank, files: ["Q"] * len(bank.problems))
    path = tmp_path / "rating.parquet"

    def rate(more):
        arguments = [
            "score",
            str(few_bank()),
            "--kind",
            "rating",
            "--model",
            "weights",
            "--any-weights",
            "--out",
            str(path),
        ]
        done = CliRunner(env={"COLUMNS": "200"}).invoke(app, [*arguments, *more])
        assert done.exit_code == 0, done.output
        return path

    return rate


@pytest.fixture
def rated(rate):
    rate(["--split", "test"])
    return rate([])  # goes on with the other splits


def test_ratings_are_charged_as_the_largest_model_and_make_spec_reason_play(rated, tmp_path):
    bank = Bank.open(few_bank())
    verifier = read_scores(rated, bank).pool.verifier
    largest = bank.pool[-1]
    assert verifier.name == f"{largest.name} (rating)"
    assert (verifier.parameters, verifier.price, verifier.latency) == (
        largest.parameters,
        largest.price,
        largest.latency,
    )
    assert (verifier.prompt_tokens, verifier.decoded_tokens) == (len(hub.RATING.split()), 1)
    arguments = [
        "compare",
        "--bank",
        str(few_bank()),
        "--mode",
        "regenerate",
        "--only",
        "SpecReason",
        "--only",
        "TRIM-Thr",
    ]
    arguments += ["--resamples", "100", "--cost-unit", "flops"]
    folder = tmp_path / "out"
    done = CliRunner().invoke(app, [*arguments, "--scores", str(rated), "--out", str(folder)])
    assert done.exit_code == 0, done.output
    rows = {row["name"]: row for row in json.loads((folder / "comparison.json").read_text())["rows"]}
    assert rows["SpecReason"]["not_applicable"] == ""
    assert rows["TRIM-Thr"]["not_applicable"] == ""  # by the feature verifier: ratings are for those who ask for them
    assert max(rows["TRIM-Thr"]["costs"]) < max(rows["SpecReason"]["costs"])
    assert len(set(rows["SpecReason"]["costs"])) > 3
    # every draft is read by a model as large as the one that is to be saved
    assert min(rows["SpecReason"]["costs"]) > 0.5


def test_a_split_without_ratings_is_not_played_on_zeros(rate, tmp_path):
    bank, path = Bank.open(few_bank()), rate(["--split", "train", "--split", "test"])
    problems = np.concatenate([bank.split_problems("train"), bank.split_problems("test")])
    wanted = [row for row in small_steps(bank) if bank.nodes.problem[row] in problems]
    assert np.array_equal(np.flatnonzero(np.isfinite(read_scores(path, bank).score)), wanted)
    arguments = [
        "compare",
        "--bank",
        str(few_bank()),
        "--mode",
        "regenerate",
        "--only",
        "SpecReason",
        "--out",
        str(tmp_path),
    ]
    done = CliRunner().invoke(app, [*arguments, "--resamples", "100", "--scores", str(path)])
    assert done.exit_code == 0, done.output
    (row,) = json.loads((tmp_path / "comparison.json").read_text())["rows"]
    assert "has no verifier figures before any decision" in row["not_applicable"]


def test_scores_by_another_judge_are_not_gone_on_with(rated):
    arguments = ["score", str(few_bank()), "--kind", "prm-labels", "--model", "weights", "--out", str(rated)]
    before = rated.read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub, "HubPrm", lambda model, style, **loading: Prm())
        done = CliRunner(env={"COLUMNS": "400"}).invoke(app, arguments)
    assert done.exit_code == 1
    assert "allowed: by Verifier(name='prm'" in done.output
    assert rated.read_bytes() == before


def test_a_verifier_without_a_price_leaves_its_row_without_dollars(tmp_path):
    bank = Bank.open(few_bank())
    scores = np.where(bank.depth > 0, 0.5, np.nan) + np.arange(len(bank.nodes)) % 7 / 20
    write_scores(tmp_path / "prm.parquet", bank, Prm().as_model(), scores)
    arguments = [
        "compare",
        "--bank",
        str(few_bank()),
        "--mode",
        "regenerate",
        "--only",
        "TRIM-Thr",
        "--resamples",
        "100",
    ]
    done = CliRunner(env={"COLUMNS": "200"}).invoke(
        app, [*arguments, "--scores", str(tmp_path / "prm.parquet"), "--out", str(tmp_path)]
    )
    assert done.exit_code == 0, done.output
    (row,) = json.loads((tmp_path / "comparison.json").read_text())["rows"]
    assert row["not_applicable"] == ""
    cells = next(line for line in (tmp_path / "table.md").read_text().splitlines() if "TRIM-Thr" in line).split("|")
    assert [cell.strip() for cell in cells].count("-") == 2  # dollars and seconds


class Prm:
    """In place of a process reward model."""

    def as_model(self):
        return Verifier("prm", parameters=1e6)


@pytest.mark.parametrize(
    ("mode", "family", "reason"),
    [
        ("regenerate", "SpecReason", "has no scores by 'Qwen2.5-Coder-1.5B-Instruct (rating)'"),
        ("route", "SpecReason", "mode='route'; allowed: 'regenerate'"),
        ("route", "STEER max-logit", "has no scores by 'Qwen2.5-Coder-0.5B-Instruct (max-logit)'"),
    ],
)
def test_without_scores_they_say_what_they_need(tmp_path, mode, family, reason):
    arguments = ["compare", "--bank", str(few_bank()), "--mode", mode, "--only", family, "--out", str(tmp_path)]
    done = CliRunner().invoke(app, [*arguments, "--resamples", "100"])
    assert done.exit_code == 0, done.output
    (row,) = json.loads((tmp_path / "comparison.json").read_text())["rows"]
    assert reason in row["not_applicable"]


def test_ratings_by_another_model_are_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(questions, "join_questions", lambda bank, files: ["Q"] * len(bank.problems))
    arguments = ["score", str(few_bank()), "--kind", "rating", "--model", "weights", "--out", str(tmp_path / "x")]
    done = CliRunner(env={"COLUMNS": "400"}).invoke(app, arguments)
    assert done.exit_code == 2
    assert "model='weights' is not named like the bank's model" in done.output
    assert "--any-weights" in done.output
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_kind_is_refused(tmp_path):
    arguments = ["score", str(few_bank()), "--kind", "guess", "--model", "x", "--out", str(tmp_path / "x")]
    done = CliRunner(env={"COLUMNS": "400"}).invoke(app, arguments)
    assert done.exit_code == 2
    assert "kind='guess'" in done.output
