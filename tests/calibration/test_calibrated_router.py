"""Calibrated routers on disk and in use: saved, loaded, refused where they do not belong, adapted to feedback."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from bank_files import few_problems, with_cell
from stable_baselines3 import PPO

from gym_stepwise_routing.agents.run_training import train_run
from gym_stepwise_routing.agents.runs import TrainedRouter
from gym_stepwise_routing.agents.training import Hyperparameters
from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.banks.bank_writer import write_bank
from gym_stepwise_routing.baselines import ConfidenceThreshold
from gym_stepwise_routing.calibration import (
    Accuracy,
    AdaptiveRouter,
    CostLimit,
    RelativeAccuracy,
    calibrate,
    load_calibrated,
    save_calibrated,
)
from gym_stepwise_routing.envs.sb3 import RoutingVecEnv
from gym_stepwise_routing.evaluation.evaluate import evaluate, play, sweep, threshold_grid
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.base import ScoringRouter, ThresholdRouter
from gym_stepwise_routing.sources.recorded import BankSource
from gym_stepwise_routing.sources.subset import Part

TARGET = RelativeAccuracy(0.6)


class Lexical(ScoringRouter):
    """A router that the package does not know: it has to be pickled."""

    def scores(self, observation):
        return observation[:, 0].astype(np.float64)


def game(split="calibration", **arguments):
    return Game(split=split, cost_unit="large_tokens", **arguments)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    settings = Hyperparameters(n_envs=32, total_timesteps=256, algorithm={"n_steps": 4, "batch_size": 64})
    return train_run("ppo", folder, seed=0, game=GameConfig(cost_unit="large_tokens"), settings=settings)


@pytest.fixture(scope="module")
def other_bank(tmp_path_factory):
    """The bundled bank's problems with one token count changed: the same name, another content."""
    source = game().source
    changed = type(source).__new__(type(source))
    changed.__dict__.update(source.__dict__)
    changed.bank = _Retouched(source.bank)
    return changed


class _Retouched:
    def __init__(self, bank):
        self._bank = bank
        self.hash = "0" * 64

    def __getattr__(self, name):
        return getattr(self._bank, name)

    def __deepcopy__(self, memo):
        return self


@pytest.mark.parametrize("router", ["trained", "confidence", "model"])
def test_a_saved_router_decides_as_before(router, trained, tmp_path):
    base = {"trained": trained, "confidence": ConfidenceThreshold("margin_first")}.get(router)
    if base is None:
        base = PPO("MlpPolicy", RoutingVecEnv(8, cost_unit="large_tokens"), seed=0, device="cpu")
    calibrated = calibrate(base, game(), target=TARGET, method="empirical")
    save_calibrated(calibrated, tmp_path / "router")
    loaded = load_calibrated(tmp_path / "router", game=game("test"))
    assert loaded.certificate == calibrated.certificate
    assert loaded.game == calibrated.game
    assert loaded.trained_on == calibrated.trained_on
    assert (loaded.trained_on is None) == (router == "confidence")
    assert loaded.name == calibrated.name
    before, after = (play(r, game("test")) for r in (calibrated, loaded))
    np.testing.assert_array_equal(before.decisions, after.decisions)
    fresh = load_calibrated(str(tmp_path / "router"))  # asked without a game, about one observation and about many
    observations = RoutingVecEnv(32, cost_unit="large_tokens", seed=3).reset()
    decided = calibrated.predict(observations)[0]
    np.testing.assert_array_equal(fresh.predict(observations)[0], decided)
    assert [int(fresh.predict(one)[0]) for one in observations] == decided.tolist()
    assert not list((tmp_path / "router").glob("*.pkl"))


def test_any_other_router_is_pickled_and_needs_trust(tmp_path):
    calibrated = calibrate(Lexical(), game(), target=TARGET, method="empirical")
    save_calibrated(calibrated, tmp_path / "router")
    with pytest.raises(ValueError, match="trust=False"):
        load_calibrated(tmp_path / "router")
    loaded = load_calibrated(tmp_path / "router", trust=True)
    assert isinstance(loaded.base, Lexical)


def test_a_router_that_cannot_be_pickled_is_refused_and_leaves_nothing(tmp_path):
    router = Lexical()
    router.hook = lambda: None
    calibrated = calibrate(router, game(), target=TARGET, method="empirical")
    with pytest.raises(ValueError, match="cannot be pickled"):
        save_calibrated(calibrated, tmp_path / "router")
    assert not list(tmp_path.iterdir())


def test_an_uncertified_router_is_saved_as_such(tmp_path):
    calibrated = calibrate(ConfidenceThreshold(), game(), target=RelativeAccuracy(0.999), method="exact")
    assert not calibrated.certificate.certified
    save_calibrated(calibrated, tmp_path / "router")
    assert load_calibrated(tmp_path / "router").certificate == calibrated.certificate


def test_another_bank_is_refused(trained, other_bank, tmp_path):
    other = Game(other_bank, split="calibration", cost_unit="large_tokens")
    with pytest.raises(ValueError, match=r"content 000000000000\).*which it was made on"):
        calibrate(trained, other, target=TARGET, method="empirical")
    calibrate(trained, other, target=TARGET, method="empirical", transfer=True)
    save_calibrated(calibrate(trained, game(), target=TARGET, method="empirical"), tmp_path / "router")
    with pytest.raises(ValueError, match="content 000000000000"):
        load_calibrated(tmp_path / "router", game=other)


@pytest.fixture(scope="module")
def divided_otherwise(tmp_path_factory):
    """Problems of the bundled bank under another salt: what is for training there may be for calibration here."""
    folder = tmp_path_factory.mktemp("otherwise")
    bank = Bank.open(few_problems(folder))
    rule = replace(bank.manifest.split_rule, salt="another")
    tables = {name: bank.read(name) for name in bank.manifest.files}
    problems = tables["problems.parquet"]
    for row, (_, official, _, question) in enumerate(bank.problems.references()):
        problems = with_cell(problems, "bank_split", row, rule.assign(official, question))
    tables["problems.parquet"] = problems
    write_bank(replace(bank.manifest.recipe, name="otherwise", split_rule=rule), tables, folder / "otherwise")
    return BankSource(Bank.open(folder / "otherwise"))


def test_training_problems_are_found_in_another_bank_by_their_ids(trained, divided_otherwise):
    common = {"cost_unit": "large_tokens", "target": TARGET, "transfer": True}
    learned = set(game("train").source.problem_ids(game("train").problems))
    problems = divided_otherwise.problems("calibration")
    new = [p for p, name in zip(problems, divided_otherwise.problem_ids(problems), strict=True) if name not in learned]
    shared = len(problems) - len(new)
    assert 10 < shared < len(problems) - 10
    with pytest.raises(ValueError, match=rf"shares {shared} problems with 'train' of 'gsm8k-qwen2\.5-coder'"):
        calibrate(trained, divided_otherwise, **common)
    part = Part(divided_otherwise.bank, {"calibration": np.array(new)})
    assert calibrate(trained, part, **common).game.problems == len(new)
    # Of a bank that is not at hand nobody can look up the problems.
    elsewhere = replace(trained.manifest, game=replace(trained.manifest.game, source_hash="0" * 64))
    calibrate(TrainedRouter(trained.network, elsewhere), divided_otherwise, **common)


@pytest.mark.parametrize("wrap", [ThresholdRouter, lambda router: calibrate(router, game(), target=TARGET)])
def test_training_problems_are_refused_behind_a_wrapper(wrap, trained):
    with pytest.raises(ValueError, match="shares 640 problems with 'train'"):
        calibrate(wrap(trained), game("train"), target=TARGET)


def test_a_part_of_a_bank_does_not_hide_training_problems(trained):
    part = Part(game().source.bank, {"calibration": game("train").problems})
    with pytest.raises(ValueError, match="shares 640 problems with 'train'"):
        calibrate(trained, part, target=TARGET, cost_unit="large_tokens")


def test_a_model_that_was_calibrated_still_knows_its_training_problems():
    model = PPO("MlpPolicy", RoutingVecEnv(8, cost_unit="large_tokens"), seed=0, device="cpu")
    calibrated = calibrate(model, game(), target=TARGET)
    with pytest.raises(ValueError, match="shares 640 problems with 'train'"):
        calibrate(calibrated, game("train"), target=TARGET)
    again = calibrate(calibrated, game(), target=TARGET)
    assert again.base is calibrated.base
    assert again.trained_on == calibrated.trained_on


def test_another_kind_of_game_is_refused():
    calibrated = calibrate(ConfidenceThreshold(), game(), target=TARGET, method="empirical")
    with pytest.raises(ValueError, match="mode='regenerate'"):
        play(calibrated, game("test", mode="regenerate"))
    with pytest.raises(ValueError, match="cost_unit='flops'"):
        play(calibrated, Game(split="test", cost_unit="flops"))


@pytest.mark.parametrize(
    ("calibrated_with", "other", "message"),
    [
        ({}, {"budget": 0.3, "hard_budget": True}, r"budget=0\.3; allowed .*: None"),
        ({"budget": 0.3}, {"budget": 0.3, "hard_budget": True}, "hard_budget=True; allowed .*: False"),
        ({"budget": (0.2, 0.5)}, {"budget": (0.2, 0.6)}, r"budget=\(0\.2, 0\.6\); allowed .*: \(0\.2, 0\.5\)"),
        ({"budget": 0.3}, {"budget": 0.3, "normaliser": 45.0}, r"normaliser=45\.0; allowed .*: 90\.0, the unit of its"),
    ],
)
def test_another_budget_is_refused_wherever_it_is_played(calibrated_with, other, message, tmp_path):
    """A hard one ends episodes: the accuracy that was promised is not to be had within it. Nor in another unit."""
    calibrated_with, other = {"normaliser": 90.0} | calibrated_with, {"normaliser": 90.0} | other
    calibrated = calibrate(ConfidenceThreshold(), game(**calibrated_with), target=TARGET, method="empirical")
    save_calibrated(calibrated, tmp_path / "router")
    for router in (calibrated, load_calibrated(tmp_path / "router")):
        play(router, game("test", **calibrated_with))
        evaluate(router, split="test", cost_unit="large_tokens", **calibrated_with)
        for played in (
            lambda router=router: play(router, game("test", **other)),
            lambda router=router: evaluate(router, split="test", cost_unit="large_tokens", **other),
            lambda router=router: sweep(router, game("test", **other), [0.5]),
            lambda router=router: router.check_game(game("test", **other)),
        ):
            with pytest.raises(ValueError, match=message):
                played()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"split_hash": "0" * 64}, "split_hash="),
        ({"source": "other"}, "source='other'"),
        ({"mode": "escalate"}, "mode='escalate'"),
        ({"simulated": True}, "simulated=True"),
        ({"simulated": "no"}, "true or false"),
        ({"threshold": -0.1}, "threshold=-0.1"),
        ({"threshold": "low"}, "a number"),
        ({"delta": 0.0}, "delta=0.0"),
        ({"delta": None}, "delta=None"),
        ({"delta": 1e-300}, "certified=True"),
        ({"alpha": [0.1]}, r"alpha=0\.1 with target"),
        ({"alpha": []}, "one of each a target"),
        ({"n": [100_000]}, "n=100000"),
        ({"n": [10**400]}, "an integer of 64 bits"),
        ({"n": [1], "risk": [0.0]}, "certified=True"),
        ({"risk": [0.3501]}, r"risk=0\.3501"),
        ({"risk": [1.0]}, "certified=True"),
        ({"method": "empirical", "delta": None}, "certified=True with method='empirical'"),
    ],
)
def test_an_edited_certificate_is_refused(tmp_path, changes, named):
    calibrated = calibrate(ConfidenceThreshold(), game(), target=TARGET)
    assert calibrated.certificate.certified
    save_calibrated(calibrated, tmp_path / "router")
    path = tmp_path / "router" / "certificate.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(ValueError, match=rf"certificate\.json: .*({named})"):
        load_calibrated(tmp_path / "router")


@pytest.mark.parametrize(
    ("target", "method"),
    [
        (TARGET, "ltt"),
        (TARGET, "crc"),
        (Accuracy(0.3), "exact"),
        (CostLimit(0.5, 5.0), "ltt"),
        ((Accuracy(0.3), CostLimit(0.9, 5.0)), "ltt"),
        (CostLimit(0.5), "empirical"),
        (RelativeAccuracy(0.9999), "exact"),
    ],
)
def test_every_certificate_that_is_issued_agrees_with_itself(tmp_path, target, method):
    calibrated = calibrate(ConfidenceThreshold(), game(), target=target, method=method)
    save_calibrated(calibrated, tmp_path / "router")
    assert load_calibrated(tmp_path / "router").certificate == calibrated.certificate


@pytest.mark.parametrize("name", ["certificate.json", "game.json", "rule.json"])
@pytest.mark.parametrize("content", ["", "{}", "[]"])
def test_damaged_folders_are_refused(tmp_path, name, content):
    save_calibrated(calibrate(ConfidenceThreshold(), game(), target=TARGET), tmp_path / "router")
    (tmp_path / "router" / name).write_text(content)
    with pytest.raises(ValueError, match=name):
        load_calibrated(tmp_path / "router")


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("rule.json", "figure", "luck"),
        ("game.json", "observation", ["progress"]),
        ("game.json", "observation", ["luck"]),
    ],
)
def test_what_does_not_belong_together_is_told_with_its_file(tmp_path, name, key, value):
    save_calibrated(calibrate(ConfidenceThreshold(), game(), target=TARGET), tmp_path / "router")
    path = tmp_path / "router" / name
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(ValueError, match=rf"{name}: "):
        load_calibrated(tmp_path / "router")


def test_a_missing_router_is_named(tmp_path):
    save_calibrated(calibrate(ConfidenceThreshold(), game(), target=TARGET), tmp_path / "router")
    (tmp_path / "router" / "rule.json").unlink()
    with pytest.raises(ValueError, match=r"router\.pkl is missing"):
        load_calibrated(tmp_path / "router", trust=True)


def test_adaptive_threshold_keeps_the_target_under_drift_where_the_fixed_one_does_not():
    """Problems that always-smallest fails come three times as often after calibration."""
    rule, target = ConfidenceThreshold("p_min"), RelativeAccuracy(0.45)
    calibration = game()
    grid = threshold_grid(rule, game("train"), 101)
    outcome = sweep(rule, calibration, grid)
    calibrated = calibrate(rule, calibration, target=target, method="empirical", thresholds=grid)
    router = AdaptiveRouter(calibrated, target, step=0.05)
    assert router.threshold == calibrated.threshold
    solved = outcome.right[0]
    weight = np.where(outcome.right[-1], 1.0, 3.0)
    stream = np.random.default_rng(0).choice(len(solved), 4000, p=weight / weight.sum())
    errors, fixed = [], []
    for item in stream:
        row = np.searchsorted(grid, router.threshold, side="right") - 1
        right, largest = bool(outcome.right[row, item]), bool(solved[item])
        router.feedback(right, largest_right=largest)
        if largest:
            errors.append(not right)
            fixed.append(not outcome.right[np.searchsorted(grid, calibrated.threshold, side="right") - 1, item])
    assert router.updates == len(errors)
    assert np.mean(errors) <= target.alpha + (calibrated.threshold + 0.05) / (0.05 * len(errors)) + 1e-12
    assert np.mean(fixed) > target.alpha + 0.02


def test_adaptive_router_counts_every_problem_for_absolute_accuracy():
    router = AdaptiveRouter(ConfidenceThreshold(), Accuracy(0.5), initial=0.5, step=0.1)
    assert router.feedback(False) == pytest.approx(0.45)
    assert router.feedback(True) == pytest.approx(0.5)
    assert router.updates == 2


def test_adaptive_router_begins_at_always_largest_without_calibration():
    assert AdaptiveRouter(ConfidenceThreshold(), TARGET).threshold == 0


def test_bad_adaptive_arguments():
    with pytest.raises(ValueError, match="target="):
        AdaptiveRouter(ConfidenceThreshold(), CostLimit(0.5))
    with pytest.raises(ValueError, match="largest_right=None"):
        AdaptiveRouter(ConfidenceThreshold(), TARGET).feedback(True)
    with pytest.raises(ValueError, match="largest_right=True"):
        AdaptiveRouter(ConfidenceThreshold(), Accuracy(0.5)).feedback(True, largest_right=True)
