"""How far the presets are from the measurements they stand for. The limits are what docs/simulator.md states."""

from __future__ import annotations

import json

import numpy as np
import pytest
from bank_files import few_bank, published
from simulator_toys import toy

from gym_stepwise_routing.baselines import AlwaysLargest, AlwaysSmallest
from gym_stepwise_routing.routers.base import name_of
from gym_stepwise_routing.sources import resolve
from gym_stepwise_routing.sources.recorded import BankSource
from gym_stepwise_routing.sources.simulator import PRESETS, SimulatorSource, load_preset
from gym_stepwise_routing.sources.simulator.threshold_curves import solo
from studies.simulator import refit
from studies.simulator.against_bank import compare_with_bank
from studies.simulator.fidelity import measure_fidelity, smoothed, total_variation
from studies.simulator.fitting.build import build_gsm8k, first_recorded
from studies.simulator.fitting.math_curve import accuracy_by_level
from studies.simulator.fitting.processbench import read_processbench
from studies.simulator.published import MODELS, histograms, stop_hazards, threshold_curve


@pytest.fixture(scope="module")
def fidelity():
    return measure_fidelity(SimulatorSource("math-qwen2.5"))


def test_the_ends_of_the_curve_are_the_published_ones(fidelity):
    assert fidelity.published.accuracy[0] == 0.364
    assert fidelity.published.accuracy[-1] == 0.73
    assert abs(fidelity.accuracy_difference[[0, -1]]).max() < 0.02


def test_accuracy_is_within_two_and_a_half_points_but_where_the_published_curve_jumps(fidelity):
    """Published points are single runs on 500 problems: they go down and up by up to 7.6 points between neighbours."""
    off = np.flatnonzero(abs(fidelity.accuracy_difference) > 0.025)
    assert fidelity.published.thresholds[off].tolist() == pytest.approx([0.25, 0.3, 0.75])
    assert abs(fidelity.accuracy_difference).max() < 0.037
    assert (abs(fidelity.accuracy_difference[off]) < 1.75 * fidelity.standard_error[off]).all()
    assert fidelity.chi_square < 21  # 21 points: no more scatter than sampling gives
    steps = np.diff(fidelity.published.accuracy)
    assert steps[5] > 0.07  # 0.25 to 0.30
    assert steps[[4, 14]].max() < 0  # down to 0.25, and down to 0.75, although more is rewritten


def test_large_model_tokens_are_within_ten_per_cent_at_every_threshold(fidelity):
    assert abs(fidelity.token_ratio - 1).max() < 0.10


def test_small_model_tokens_are_near_but_where_it_writes_alone(fidelity):
    """Alone it writes 447 tokens against 401: solutions of MATH train, which tell when to stop, are longer."""
    off = 100 * (fidelity.small_token_ratio - 1)
    assert off[0] == pytest.approx(11.6, abs=0.1)
    assert abs(off[1:]).max() < 6
    assert fidelity.published.small_tokens[1] == pytest.approx(375.468 + 75.486)


def test_distributions_are_within_the_stated_distances(fidelity):
    found = {distance.what: distance.distance for distance in fidelity.distances}
    for model in MODELS:
        assert found[f"{model}, steps of right solutions"] < 0.08
        assert found[f"{model}, step of the first error in wrong solutions"] < 0.08
    assert found["verifier scores, correct"] < 0.27
    assert found["verifier scores, fresh error"] < 0.44
    assert found["verifier scores, propagated error"] < 0.20
    assert found["verifier scores, correct, ours smoothed by 0.03"] < 0.11
    assert found["verifier scores, fresh error, ours smoothed by 0.12"] < 0.16
    assert found["verifier scores, propagated error, ours smoothed by 0.12"] < 0.07


def test_only_what_was_published_is_compared():
    with pytest.raises(ValueError, match="nothing was published for it"):
        measure_fidelity(SimulatorSource("omni-like"))
    with pytest.raises(ValueError, match="nothing was published for it"):
        measure_fidelity(SimulatorSource("gsm8k-like"))


def test_published_figures_are_whole():
    curve = threshold_curve()
    np.testing.assert_allclose(curve.thresholds, np.arange(21) / 20)
    for model, solved in zip(MODELS, (2819, 5785), strict=True):
        figures = histograms(model)
        assert figures.right_length.sum() == pytest.approx(solved / 7500, abs=1e-3)
        assert figures.right_length.sum() + figures.wrong_error.sum() == pytest.approx(1, abs=1e-3)
        assert stop_hazards(model)[-1] == 1


def test_recovery_grows_with_difficulty_and_from_set_to_set():
    for name in ("math-qwen2.5", "omni-like"):
        recovery = load_preset(name).parameters.recovery
        assert list(recovery) == sorted(recovery)
    means = [np.mean(load_preset(name).parameters.recovery) for name in ("gsm8k-like", "math-qwen2.5", "omni-like")]
    assert means == sorted(means)
    assert means[2] == pytest.approx(0.341, abs=0.005)


@pytest.mark.parametrize(
    ("name", "wrong", "right", "presets"),
    [
        ("gsm8k", 207, 7, ["gsm8k-like"]),
        ("math", 594, 94, ["math-qwen2.5", "math-qwen2.5-3"]),
        ("olympiadbench", 661, 161, []),
        ("omnimath", 759, 259, ["omni-like"]),
    ],
)
def test_the_presets_say_the_recovery_of_their_own_set(shared_dir, name, wrong, right, presets):
    solutions = read_processbench(shared_dir / "data/processbench" / f"{name}.json")
    with_error = solutions.first_error >= 0
    assert (int(with_error.sum()), int(solutions.right[with_error].sum())) == (wrong, right)
    for preset in presets:
        assert f"{right / wrong:.3f}" in load_preset(preset).origins["recovery"].text


def test_a_larger_model_is_better_alone():
    for name in PRESETS:
        process = SimulatorSource(name).process
        right = [solo(process, model).accuracy for model in range(len(process.scored))]
        assert right == sorted(right)


@pytest.mark.parametrize("preset", ["gsm8k-like", "math-qwen2.5", "math-qwen2.5-3", "omni-like"])
def test_every_model_alone_does_worse_on_a_harder_level(preset):
    """Although recovery grows with the level: 'hard' is hard for everyone."""
    lost = -np.diff(accuracy_by_level(SimulatorSource(preset).process), axis=1)
    assert lost.min() > {"omni-like": 0.01}.get(preset, 0.08)


def test_total_variation_and_smoothing():
    assert total_variation(np.array([1.0, 1.0]), np.array([2.0, 0.0])) == pytest.approx(0.5)
    spike = np.eye(20)[0]
    wide = smoothed(spike, 0.12)
    assert wide.sum() == pytest.approx(1)
    assert wide[0] < 0.35
    np.testing.assert_allclose(smoothed(np.ones(20) / 20, 0.1).sum(), 1)


@pytest.fixture(scope="module")
def recording(shared_dir, tmp_path_factory):
    """The bank that the presets were measured on."""
    return published(shared_dir, tmp_path_factory.mktemp("published"))


def test_the_bank_that_gsm8k_like_was_measured_on(recording):
    """Not a proof of anything new: these problems gave the numbers. It shows that the process can carry them."""
    rows = compare_with_bank(
        SimulatorSource("gsm8k-like", problems=4000), BankSource(recording), splits=("train", "calibration")
    )
    assert len(rows) == 22
    assert {row.mode for row in rows} == {"route", "regenerate"}
    assert max(abs(row.sigmas) for row in rows) < 2.2
    assert max(abs(row.bank.steps - row.simulator.steps) for row in rows) < 0.2


def test_the_bank_on_problems_that_gave_no_number():
    """Fewer test problems can be solved (0.66 against 0.72): chance, and the simulator is too good by that."""
    rows = compare_with_bank(
        SimulatorSource("gsm8k-like", problems=4000), BankSource("gsm8k-qwen2.5-coder"), splits=("test",)
    )
    assert max(abs(row.sigmas) for row in rows) < 3.3
    assert np.mean([row.simulator.accuracy - row.bank.accuracy for row in rows]) == pytest.approx(0.03, abs=0.04)


def tokens_of_the_last_step(name, splits):
    """Mean tokens of the step at the horizon under uniformly random routing, by model."""
    source, rng, found = resolve(name), np.random.default_rng(0), []
    for split in splits:
        state = source.start(np.tile(source.problems(split), 40 if name.endswith("coder") else 1), rng)
        for _ in range(source.horizon):
            state = source.step(state, rng.integers(2, size=len(state)), rng)
            last, state = state, state.take(np.flatnonzero(~state.terminal))
        found.append(last)
    models, tokens = (np.concatenate([getattr(part, of) for part in found]) for of in ("model", "tokens"))
    return [tokens[models == model].mean() for model in range(2)]


def test_the_tail_is_longer_than_a_simulated_step():
    """Stated in docs/simulator.md: recorded, the step at the horizon is all the rest; simulated, it is a step."""
    recorded = tokens_of_the_last_step("gsm8k-qwen2.5-coder", ("train", "calibration"))
    simulated = tokens_of_the_last_step("gsm8k-like", ("test",))
    assert recorded == pytest.approx([32.2, 35.4], abs=3)
    assert simulated == pytest.approx([22.0, 21.6], abs=1)


def test_the_largest_model_is_that_of_the_pool_with_and_without_a_verifier():
    """Three models and no verifier have as many rows in the ledger as two models and one."""
    three = toy(models=3)
    source = SimulatorSource(three, problems=200)
    rows = compare_with_bank(source, source)
    (large,) = (row for row in rows if row.router == name_of(AlwaysLargest()) and row.mode == "route")
    (small,) = (row for row in rows if row.router == name_of(AlwaysSmallest()) and row.mode == "route")
    assert large.simulator.large_tokens > 10
    assert large.simulator.small_tokens == 0
    assert small.simulator.large_tokens == 0


def test_a_bank_of_another_pool_is_refused():
    with pytest.raises(ValueError, match="has 2 models; allowed: 3"):
        compare_with_bank(SimulatorSource("math-qwen2.5-3"), BankSource("gsm8k-qwen2.5-coder"))


def test_gsm8k_like_stands_for_the_problems_that_were_recorded_first(recording):
    """The preset is rebuilt, number by number, from the problems that gave its numbers."""
    assert len(first_recorded(recording)) == 140
    assert build_gsm8k(recording) == load_preset("gsm8k-like")


def test_the_presets_are_built_from_that_recording_only(monkeypatch, capsys, tmp_path):
    from studies.simulator.fitting.__main__ import main

    monkeypatch.setattr("sys.argv", ["fitting", str(tmp_path), "--bank", str(few_bank())])
    with pytest.raises(SystemExit):
        main()
    assert "allowed: e9dac8e56ff1, the recording of 252 GSM8K problems" in " ".join(capsys.readouterr().err.split())


def test_figures_of_the_preset_are_those_of_its_fidelity(fidelity):
    found = refit.figures(load_preset("math-qwen2.5").parameters)
    assert found.chi_square == pytest.approx(fidelity.chi_square)
    assert found.accuracy == pytest.approx(abs(fidelity.accuracy_difference).max())
    assert found.small_tokens == pytest.approx(abs(fidelity.small_token_ratio[:-1] - 1).max())
    assert found.large_tokens == pytest.approx(abs(fidelity.token_ratio[1:] - 1).max())


@pytest.mark.slow
def test_a_fit_with_its_ends_held_keeps_ten_percent_everywhere(tmp_path):
    refit.main(out=tmp_path)
    found = json.loads((tmp_path / "math-qwen2.5-refit.json").read_text())["results"]["ends held"]
    assert max(found["small_tokens"], found["large_tokens"]) < 0.1
    assert abs(found["small_alone"] / 400.9 - 1) < 0.1
    assert found["chi_square"] < 16
    assert "SIMULATED" in (tmp_path / "math-qwen2.5-refit.md").read_text()
