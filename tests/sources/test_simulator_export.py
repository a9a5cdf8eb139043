"""A simulated bank: the same form as a recorded one, and marked as simulated wherever it is shown."""

from __future__ import annotations

import json

import gymnasium as gym
import numpy as np
import pytest

from gym_stepwise_routing.baselines import AlwaysLargest, AlwaysSmallest
from gym_stepwise_routing.errors import BankError
from gym_stepwise_routing.evaluation.evaluate import evaluate
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.sources.recorded import BankSource
from gym_stepwise_routing.sources.simulator import SimulatorSource
from gym_stepwise_routing.sources.simulator.threshold_curves import solo
from gym_stepwise_routing.sources.simulator.to_bank import export_bank


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    source = SimulatorSource("gsm8k-like", problems=150)
    return export_bank(source, tmp_path_factory.mktemp("banks") / "simulated", seed=1)


def test_the_manifest_says_simulated(bank):
    assert json.loads((bank.path / "bank.json").read_text())["simulated"] is True
    assert bank.manifest.description.startswith("SIMULATED")
    assert bank.name == "simulated-gsm8k-like"


def test_everything_that_plays_it_says_simulated(bank):
    source = BankSource(bank)
    assert source.simulated
    assert gym.make("StepwiseRouting-v0", source=source).reset(seed=0)[1]["simulated"]
    assert Game(source).spec.simulated
    assert evaluate(AlwaysLargest(), source).simulated


def test_splits_are_those_of_the_simulator(bank):
    source = SimulatorSource("gsm8k-like", problems=150)
    for split in ("train", "calibration", "test"):
        assert bank.problems.index[bank.split_problems(split)].tolist() == source.problems(split).tolist()


def test_it_plays_like_the_simulator(bank):
    process = SimulatorSource("gsm8k-like").process
    for model, router in enumerate((AlwaysSmallest(), AlwaysLargest())):
        expected = solo(process, model)
        played = [
            evaluate(router, BankSource(bank), split, normaliser=1.0) for split in ("train", "calibration", "test")
        ]
        right = np.concatenate([part.right for part in played])
        steps = np.concatenate([part.steps for part in played])
        assert abs(right.mean() - expected.accuracy) < 4.5 * 0.5 / np.sqrt(len(right))
        assert abs(steps.mean() - expected.steps) < 4.5 * steps.std() / np.sqrt(len(steps))


def test_a_shallow_bank_writes_all_the_rest_in_its_last_step(tmp_path):
    source = SimulatorSource("math-qwen2.5", problems=300)
    bank = export_bank(source, tmp_path / "shallow", depth=2, name="shallow")
    assert bank.manifest.horizon == 2
    assert bank.manifest.verifier == source.parameters.verifier
    assert bank.nodes.terminal[bank.nodes.depth == 2].all()
    assert np.isfinite(bank.nodes.score[bank.nodes.depth > 0]).all()
    played = evaluate(AlwaysLargest(), BankSource(bank), "test", normaliser=1.0)
    expected = solo(source.process, 1)
    tokens = played.costs["large_tokens"]
    assert abs(tokens.mean() - expected.tokens) < 4.5 * tokens.std() / np.sqrt(len(tokens))


def test_the_seed_decides(tmp_path):
    source = SimulatorSource("gsm8k-like", problems=5)
    first, again, other = (
        export_bank(source, tmp_path / str(number), seed=seed) for number, seed in enumerate((1, 1, 2))
    )
    assert first.hash == again.hash
    assert first.hash != other.hash


def test_bad_exports(tmp_path):
    source = SimulatorSource("math-qwen2.5", problems=100)
    for depth in (0, 31):
        with pytest.raises(ValueError, match=f"depth={depth}; allowed: 1 to 30"):
            export_bank(source, tmp_path / "x", depth=depth)
    with pytest.raises(ValueError, match=r"depth=20, problems=100 a split: up to .* nodes; allowed: 2,000,000"):
        export_bank(source, tmp_path / "x", depth=20)
    assert not (tmp_path / "x").exists()
    export_bank(source, tmp_path / "x", depth=1)
    with pytest.raises(BankError, match="exists"):
        export_bank(source, tmp_path / "x", depth=1)
