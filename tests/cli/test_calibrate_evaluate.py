"""``calibrate`` and ``evaluate``: what is promised, what it saves, and plain words where it saves nothing."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

pytest.importorskip("stable_baselines3")

from gym_stepwise_routing.baselines import AlwaysLargest
from gym_stepwise_routing.calibration import load_calibrated
from gym_stepwise_routing.calibration.targets import Accuracy, CostLimit, RelativeAccuracy, parse_target
from gym_stepwise_routing.cli.app import app
from gym_stepwise_routing.evaluation import evaluate

BANK = "gsm8k-qwen2.5-coder"
GAME = ["--mode", "regenerate", "--cost-unit", "large_tokens"]


def run(*words: str):
    return CliRunner().invoke(app, list(words))


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory):
    out = tmp_path_factory.mktemp("calibrated") / "router"
    words = ["confidence-p_min", "--bank", BANK, "--target", "accuracy=0.7x", *GAME, "--out", str(out), "--json"]
    result = run("calibrate", *words)
    assert result.exit_code == 0, result.output
    return out, json.loads(result.stdout)


def test_targets_are_read_from_words():
    assert parse_target("accuracy=0.95x") == RelativeAccuracy(0.95)
    assert parse_target("accuracy = 0.7") == Accuracy(0.7)
    assert parse_target("cost=0.4", upper=9) == CostLimit(0.4, 9)
    for wrong in ("accuracy", "cost=0.4x", "accuracy=x", "speed=1", "accuracy=1.5x"):
        with pytest.raises(ValueError, match="allowed"):
            parse_target(wrong)


def test_calibrate_saves_the_certificate_that_it_prints(calibrated):
    folder, told = calibrated
    certificate = load_calibrated(folder).certificate
    assert certificate.certified
    assert told["certificate"]["threshold"] == certificate.threshold
    assert told["split"] == "calibration"
    assert told["warnings"] == []


def test_evaluate_measures_the_folder_on_test_as_the_library_does(calibrated):
    folder, _ = calibrated
    told = json.loads(run("evaluate", str(folder), "--bank", BANK, "--json").stdout)
    result = evaluate(load_calibrated(folder), BANK, "test", mode="regenerate", cost_unit="large_tokens")
    assert told["accuracy"]["estimate"] == pytest.approx(result.accuracy)
    assert told["cost"]["estimate"] == pytest.approx(result.mean_cost)
    assert told["saving"]["estimate"] == pytest.approx(1 - result.mean_cost)
    assert told["saving"]["low"] < told["saving"]["estimate"] < told["saving"]["high"]
    assert told["n"] == len(result)


def test_the_saving_is_told_in_every_unit_of_the_pool(calibrated):
    folder, _ = calibrated
    told = json.loads(run("evaluate", str(folder), "--bank", BANK, "--json").stdout)
    game = {"mode": "regenerate", "cost_unit": "large_tokens"}
    ours, largest = (evaluate(router, BANK, "test", **game) for router in (load_calibrated(folder), AlwaysLargest()))
    assert set(told["savings"]) == {"large_tokens", "flops", "dollars", "latency"}
    assert told["savings"]["large_tokens"] == told["saving"]
    # regenerate charges always-largest for drafts, which writing alone does not make
    alone = evaluate(AlwaysLargest(), BANK, "test", mode="route", cost_unit="flops")
    for unit in ("flops", "dollars", "latency"):
        expected = 1 - ours.costs[unit].mean() / alone.costs[unit].mean()
        assert told["savings"][unit]["estimate"] == pytest.approx(expected)
        assert ours.costs[unit].mean() / largest.costs[unit].mean() < 1 - expected
    shown = run("evaluate", str(folder), "--bank", BANK).stdout
    assert all(f"in {label}" in shown for label in ("FLOPs", "dollars", "latency"))


def test_a_rule_is_played_in_the_unit_that_every_pool_has():
    for words in (("evaluate", "always-smallest"), ("calibrate", "confidence-p_min", "--target", "accuracy=0.5x")):
        told = json.loads(run(*words, "--bank", BANK, "--json").stdout)
        assert told["cost_unit"] == "large_tokens"


def test_always_largest_saves_nothing_and_that_is_said():
    told = json.loads(run("evaluate", "always-largest", "--bank", BANK, "--json").stdout)
    assert (told["saving"]["low"], told["saving"]["high"]) == (0, 0)
    assert "saves nothing" in told["warnings"][0]


def test_a_constant_certificate_says_what_would_be_needed():
    words = ("calibrate", "confidence-p_min", "--bank", BANK, "--target", "accuracy=0.95x", "--json")
    told = json.loads(run(*words).stdout)
    assert told["certificate"]["certified"]
    assert told["constant"].endswith("1.5B-Instruct")
    assert "saves nothing" in told["warnings"][0]
    assert "to do better" in told["warnings"][0]


def test_a_cost_without_a_bound_is_no_promise_and_says_so():
    result = run("calibrate", "confidence-p_min", "--bank", BANK, "--target", "cost=0.8", *GAME)
    assert "promised: nothing" in result.stdout
    assert "only with --upper" in result.stderr


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["evaluate", "nonsense", "--bank", BANK], "router='nonsense'"),
        (["evaluate", "always-largest", "--bank", "nonsense"], "source='nonsense'"),
        (["evaluate", "always-largest", "--bank", BANK, "--split", "tset"], "split='tset'"),
        (["evaluate", "always-largest", "--bank", BANK, "--threshold", "0.5"], "--threshold=0.5"),
        (["calibrate", "always-largest", "--bank", BANK, "--target", "accuracy=0.9x"], "has no scores"),
        (["calibrate", "confidence-p_min", "--bank", BANK, "--target", "quality=1"], "target='quality=1'"),
    ],
)
def test_user_errors_name_parameter_value_and_what_is_allowed(words, named):
    result = run(*words)
    assert result.exit_code == 2
    assert named in result.stderr
    assert "allowed" in result.stderr


def test_a_calibrated_router_is_not_evaluated_in_another_mode(calibrated):
    result = run("evaluate", str(calibrated[0]), "--bank", BANK, "--mode", "route")
    assert result.exit_code == 2
    assert "mode='route'; allowed with this router: 'regenerate'" in result.stderr
