"""Fitted baselines say what they were fitted on, so that calibration refuses those problems."""

from __future__ import annotations

import pytest
from fake_sources import TreeSource

from gym_stepwise_routing.baselines.fitted_q import FittedQ
from gym_stepwise_routing.baselines.heuristics import LengthRule, LoopRule
from gym_stepwise_routing.baselines.query_classifier import QueryClassifier
from gym_stepwise_routing.baselines.sacpo import Reweighted
from gym_stepwise_routing.baselines.steer import Steer
from gym_stepwise_routing.baselines.trim_agg import TrimAgg
from gym_stepwise_routing.baselines.two_part_risk import TwoPartRisk
from gym_stepwise_routing.calibration import Accuracy, calibrate, load_calibrated, save_calibrated
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.provenance import GameDescription
from gym_stepwise_routing.types import DEFAULT_BLOCKS

TARGET = Accuracy(0.1)


def game(split="train"):
    return Game(split=split, mode="escalate")


@pytest.mark.parametrize(
    "router",
    [QueryClassifier(), FittedQ(0.1), Reweighted(0.1), Steer(), LengthRule(), LoopRule(), TwoPartRisk()],
    ids=lambda router: router.name,
)
def test_what_a_baseline_was_fitted_on_is_refused(router):
    assert router.trained_on is None
    router.fit(game())
    with pytest.raises(ValueError, match=r"shares 640 problems with 'train'.*which the router was trained on"):
        calibrate(router, game(), target=TARGET)
    assert calibrate(router, game("calibration"), target=TARGET).trained_on == GameDescription.of(game())


def test_the_same_fit_at_another_price_was_fitted_on_the_same():
    assert Reweighted(0.1).fit(game()).priced(0.2).trained_on == GameDescription.of(game())


def test_training_a_policy_is_fitting():
    source = TreeSource(0, problems=30, verifier=True)
    drafts = Game(source, mode="regenerate", observation=(*DEFAULT_BLOCKS, "verifier"))
    assert TrimAgg(0.1, steps=1024).fit(drafts).trained_on == GameDescription.of(drafts)


def test_it_is_kept_on_disk(tmp_path):
    calibrated = calibrate(LengthRule().fit(game()), game("calibration"), target=TARGET)
    save_calibrated(calibrated, tmp_path / "router")
    loaded = load_calibrated(tmp_path / "router", trust=True)
    assert loaded.trained_on == calibrated.trained_on == GameDescription.of(game())
