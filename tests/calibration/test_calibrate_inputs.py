"""Calibration by bank, and what it refuses: unknown or other banks, empty and hopeless sets, levels that are none."""

from __future__ import annotations

import numpy as np
import pytest
from stable_baselines3 import PPO

from gym_stepwise_routing.agents.training import Hyperparameters, train
from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.baselines import AlwaysLargest, ConfidenceThreshold
from gym_stepwise_routing.calibration import CostLimit, RelativeAccuracy, calibrate
from gym_stepwise_routing.evaluation.evaluate import play
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.game.normaliser import always_largest_cost
from gym_stepwise_routing.sources.subset import Part

BANK = "gsm8k-qwen2.5-coder"
RULE = ConfidenceThreshold("p_min")
TARGET = RelativeAccuracy(0.6)


@pytest.fixture(scope="module")
def model():
    return train(
        "ppo", seed=0, game=GameConfig(), settings=Hyperparameters(8, 16, algorithm={"n_steps": 2, "batch_size": 8})
    )


def test_a_bank_by_name_is_its_calibration_split():
    named = calibrate(RULE, BANK, target=TARGET, mode="regenerate", cost_unit="large_tokens")
    whole = calibrate(RULE, Game(BANK, split="calibration", mode="regenerate", cost_unit="large_tokens"), target=TARGET)
    assert named.certificate == whole.certificate
    with pytest.raises(ValueError, match="mode='route' with a game"):
        calibrate(RULE, Game(BANK, split="calibration"), target=TARGET, mode="route")
    with pytest.raises(ValueError, match="shares 400 problems with 'test'"):
        calibrate(RULE, BANK, split="test", target=TARGET)


@pytest.mark.parametrize("delta", [None, "0.1", True, 0, 1])
def test_delta_is_a_level(delta):
    with pytest.raises(ValueError, match="delta="):
        calibrate(RULE, BANK, target=TARGET, delta=delta)


@pytest.mark.parametrize("share", ["0.9", None, True, 0, 1])
def test_shares_are_levels(share):
    with pytest.raises(ValueError, match="share="):
        RelativeAccuracy(share)


@pytest.mark.parametrize("limit", ["0.9", None, 0])
def test_limits_are_numbers(limit):
    with pytest.raises(ValueError, match="limit="):
        CostLimit(limit)


def test_an_empty_set_is_refused():
    bank = Bank.open(BANK)
    part = Part(bank, {"train": bank.split_problems("train"), "test": bank.split_problems("test")})
    with pytest.raises(ValueError, match=r"split='calibration'.*no problem"):
        calibrate(RULE, part, target=TARGET)


def test_a_set_that_always_largest_fails_is_refused():
    bank = Bank.open(BANK)
    wrong = bank.split_problems("calibration")[~play(AlwaysLargest(), Game(bank, split="calibration")).right]
    part = Part(bank, {"calibration": wrong})
    with pytest.raises(ValueError, match=f"always-largest solves none of {len(wrong)} problems"):
        calibrate(RULE, part, target=TARGET)


def test_a_raw_model_is_calibrated_on_its_own_bank(model):
    calibrate(model, BANK, target=TARGET)
    with pytest.raises(ValueError, match="source="):
        calibrate(model, "gsm8k-like", target=TARGET)
    with pytest.raises(ValueError, match="which the router was trained on"):
        calibrate(model, BANK, split="train", target=TARGET)


def test_a_raw_model_that_tells_no_bank_needs_transfer(model, tmp_path):
    model.save(tmp_path / "model.zip")
    alone = PPO.load(tmp_path / "model.zip")
    with pytest.raises(ValueError, match="does not tell the bank it was trained on"):
        calibrate(alone, BANK, target=TARGET)
    assert calibrate(alone, BANK, target=TARGET, transfer=True).certificate.n[0] > 0


def test_costs_are_in_units_of_the_train_split():
    """A unit measured on the calibration problems would be random, and the p-value takes it for fixed."""
    game = Game(BANK, split="calibration", cost_unit="flops")
    train_unit = always_largest_cost(game.source, game.source.problems("train"), "flops")
    assert game.normaliser != train_unit
    target = CostLimit(2.0)
    risks = [
        calibrate(RULE, Game(BANK, split="calibration", cost_unit="flops", normaliser=n), target=target,
                  method="empirical").certificate.risk[0]
        for n in (None, train_unit)
    ]  # fmt: skip
    np.testing.assert_allclose(risks[0], risks[1], rtol=1e-12)
