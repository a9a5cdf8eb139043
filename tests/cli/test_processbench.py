"""The command ``processbench``: its table, the page that it adds to, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("transformers", reason="text verifiers need the llm extra")

from gym_stepwise_routing.baselines.verifiers import text
from gym_stepwise_routing.cli.app import app


class Reader:
    """In place of an encoder: a step is broken if it says so."""

    name = "reader"

    def __init__(self, encoder, **settings):
        self.seed = 0

    def fit(self, steps, labels, weight):
        return self

    def predict(self, steps):
        return np.array([float("broken" not in step.step) for step in steps])


@pytest.fixture
def benchmark(tmp_path):
    rows = [{"problem": f"p{i}", "steps": ["fine", "broken" if i % 2 else "fine"]} for i in range(20)]
    path = tmp_path / "small.json"
    path.write_text(json.dumps([{**row, "label": 1 if i % 2 else -1} for i, row in enumerate(rows)]))
    return path


def test_the_table_is_shown_and_added_to_a_page(benchmark, tmp_path, monkeypatch):
    monkeypatch.setattr(text, "TextVerifier", Reader)
    page = tmp_path / "new" / "page.md"
    arguments = ["processbench", str(benchmark), "--encoder", "x", "--seeds", "2", "--out", str(page)]
    for _ in range(2):
        done = CliRunner(env={"COLUMNS": "200"}).invoke(app, arguments)
        assert done.exit_code == 0, done.output
    assert "1.000 [1.000, 1.000]" in done.output
    assert "n = 20 solutions of 20 problems" in " ".join(done.output.split())
    assert page.read_text().count("| small | reader |") == 2
    assert "2 seeds" in page.read_text()


@pytest.mark.parametrize(
    ("more", "message"),
    [(["--labels", "both"], "labels='both'"), (["--seeds", "0"], "seeds=0"), (["--encoder", "/nosuch"], "nosuch")],
)
def test_what_is_wrong_is_said(benchmark, more, message):
    arguments = ["processbench", str(benchmark), *([] if "--encoder" in more else ["--encoder", "x"]), *more]
    done = CliRunner(env={"COLUMNS": "400"}).invoke(app, arguments)
    assert done.exit_code == 2
    assert message in done.output
