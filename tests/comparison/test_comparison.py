"""The whole comparison: rows, intervals, what depends on which split, tables, files, command line."""

from __future__ import annotations

import json

import numpy as np
import pytest
from bank_files import few_bank
from fake_sources import TreeSource, Untabulated
from typer import Typer
from typer.testing import CliRunner

from gym_stepwise_routing.baselines.oracle import oracle_paths
from gym_stepwise_routing.cli.compare_command import compare as compare_command
from gym_stepwise_routing.cli.compare_command import question_files
from gym_stepwise_routing.comparison import Arena, Rule, compare, roster
from gym_stepwise_routing.comparison.comparison import SWEEP_METRICS
from gym_stepwise_routing.comparison.comparison_tables import tables
from gym_stepwise_routing.comparison.output import write
from gym_stepwise_routing.comparison.run import run_comparison, select
from gym_stepwise_routing.comparison.state_bounds import Oracle
from gym_stepwise_routing.evaluation import metrics

FEW = ("single", "first k", "p_min", "Glimp", "fitted Q", "FrugalGPT")
BANK = "gsm8k-qwen2.5-coder"


def few(arena, rule=None, names=FEW):
    return compare(arena, select(names), rule or Rule(), resamples=200)


@pytest.fixture(scope="module")
def result():
    return few(Arena(TreeSource(0, problems=90), mode="regenerate"))


def test_every_family_is_there_once_and_has_a_group():
    names = [family.name for family in roster()]
    assert len(set(names)) == len(names)
    assert {"single models", "zero router", "TRIM-Agg", "TRIM-POMDP", "SpecReason", "fitted Q"} <= set(names)
    assert all(family.group for family in roster())


def test_rows_hold_what_their_curves_say(result):
    anchors = result.reference.anchors
    for row in result.rows:
        if row.not_applicable:
            continue
        assert row.sweep.keys() == SWEEP_METRICS.keys()
        inside = (row.costs > anchors.cost_small) & (row.costs < anchors.cost_large)
        expected = metrics.apgr(row.costs, row.accuracies, anchors) if inside.any() else None
        found = row.sweep["APGR"]
        assert (found is None) == (expected is None)
        if found is not None:
            assert found.estimate == pytest.approx(expected)
        if row.chosen is not None:
            place = list(row.settings).index(row.chosen.setting)
            assert row.chosen.accuracy.estimate == pytest.approx(row.accuracies[place])
            assert row.chosen.cost.estimate == pytest.approx(row.costs[place])
            assert row.chosen.accuracy.low <= row.chosen.accuracy.estimate <= row.chosen.accuracy.high
            assert row.chosen.regret >= -1e-9
            assert set(row.chosen.costs) == {"flops", "large_tokens", "dollars", "latency"}


def test_the_line_between_the_constants_is_nobodys_area():
    single = few(Arena(TreeSource(0, problems=90)), names=("single",)).rows[0]
    assert single.sweep["APGR"] is None
    assert single.sweep["AIQ"] is not None


def test_the_oracle_has_a_row_that_nobody_is_above():
    """Query-level rows play without drafts, so that paths with drafts alone would be no bound on them."""
    arena = Arena(TreeSource(0, problems=90), mode="regenerate", cost_unit="flops")
    found = few(arena, names=("single", "first k", "p_min", "query classifier", "cascade", "oracle"))
    (oracle,) = [row for row in found.rows if row.name == "oracle"]
    ceiling = found.reference.ceiling
    for row in found.rows:
        if row.costs is not None:
            for cost, accuracy in zip(row.costs, row.accuracies, strict=True):
                assert accuracy <= ceiling.accuracy(cost + 1e-9) + 1e-9
    for cost, accuracy in zip(oracle.costs, oracle.accuracies, strict=True):
        assert accuracy == pytest.approx(ceiling.accuracy(cost + 1e-9), abs=1e-6)
    drafting = oracle_paths(arena.game("test", ("progress",)))
    assert (found.reference.cheapest.right < drafting.right - 1e-9).any()
    units = found.reference.models[0].costs
    flops = Oracle(arena).costs("test", 20)
    assert set(flops) == set(units)
    normaliser = arena.game("test", ("progress",)).normaliser
    np.testing.assert_allclose(flops["flops"] / normaliser, Oracle(arena).points("test").cost[20])


def test_who_cannot_play_says_why(result):
    absent = {row.name: row.not_applicable for row in result.rows if row.not_applicable}
    assert "allowed: 'route', 'escalate'" in absent["GlimpRouter"]
    assert "no verifier scores" in absent["fitted Q with verifier"]


def test_choices_do_not_depend_on_the_reported_split():
    def settings(flip):
        source = TreeSource(7, problems=90)
        if flip:
            rows = source.terminal & (source.problem % 3 == 2)
            source.correct[rows] = ~source.correct[rows]
        found = few(Arena(source), names=("first k", "p_min", "fitted Q", "FrugalGPT"))
        return {row.name: row.chosen and row.chosen.setting for row in found.rows if not row.not_applicable}

    assert settings(flip=False) == settings(flip=True)


def test_no_setting_meets_an_impossible_rule():
    found = few(Arena(TreeSource(0, problems=30), cost_unit="flops"), Rule("budget", 1e-6), ("p_min",))
    assert found.rows[0].chosen is None
    assert found.rows[0].sweep is not None
    assert "no setting met the rule" in "".join(table.markdown() for table in tables(found))


def test_random_sources_have_no_oracle_and_are_labelled():
    found = few(Arena(Untabulated(TreeSource(0, problems=60))), names=("single", "p_min", "two-part"))
    assert found.reference.ceiling is None
    assert found.rows[1].chosen.regret is None
    assert "is random" in found.rows[2].not_applicable
    assert all("SIMULATED" in table.title for table in tables(found)[:2])


def test_tables_show_every_row(result):
    many = tables(result)
    assert [table.title.split(",")[0].split(" (")[0] for table in many] == [
        "Chosen on calibration",
        "Oracle sweeps",
        "Not applicable",
    ]
    for table in many:
        assert all(len(line) == len(table.columns) for _, line in table.lines())
    names = [line[0] for heading, line in many[0].lines() if not heading]
    assert names == [row.name for row in result.rows if not row.not_applicable]
    assert "±" in str(tables(result, brief=True)[0].groups)


def test_files_hold_strict_json_with_every_figure(result, tmp_path):
    paths = write(result, tmp_path / "new")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["comparison.json", "figure.png", "table.md"]
    assert paths[1].read_bytes().startswith(b"\x89PNG")
    stored = json.loads(paths[2].read_text(), parse_constant=pytest.fail)
    assert stored["simulated"] is True
    assert len(stored["rows"]) == len(result.rows)
    row = next(row for row in result.rows if row.name == "fitted Q")
    kept = next(kept for kept in stored["rows"] if kept["name"] == "fitted Q")
    np.testing.assert_allclose(kept["costs"], row.costs)
    assert kept["sweep"]["AIQ"]["estimate"] == pytest.approx(row.sweep["AIQ"].estimate)


def test_the_command_compares_and_writes(tmp_path):
    app = Typer()
    app.command()(compare_command)
    runner = CliRunner()
    arguments = ["--bank", str(few_bank()), "--cost-unit", "large_tokens", "--mode", "regenerate", "--resamples", "200"]
    done = runner.invoke(app, [*arguments, "--only", "single", "--only", "TRIM-Thr", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "TRIM-Thr" in done.output
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    stored = json.loads((tmp_path / "comparison.json").read_text())
    assert stored["verifier"] == "feature-verifier"
    assert stored["problems"].keys() == {"train", "calibration", "test"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bank", "nosuch"], "source='nosuch' is not known"),
        (["--bank", BANK, "--mode", "both"], "mode='both' is not known"),
        (["--bank", BANK, "--cost-unit", "euros"], "cost_unit='euros' is not known"),
        (["--bank", BANK, "--split", "calibration"], "split='calibration' is not known"),
        (["--bank", BANK, "--accuracy", "-1"], "level=-1.0; allowed"),
        (["--bank", BANK, "--only", "nobody"], "only='nobody' is in no router's name"),
        (["--bank", BANK, "--scores", "nosuch.parquet", "--only", "single"], "the file is missing"),
        (["--bank", BANK, "--questions", "gsm8k", "--only", "single"], "allowed: DATASET/SPLIT=FILE"),
    ],
)
def test_the_command_says_what_is_wrong(arguments, message):
    app = Typer()
    app.command()(compare_command)
    done = CliRunner(env={"COLUMNS": "400"}).invoke(app, arguments)
    assert done.exit_code == (1 if "file is missing" in message else 2)  # a fault of a file, or of the usage
    assert message in " ".join(done.output.replace("│", " ").split())


def test_question_files_are_pairs():
    assert {key: str(path) for key, path in question_files(["a/b=c=d", "e/f=g"]).items()} == {"a/b": "c=d", "e/f": "g"}


def test_scores_are_for_banks():
    with pytest.raises(ValueError, match="allowed: with a bank"):
        run_comparison(TreeSource(0), scores="x.parquet", only=["single"])


def test_known_figures_of_recorded_problems():
    """TRIM's unit: routing pays; FLOPs: switching late is dearer than always-largest."""
    tokens = run_comparison(
        few_bank(), cost_unit="large_tokens", only=["single", "first k", "state only"], resamples=200
    )
    flops = run_comparison(few_bank(), cost_unit="flops", only=["first k"], resamples=200)
    first, large = (row for row in tokens.rows if "state only" not in row.name)
    assert first.sweep["APGR"].estimate > 0.55
    assert flops.rows[0].costs.max() > 1.05
    cross, same = (row.sweep["AIQ"].estimate for row in tokens.rows if "state only" in row.name)
    assert same > cross
    assert large.chosen.setting == "Qwen2.5-Coder-1.5B-Instruct"
    assert large.chosen.pgr.estimate == 1
