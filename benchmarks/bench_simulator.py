"""Simulated steps a second: ``python benchmarks/bench_simulator.py``.

A step of every trace of a batch, by :meth:`SimulatorSource.step`: hidden state, length, verifier score, nine confidence
figures, end and answer. Beside it whole episodes (traces drop out as they end) and the vector environment, whose rules,
ledger and observations cost far more than the simulator. CPU time of one thread, median of the rounds; limit of the
project: 10 million steps/s, or the profile that shows why not, which follows.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import sys
import time
from collections.abc import Callable

import gymnasium as gym
import numpy as np

import gym_stepwise_routing  # noqa: F401  (registers the environment)
from gym_stepwise_routing.sources.simulator import PRESETS, SimulatorSource

WANTED = 10e6


def steps(source: SimulatorSource, batch: int, total: int) -> int:
    """One step of the same ``batch`` traces, again and again: steps done."""
    rng = np.random.default_rng(0)
    state = source.start(np.arange(batch), rng)
    models = rng.integers(len(source.pool), size=batch)
    for _ in range(total // batch):
        source.step(state, models, rng)
    return total // batch * batch


def episodes(source: SimulatorSource, batch: int, total: int) -> int:
    """Whole episodes of random routing: steps done."""
    rng, done = np.random.default_rng(0), 0
    while done < total:
        state = source.start(np.arange(batch), rng)
        while len(state):
            state = source.step(state, rng.integers(len(source.pool), size=len(state)), rng)
            done += len(state)
            state = state.take(np.flatnonzero(~state.terminal))
    return done


def environment(preset: str, batch: int, total: int) -> int:
    """Random routing in the vector environment: steps done."""
    env = gym.make_vec(
        "StepwiseRouting-v0", num_envs=batch, vectorization_mode="vector_entry_point", source=preset, normaliser=1e13
    )
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(total // batch):
        env.step(rng.integers(2, size=batch))
    return total // batch * batch


def rate(run: Callable[[], int], rounds: int) -> float:
    """Median steps per second of CPU time."""
    rates = []
    for _ in range(rounds):
        start = time.process_time()
        done = run()
        rates.append(done / (time.process_time() - start))
    return statistics.median(rates)


def main() -> None:
    """Measure and write a table."""
    parser = argparse.ArgumentParser(description="Simulated steps per second.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=16_384)
    arguments = parser.parse_args()
    rounds, batch = arguments.rounds, arguments.batch
    write = sys.stdout.write
    write(f"million steps/s of CPU time, one thread, median of {rounds} rounds, batch {batch:,}\n")
    write(f"{'preset':16}{'step':>10}{'episodes':>10}{'env':>10}\n")
    slowest = np.inf
    for name in PRESETS:
        source = SimulatorSource(name)
        steps(source, batch, batch)  # warm up
        one = rate(lambda source=source: steps(source, batch, 2_000_000), rounds)
        whole = rate(lambda source=source: episodes(source, batch, 1_000_000), rounds)
        played = rate(lambda name=name: environment(name, 1024, 50_000), min(rounds, 2))
        slowest = min(slowest, one)
        write(f"{name:16}{one / 1e6:10.1f}{whole / 1e6:10.1f}{played / 1e6:10.2f}\n")
    write(f"slowest preset: {slowest / 1e6:.1f} million steps/s; wanted: {WANTED / 1e6:.0f}\n")
    profiler = cProfile.Profile()
    profiler.runcall(steps, SimulatorSource("math-qwen2.5"), batch, 2_000_000)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(8)


if __name__ == "__main__":
    main()
