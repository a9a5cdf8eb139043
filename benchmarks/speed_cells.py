"""One figure of the table of speeds, printed: ``python benchmarks/speed_cells.py CELL``; ``--help`` names the cells.

The package that is measured is the one that Python finds: ``side_by_side.py`` has it look in one checkout, then in the
other. All on one thread, in CPU time.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

EPISODES, STEPS = 1024, 2000
ALL_BLOCKS = ("progress", "confidence", "aggregates", "ledger", "probe", "question")
GAMES: dict[str, dict[str, Any]] = {
    "route": {},
    "blocks": {"observation": ALL_BLOCKS, "budget": (0.3, 1.0), "hard_budget": True},
    "escalate": {"mode": "escalate", "masked_action": "project"},
}
PRESET = "math-qwen2.5"


def seconds_of(run: Callable[[], Any]) -> float:
    """CPU seconds of a call."""
    start = time.process_time()
    run()
    return time.process_time() - start


def memory(key: str) -> float:
    """``VmRSS`` or ``VmHWM`` of this process in MB, Linux."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[key].split()[0]) * 1024 / 1e6


def _stepping(name: str, **arguments: Any) -> Callable[[], float]:
    """Something that says how long ``STEPS`` steps of ``EPISODES`` episodes take.

    So many that caches are warm: after something else has run, the first 200 steps take a third longer.
    """
    import gymnasium as gym
    import numpy as np

    import gym_stepwise_routing  # noqa: F401  (registers the environment)

    env = gym.make_vec(name, num_envs=EPISODES, vectorization_mode="vector_entry_point", **arguments)
    actions = np.random.default_rng(0).integers(2, size=(STEPS, EPISODES))
    env.reset(seed=0)

    def steps() -> None:
        for action in actions:
            env.step(action)  # nothing is kept: a loop does not need all observations

    return lambda: seconds_of(steps)


def vector(game: str) -> float:
    """Steps a second of the vector environment over CartPole-v1's own, median of seven alternating rounds."""
    ours, yardstick = _stepping("StepwiseRouting-v0", **GAMES[game]), _stepping("CartPole-v1")
    ours(), yardstick()
    return statistics.median(yardstick() / ours() for _ in range(7))


def simulator() -> float:
    """Millions of steps a second of a preset as vector environment, median of five rounds."""
    run = _stepping("StepwiseRouting-v0", source=PRESET, normaliser=1e3)
    run()
    return STEPS * EPISODES / statistics.median(run() for _ in range(5)) / 1e6


def _training(variant: str) -> tuple[int, int, Callable[[int], float]]:
    """Of all_budgets on the preset: time steps of a rollout and of a run, and how long so many take in CPU seconds."""
    import torch

    from gym_stepwise_routing.agents.training import hyperparameters, train
    from gym_stepwise_routing.game.config import GameConfig

    torch.set_num_threads(1)
    settings = hyperparameters("all_budgets", variant)
    game = GameConfig(PRESET, cost_unit="large_tokens")

    def seconds(timesteps: int) -> float:
        short = replace(settings, total_timesteps=timesteps)
        return seconds_of(lambda: train("all_budgets", seed=0, game=game, settings=short))

    return settings.n_envs * settings.algorithm["n_steps"], settings.total_timesteps, seconds


def simulator_share() -> float:
    """Per cent of a training by rollouts (all_budgets on a preset) that goes into the simulator's steps."""
    from gym_stepwise_routing.envs.sb3 import RoutingVecEnv

    rollout, _, seconds = _training("simulator")
    stepped = 0.0
    step_wait = RoutingVecEnv.step_wait

    def timed(env: RoutingVecEnv) -> Any:
        nonlocal stepped
        start = time.process_time()
        result = step_wait(env)
        stepped += time.process_time() - start
        return result

    def run(rollouts: int) -> tuple[float, float]:
        nonlocal stepped
        stepped = 0.0
        return seconds(rollouts * rollout), stepped

    RoutingVecEnv.step_wait = timed  # type: ignore[method-assign]
    (one, first), (four, fourth) = run(1), run(4)  # what is before the first rollout is in both
    return 100 * (fourth - first) / (four - one)


def all_budgets() -> float:
    """Seconds of a whole training run on a preset: taught by the planner where it can be, else by rollouts.

    The time of rollouts is that of two of them with their updates.
    """
    from gym_stepwise_routing.agents.agent import AGENTS

    taught = "planner" in AGENTS.get("all_budgets").variants
    rollout, whole, seconds = _training("planner" if taught else "simulator")
    if taught:
        return seconds(whole)
    seconds(rollout)
    return (seconds(3 * rollout) - seconds(rollout)) / (2 * rollout) * whole


def certified() -> float:
    """Seconds to train one policy for all costs on the default bank and to calibrate it (route).

    It is the exact learner where there is one, else LagrangianPPO with a limit.
    """
    import torch

    from gym_stepwise_routing.agents.agent import AGENTS
    from gym_stepwise_routing.agents.training import train
    from gym_stepwise_routing.calibration import RelativeAccuracy, calibrate
    from gym_stepwise_routing.game.config import GameConfig

    torch.set_num_threads(1)
    exact = "exact" in AGENTS.names()
    limit: dict[str, Any] = {} if exact else {"limit": 0.5, "constraint": "cost_limit"}

    def run() -> None:
        model = train(
            "exact" if exact else "lagrangian_ppo", seed=0, game=GameConfig(cost_unit="large_tokens"), **limit
        )
        game = GameConfig(split="calibration", cost_unit="large_tokens")
        with contextlib.suppress(ValueError):  # no threshold keeps the target: that takes as long
            calibrate(model, game, target=RelativeAccuracy(0.95))

    run()
    return min(seconds_of(run) for _ in range(2))


def sb3() -> float:
    """Thousands of frames a second of SB3's PPO with the project's settings, median of five rounds."""
    import torch
    from stable_baselines3 import PPO

    from gym_stepwise_routing.agents import training
    from gym_stepwise_routing.envs.sb3 import RoutingVecEnv

    torch.set_num_threads(1)
    project = training.hyperparameters("ppo")
    algorithm = dict(project.algorithm)
    if isinstance(algorithm["learning_rate"], str):  # an earlier build had no schedule here, and no such function
        algorithm = training.with_schedules(algorithm)
    model = PPO("MlpPolicy", RoutingVecEnv(project.n_envs, seed=0), seed=0, device="cpu", **algorithm)
    frames = 4 * project.n_envs * algorithm["n_steps"]
    model.learn(frames)
    seconds = [seconds_of(lambda: model.learn(frames, reset_num_timesteps=False)) for _ in range(5)]
    return frames / statistics.median(seconds) / 1e3


def opening(bank: str, what: str) -> float:
    """CPU seconds to open a bank, or the most memory of a process that does, in MB (Linux)."""
    from gym_stepwise_routing.banks import Bank

    seconds = seconds_of(lambda: Bank.open(bank))
    return seconds if what == "seconds" else memory("VmHWM")


def comparison() -> float:
    """CPU seconds of ``stepwise-routing compare`` on the default bank."""
    from gym_stepwise_routing.cli import main as command

    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w") as nowhere:
        sys.argv = ["stepwise-routing", "compare", "--bank", "gsm8k-qwen2.5-coder", "--out", folder]
        with contextlib.redirect_stdout(nowhere), contextlib.suppress(SystemExit):
            command()
    return time.process_time() - start


CELLS: dict[str, Callable[..., float]] = {
    **{f"vector-{game}": (lambda game=game: vector(game)) for game in GAMES},
    "simulator": simulator,
    "simulator-share": simulator_share,
    "all-budgets": all_budgets,
    "exact": certified,
    "sb3": sb3,
    "open-seconds": lambda bank: opening(bank, "seconds"),
    "open-megabytes": lambda bank: opening(bank, "megabytes"),
    "compare": comparison,
}


def main() -> None:
    """Measure and print one cell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cell", choices=CELLS)
    parser.add_argument("bank", nargs="?", help="a bank to open (open-seconds, open-megabytes)")
    arguments = parser.parse_args()
    given = [arguments.bank] if arguments.cell.startswith("open") else []
    sys.stdout.write(f"{CELLS[arguments.cell](*given)}\n")


if __name__ == "__main__":
    main()
