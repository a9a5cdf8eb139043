"""Training by name: every agent trains, is saved and comes back; bad input is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from gym_stepwise_routing.agents.agent import AGENTS
from gym_stepwise_routing.agents.limits import cheapest
from gym_stepwise_routing.agents.run_training import load_model, train_run
from gym_stepwise_routing.agents.runs import READABLE, RunManifest, load_run
from gym_stepwise_routing.agents.training import (
    Hyperparameters,
    environment_config,
    hyperparameters,
    train,
    train_game,
)
from gym_stepwise_routing.cli.train_command import train as train_command
from gym_stepwise_routing.evaluation.evaluate import evaluate, play
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.game.game import Game

STEPS = 600


def quick(agent):
    settings = hyperparameters(agent)
    if agent == "exact":  # counts gradient steps
        return replace(
            settings, total_timesteps=20, algorithm=settings.algorithm | {"candidates": [[4, 0.3, 0.01]], "folds": 2}
        )
    algorithm = settings.algorithm | ({"learning_starts": 100} if "dqn" in agent else {"n_steps": 4, "batch_size": 64})
    return replace(settings, n_envs=32, total_timesteps=STEPS, algorithm=algorithm)


def arguments(agent):
    return {"limit": 0.5, "constraint": "cost_limit"} if AGENTS[agent].constrained else {}


@pytest.mark.parametrize("mode", ["route", "escalate"])
@pytest.mark.parametrize("agent", AGENTS)
def test_every_agent_trains_is_saved_and_plays_as_before(agent, mode, tmp_path):
    game = GameConfig(mode=mode, cost_unit="large_tokens")
    router = train_run(agent, tmp_path / "run", seed=1, game=game, settings=quick(agent), **arguments(agent))
    loaded = load_run(tmp_path / "run")
    budget = 0.5 if agent == "all_budgets" else None
    outcomes = [evaluate(r, game, "calibration", budget=budget) for r in (router, loaded)]
    np.testing.assert_array_equal(outcomes[0].decisions, outcomes[1].decisions)
    manifest = loaded.manifest
    assert manifest == router.manifest
    assert manifest.steps >= (1 if agent == "exact" else STEPS)  # exact stops where the folds say so
    assert (manifest.agent, manifest.seed, manifest.game.mode) == (agent, 1, mode)
    assert manifest.game.source_hash == Game().source_hash
    assert manifest.game.masked_action == "project"
    model = load_model(tmp_path / "run", trust=True)
    assert type(model).__name__ == AGENTS[agent].algorithm


def test_the_same_seed_gives_the_same_policy(tmp_path):
    runs = [
        train_run(
            "lagrangian_ppo", tmp_path / name, seed=seed, game=GameConfig(), settings=quick("lagrangian_ppo"), limit=0.5
        )
        for name, seed in (("one", 4), ("two", 4), ("three", 5))
    ]
    weights = [run.network.dense[0].weight for run in runs]
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


def test_a_run_plays_without_pytorch_and_stable_baselines(tmp_path):
    train_run("ppo", tmp_path / "run", seed=0, game=GameConfig(), settings=quick("ppo"))
    code = (
        "import sys\n"
        "for name in ('torch', 'stable_baselines3', 'sb3_contrib'): sys.modules[name] = None\n"
        "from pathlib import Path\n"
        "from gym_stepwise_routing.agents.runs import load_run\n"
        "from gym_stepwise_routing.evaluation.evaluate import evaluate\n"
        "assert 0 <= evaluate(load_run(Path(sys.argv[1]))).accuracy <= 1\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "run")], check=True, timeout=120)


def test_a_trained_router_refuses_other_games(tmp_path):
    router = train_run("ppo", tmp_path / "run", seed=0, game=GameConfig(), settings=quick("ppo"))
    play(router, Game(split="test"))
    for other, message in (
        ({"mode": "escalate"}, "mode='escalate'"),
        ({"cost_unit": "flops"}, "cost_unit='flops'"),
        ({"observation": ("progress", "confidence")}, "observation="),
    ):
        with pytest.raises(ValueError, match=message):
            play(router, Game(split="test", masked_action="project", **other))
    router.check_game(Game(split="test"))


def test_pickles_need_trust(tmp_path):
    train_run("ppo", tmp_path / "run", seed=0, game=GameConfig(), settings=quick("ppo"))
    with pytest.raises(ValueError, match="trust=False"):
        load_model(tmp_path / "run")


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match="not empty"):
        train_run("ppo", tmp_path / "run", seed=0, game=GameConfig(), settings=quick("ppo"))
    assert [path.name for path in tmp_path.rglob("*")] == ["run", "thesis.tex"]


@pytest.mark.parametrize(("key", "value"), [("format", READABLE[0] - 1), ("format", "2"), ("game", {}), ("game", None)])
def test_damaged_manifests_are_refused(tmp_path, key, value):
    train_run("ppo", tmp_path / "run", seed=0, game=GameConfig(), settings=quick("ppo"))
    path = tmp_path / "run" / "manifest.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {key: value}))
    with pytest.raises(ValueError, match=rf"manifest\.json: .*{key}"):
        RunManifest.load(path)
    path.write_text("[")
    with pytest.raises(ValueError, match="not JSON"):
        load_run(tmp_path / "run")


@pytest.mark.parametrize(
    ("agent", "options", "message"),
    [
        ("sarsa", {}, "agent='sarsa'"),
        ("ppo", {"limit": 0.5}, "has no constraint"),
        ("lagrangian_ppo", {}, "limit=None"),
        ("lagrangian_ppo", {"limit": -1}, "limit=-1"),
        ("ppo", {"game": GameConfig(split="test")}, "split='test'"),
    ],
)
def test_bad_training_arguments(agent, options, message):
    options = {"game": GameConfig(), "settings": Hyperparameters(n_envs=8, total_timesteps=8), **options}
    with pytest.raises(ValueError, match=message):
        train(agent, seed=0, **options)


def test_variants_of_the_settings():
    usual, simulator = hyperparameters("lagrangian_ppo"), hyperparameters("lagrangian_ppo", "simulator")
    assert simulator.total_timesteps > usual.total_timesteps
    with pytest.raises(ValueError, match=r"variant='simulator' is not known; allowed: None"):
        hyperparameters("ppo", "simulator")


@pytest.mark.parametrize("bad", [{"n_envs": 0}, {"total_timesteps": 1.5}, {"penalty": -1}, {"penalty": float("nan")}])
def test_bad_hyperparameters(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        Hyperparameters(**{"n_envs": 8, "total_timesteps": 8, **bad})


@pytest.fixture(scope="module")
def command():
    app = typer.Typer()
    app.command()(train_command)
    return lambda *options: CliRunner().invoke(app, [str(option) for option in options])


def test_the_command_writes_one_folder_a_seed(command, tmp_path):
    options = ("--agent", "ppo", "--seeds", 2, "--first-seed", 3, "--steps", 100, "--penalty", 0.7, "--out", tmp_path)
    answer = command(*options)
    assert answer.exit_code == 0, answer.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ppo-seed3", "ppo-seed4"]
    assert load_run(tmp_path / "ppo-seed4").manifest.hyperparameters["penalty"] == 0.7


def test_a_policy_that_is_a_constant_is_named(command, tmp_path):
    options = ("--agent", "ppo", "--seeds", 1, "--steps", 80_000, "--cost-unit", "large_tokens", "--out", tmp_path)
    dear, free = (" ".join(command(*options, "--penalty", price).output.split()) for price in (5, 0))
    assert "warning: Qwen2.5-Coder-0.5B-Instruct takes every decision" in dear
    assert "0.5B-Instruct takes every decision" not in free


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--agent", "sarsa"), "agent='sarsa'"),
        (("--agent", "ppo", "--limit", 0.4), "allowed: --penalty"),
        (("--agent", "ccpo", "--limit", 0.4, "--penalty", 1), "allowed: --limit"),
        (("--agent", "lagrangian_ppo"), "--limit is missing"),
        (("--agent", "ppo", "--bank", "no-such-bank"), "no-such-bank"),
        (("--agent", "ppo", "--mode", "sideways"), "sideways"),
    ],
)
def test_the_command_explains_bad_options(command, tmp_path, options, message):
    answer = command(*options, "--out", tmp_path)
    assert answer.exit_code == 2
    assert message in " ".join(answer.output.split())
    assert not list(tmp_path.iterdir())


def test_budgets_below_always_smallest_are_left_out_or_refused():
    """In FLOPs always-smallest costs a good part of always-largest: below that every episode would end in failure."""
    settings = hyperparameters("all_budgets")
    game = GameConfig(cost_unit="flops")
    least = cheapest(train_game(game))
    kept = environment_config(game, replace(settings, budget=(0.5 * least, 1.0)))
    assert kept.budget == (pytest.approx(least, abs=1e-6), 1.0)
    above = environment_config(game, replace(settings, budget=(2 * least, 1.0)))
    assert above.budget == (2 * least, 1.0)
    with pytest.raises(ValueError, match=f"always-smallest costs {least:.3f}; allowed: a range that reaches above it"):
        environment_config(game, replace(settings, budget=(0.2 * least, 0.9 * least)))
