"""What a run keeps to and tells: limits, CCPO's last fit, TensorBoard, checkpoints, resuming, calibration."""

from __future__ import annotations

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import typer
from stable_baselines3.common.callbacks import EvalCallback

from gym_stepwise_routing.agents.run_training import load_model, train_run
from gym_stepwise_routing.agents.runs import load_run
from gym_stepwise_routing.agents.scores import scored
from gym_stepwise_routing.agents.training import Checkpoints, hyperparameters, train
from gym_stepwise_routing.calibration import RelativeAccuracy, calibrate, load_calibrated, save_calibrated
from gym_stepwise_routing.cli.train_command import train as train_command
from gym_stepwise_routing.envs.sb3 import RoutingVecEnv
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.policy_network import PolicyNetwork
from gym_stepwise_routing.sources.recorded import BankSource
from gym_stepwise_routing.sources.subset import hold_out

BANK = "gsm8k-qwen2.5-coder"


def quick(agent, steps=600, **changes):
    settings = hyperparameters(agent)
    algorithm = settings.algorithm | {"n_steps": 4, "batch_size": 64} | changes
    return replace(settings, n_envs=32, total_timesteps=steps, algorithm=algorithm)


@pytest.mark.parametrize("kappa", [0.2, 0.34, 0.5])
def test_ccpo_with_three_models_plays_as_it_was_trained(kappa):
    game = GameConfig("math-qwen2.5-3", cost_unit="large_tokens")
    model = train("ccpo", seed=0, game=game, settings=quick("ccpo", 2000), limit=0.5, constraint="cost_limit")
    model.set_kappa(kappa)
    router = scored(model, threshold=kappa)
    router.bind(Game(game).spec)
    observation = RoutingVecEnv(256, game, seed=1).reset()
    expected, _ = model.predict(observation, action_masks=np.ones((256, 3), dtype=bool), deterministic=True)
    np.testing.assert_array_equal(router.predict(observation)[0], expected)


def test_ccpo_fits_its_threshold_on_problems_that_it_was_not_trained_on(tmp_path):
    router = train_run("ccpo", tmp_path / "run", seed=0, game=GameConfig(), settings=quick("ccpo"), limit=0.8)
    fit = router.manifest.kappa_fit
    assert fit is not None
    problems = Game().source.problems("train")
    assert fit["n_items"] + router.manifest.game.problems == len(problems)
    part = hold_out(BankSource(BANK), 0.2, seed=0)
    held_out, rest = part.problems("calibration"), part.problems("train")
    assert len(np.intersect1d(held_out, rest)) == 0
    assert np.isin(np.concatenate([held_out, rest]), problems).all()


def test_a_limit_that_nobody_can_keep_is_warned_of_and_told(tmp_path):
    game = GameConfig(cost_unit="flops")  # in which always-smallest is not free
    with pytest.warns(UserWarning, match=r"limit=0.05 is below"):
        router = train_run(
            "lagrangian_ppo", tmp_path / "run", seed=0, game=game, settings=quick("lagrangian_ppo"), limit=0.05
        )
    assert router.manifest.limit_kept is False
    assert load_run(tmp_path / "run").manifest.cost > 0.05


def test_an_accuracy_floor_is_kept_on_the_training_problems(tmp_path):
    router = train_run(
        "lagrangian_ppo",
        tmp_path / "run",
        seed=0,
        game=GameConfig(cost_unit="large_tokens"),
        settings=quick("lagrangian_ppo"),
        limit=0.4,
        constraint="accuracy_floor",
    )
    assert router.manifest.limit_kept
    assert router.manifest.accuracy >= 0.4 - 1e-6


def test_tensorboard_gets_the_frontier_the_multiplier_and_the_cost(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    settings = quick("lagrangian_ppo", 32 * 4 * 12)
    train("lagrangian_ppo", seed=0, game=GameConfig(), settings=settings, tensorboard_log=tmp_path / "logs", limit=0.5)
    (folder,) = (tmp_path / "logs").iterdir()
    events = EventAccumulator(str(folder))
    events.Reload()
    assert events.Tags()["images"] == ["frontier/train"]
    wanted = {"rollout/ep_cost", "train/lagrange_multiplier", "train/constraint_violation", "train/cost_value_loss"}
    assert wanted <= set(events.Tags()["scalars"])


def test_checkpoints_are_written_and_a_run_goes_on(tmp_path):
    settings = quick("lagrangian_ppo", 512)
    first = train_run(
        "lagrangian_ppo",
        tmp_path / "first",
        seed=0,
        game=GameConfig(),
        settings=settings,
        checkpoints=Checkpoints(tmp_path / "checkpoints", 256),
        limit=0.5,
    )
    assert len(list((tmp_path / "checkpoints").glob("*.zip"))) == 2
    common = {"seed": 0, "game": GameConfig(), "settings": settings, "resume": tmp_path / "first"}
    with pytest.raises(ValueError, match="trust=False"):
        train_run("lagrangian_ppo", tmp_path / "second", limit=0.5, **common)
    with pytest.raises(ValueError, match=r"allowed: \{'limit': 0\.5\}"):
        train_run("lagrangian_ppo", tmp_path / "second", limit=0.7, trust=True, **common)
    second = train_run("lagrangian_ppo", tmp_path / "second", limit=0.5, trust=True, **common)
    assert second.manifest.steps == 2 * first.manifest.steps
    with pytest.raises(ValueError, match="every=0"):
        Checkpoints(tmp_path, 0)


@pytest.mark.parametrize(
    ("agent", "changes", "message"),
    [
        ("ppo", {"seed": 0}, r"seed=0 .*allowed: 3, as it began"),
        ("ppo", {"penalty": 0.3}, r"penalty=0\.3 .*allowed: 0\.5"),
        ("ppo", {"n_envs": 16}, r"n_envs=16 .*allowed: 32"),
        ("ppo", {"algorithm": {}}, r"algorithm=\{\} .*'n_steps': 4"),
        ("ppo", {"game": GameConfig(budget=0.5)}, r"budget=0\.5 .*allowed: None"),
        ("all_budgets", {"budget": (0.5, 0.9)}, r"budget=\(0\.5, 0\.9\) .*allowed: \(0\.\d+, 1\.0\)"),
        ("ccpo", {"seed": 0}, r"seed=0 .*allowed: 3"),
    ],
)
def test_a_run_goes_on_as_it_began(agent, changes, message, tmp_path):
    """CCPO's held-out problems are drawn with the seed: with another one it would have been trained on them."""
    settings = replace(quick(agent, 128), penalty=0.5 if agent == "ppo" else 0.0)
    limit = {"limit": 0.8} if agent == "ccpo" else {}
    first = train_run(agent, tmp_path / "first", seed=3, game=GameConfig(), settings=settings, **limit)
    common = {"resume": tmp_path / "first", "trust": True, "game": GameConfig(), **limit}
    own = {name: value for name, value in changes.items() if name in ("seed", "game")}
    changed = replace(settings, **{name: value for name, value in changes.items() if name not in own})
    with pytest.raises(ValueError, match=message):
        train_run(agent, tmp_path / "second", **{**common, "seed": 3, "settings": changed, **own})
    assert not (tmp_path / "second").exists()
    second = train_run(agent, tmp_path / "second", seed=3, **common)
    assert second.manifest.hyperparameters == first.manifest.hyperparameters
    more = replace(settings, total_timesteps=256)
    third = train_run(agent, tmp_path / "third", seed=3, settings=more, **common | {"resume": tmp_path / "second"})
    assert third.manifest.steps == first.manifest.steps * 4


def test_the_command_goes_on_with_seed_and_settings_of_the_run(tmp_path, capsys):
    settings = replace(quick("ppo", 128), penalty=0.5)
    train_run("ppo", tmp_path / "first", seed=3, game=GameConfig(), settings=settings)
    common = {"agent": "ppo", "seeds": 1, "resume": tmp_path / "first", "trust": True}
    train_command(tmp_path / "out", **common)
    manifest = load_run(tmp_path / "out" / "ppo-seed3").manifest
    assert (manifest.seed, manifest.steps, manifest.hyperparameters["penalty"]) == (3, 256, 0.5)
    for options, message in (({"penalty": 0.3}, "penalty=0.3"), ({"first_seed": 0}, "seed=0")):
        with pytest.raises(typer.Exit):
            train_command(tmp_path / "other", **common, **options)
        assert message in capsys.readouterr().err


def test_callbacks_of_stable_baselines_play_escalate(tmp_path):
    game = GameConfig(mode="escalate")
    callback = EvalCallback(RoutingVecEnv(8, game, seed=1), n_eval_episodes=8, eval_freq=4, verbose=0)
    train("lagrangian_ppo", seed=0, game=game, settings=quick("lagrangian_ppo"), callbacks=[callback], limit=0.8)
    assert 0 <= callback.last_mean_reward <= 1


def test_calibration_refuses_what_the_policy_was_trained_on(tmp_path):
    router = train_run("ppo", tmp_path / "run", seed=0, game=GameConfig(), settings=quick("ppo"))
    with pytest.raises(ValueError, match="which the router was trained on"):
        calibrate(router, BANK, split="train", target=RelativeAccuracy(0.6))
    calibrated = calibrate(router, BANK, target=RelativeAccuracy(0.6))
    assert calibrated.certificate.n[0] <= len(Game(split="calibration").problems)
    save_calibrated(calibrated, tmp_path / "calibrated")
    with pytest.raises(ValueError, match=r"hard_budget=True|budget=0\.1"):
        load_calibrated(tmp_path / "calibrated", game=Game(split="test", budget=0.1, hard_budget=True))


@pytest.mark.parametrize("target", [0.7, None, "0.9"])
def test_targets_that_are_none_are_named(target, tmp_path):
    router = train_run("ppo", tmp_path / "run", seed=0, game=GameConfig(), settings=quick("ppo"))
    with pytest.raises(ValueError, match="allowed: RelativeAccuracy"):
        calibrate(router, BANK, target=target)


def test_a_loaded_run_is_asked_at_once_about_one_observation_or_many(tmp_path):
    made = train_run("ppo", str(tmp_path / "run"), seed=0, game=GameConfig(), settings=quick("ppo"))
    observations = RoutingVecEnv(16, seed=1).reset()
    made.bind(Game().spec)
    median = float(np.median(made.scores(observations)))
    made.threshold = median
    expected = made.predict(observations)[0]
    assert len(set(expected.tolist())) == 2
    for path in (tmp_path / "run", str(tmp_path / "run"), str(tmp_path / "run" / "router.npz")):
        router = PolicyNetwork.load(path) if str(path).endswith("npz") else load_run(path)
        router.threshold = median
        np.testing.assert_array_equal(router.predict(observations)[0], expected)
        assert [int(router.predict(one)[0]) for one in observations] == expected.tolist()
    env = gym.make("StepwiseRouting-v0")
    observation, _ = env.reset(seed=0)
    action, _ = load_run(str(tmp_path / "run")).predict(observation)
    env.step(action)
    with pytest.raises(ValueError, match=r"observation of shape \(1, 2, 3\); allowed: \[features\] or \[B, features\]"):
        load_run(tmp_path / "run").predict(np.zeros((1, 2, 3), np.float32))
    assert load_model(str(tmp_path / "run"), trust=True).num_timesteps == made.manifest.steps


def test_steps_are_whole_rollouts_and_the_command_says_so(tmp_path, capsys):
    train_command(tmp_path, agent="ppo", steps=1000, seeds=1)
    steps = load_run(tmp_path / "ppo-seed0").manifest.steps
    settings = hyperparameters("ppo")
    assert steps == settings.n_envs * settings.algorithm["n_steps"] > 1000
    assert f"{steps:,} steps (of 1,000 asked for: whole rollouts are played)" in " ".join(
        capsys.readouterr().out.split()
    )
