"""Episodes, routers, certificates and trainings as :mod:`freeze` hashes them."""

from __future__ import annotations

import hashlib
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from frozen_names import (
    BANKS,
    EPISODES,
    GSM8K,
    MATH,
    SIMULATED,
    THREE_MODELS,
    Items,
    feed,
)

# Everything that is taken from the package: after a move only these lines change.
from gym_stepwise_routing import ENV_ID, NotApplicableError
from gym_stepwise_routing import calibration as cal
from gym_stepwise_routing.agents.run_training import train_run
from gym_stepwise_routing.agents.training import hyperparameters
from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.baselines import ConfidenceThreshold
from gym_stepwise_routing.baselines.verifiers.features import feature_verifier
from gym_stepwise_routing.comparison import roster
from gym_stepwise_routing.comparison.run import run_comparison
from gym_stepwise_routing.costs.units import available_units
from gym_stepwise_routing.evaluation import evaluate, sweep, threshold_grid
from gym_stepwise_routing.evaluation.online_threshold import OnlineThreshold
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.sources import resolve
from gym_stepwise_routing.sources.simulator import SimulatorSource
from gym_stepwise_routing.types import BLOCKS, DEFAULT_BLOCKS
from studies.guarantee import halves, resampled

FEWER, FEWEST = 300, 60
"""Episodes of a scalar and of a vector environment each: for variants, and on a simulator."""
SIDE_BY_SIDE = 50
ANSWERLESS = tuple(block for block in BLOCKS if block != "feedback")
"""Blocks of the bundled banks: no environment answers their steps."""
INFOS = ("cost", "raw_cost", "spent", "problem")
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "budget": {"budget": 0.5},
    "budgets": {"budget": (0.3, 1.2)},
    "hard-budget": {"budget": 0.5, "hard_budget": True},
    "hard-budgets": {"budget": (0.3, 1.2), "hard_budget": True},
    "calibration": {"split": "calibration"},
    "test": {"split": "test"},
    "normaliser": {"normaliser": 123.5},
    "projected": {"masked_action": "project"},
}


def episodes() -> Items:
    """Seeded random play, scalar and vector: actions are drawn among the allowed ones (``projected``: among all)."""
    for label, name in BANKS.items():
        source = resolve(name)
        for mode in source.modes:
            for unit in available_units(source.pool):
                for blocks in ("default", "all"):
                    game = {"source": source, "mode": mode, "cost_unit": unit, "observation": _blocks(source, blocks)}
                    yield from _both(f"{label}/{mode}/{unit}/{blocks}", EPISODES, game)
    for label, name in (("gsm8k-qwen2.5-coder", GSM8K), ("math500-qwen2.5-coder", MATH)):
        source, scored = resolve(name), feature_verifier(Bank.open(name), seed=0)
        for mode in source.modes:
            game: dict[str, Any] = {"source": source, "mode": mode}
            for block in ANSWERLESS:
                of = scored if block == "verifier" else source
                yield from _both(f"{label}/{mode}/{block}", FEWER, {**game, "source": of, "observation": (block,)})
            for unit in available_units(source.pool):
                judged = {"source": scored, "cost_unit": unit, "observation": ANSWERLESS}
                yield from _both(f"{label}/{mode}/{unit}/scored", FEWER, game | judged)
            for variant, arguments in VARIANTS.items():
                shown = {"observation": _blocks(source, "all"), **arguments}
                yield from _both(f"{label}/{mode}/{variant}", FEWER, game | shown)
            same_step = {"autoreset_mode": gym.vector.AutoresetMode.SAME_STEP}
            yield f"{label}/{mode}/same-step/vector", _vector(FEWER, game | same_step)
    for name in (SIMULATED, THREE_MODELS):
        source = resolve(name)
        for mode in source.modes:
            units = available_units(source.pool)
            for unit in units:
                game = {"source": source, "mode": mode, "cost_unit": unit, "observation": _blocks(source, "all")}
                yield from _both(f"{name}/{mode}/{unit}/all", FEWEST, game)
            for variant in ("budgets", "hard-budgets"):
                game = {"source": source, "mode": mode, "cost_unit": units[0], **VARIANTS[variant]}
                yield from _both(f"{name}/{mode}/{variant}", FEWEST, game)


def _blocks(source: Any, blocks: str) -> Sequence[str]:
    if blocks == "default":
        return DEFAULT_BLOCKS
    return tuple(block for block in ANSWERLESS if source.scores or block != "verifier")


def _both(name: str, count: int, game: Mapping[str, Any]) -> Items:
    yield f"{name}/scalar", _scalar(count, game)
    yield f"{name}/vector", _vector(count, game)


def _scalar(count: int, game: Mapping[str, Any]) -> str:
    env = gym.make(ENV_ID, disable_env_checker=True, **game)
    free, rng, hashed = "masked_action" in game, np.random.default_rng(1), hashlib.sha256()
    for episode in range(count):
        observation, info = env.reset(seed=0 if episode == 0 else None)
        feed(hashed, [observation, *(info.get(key) for key in INFOS)])
        ended = False
        while not ended:
            action = int(np.argmax(rng.random(len(info["action_mask"])) * (info["action_mask"] | free)))
            observation, reward, terminated, truncated, info = env.step(action)
            ended = terminated or truncated
            feed(hashed, [action, observation, reward, terminated, truncated, *(info.get(key) for key in INFOS)])
    return hashed.hexdigest()


def _vector(count: int, game: Mapping[str, Any]) -> str:
    envs = gym.make_vec(ENV_ID, num_envs=SIDE_BY_SIDE, vectorization_mode="vector_entry_point", **game)
    free, rng, hashed = "masked_action" in game, np.random.default_rng(1), hashlib.sha256()
    observation, info = envs.reset(seed=0)
    feed(hashed, [observation, *(info.get(key) for key in INFOS)])
    done = 0
    while done < count:
        masks = envs.unwrapped.action_masks()  # type: ignore[attr-defined]
        actions = np.argmax(rng.random(masks.shape) * (masks | free), axis=1)
        observation, reward, terminated, truncated, info = envs.step(actions)
        final = info.get("final_info", {})
        feed(hashed, [actions, observation, reward, terminated, truncated, info.get("final_obs")])
        feed(hashed, [each.get(key) for each in (info, final) for key in INFOS])
        done += int((terminated | truncated).sum())
    return hashed.hexdigest()


LEFT_OUT = {"gsm8k-mixtral-gpt4": ("TRIM-Agg",), "gsm8k-closed-models": ("TRIM-Agg",)}
"""Families by bank that take minutes there: 15 trainings, which GSM8K's trees have as well."""


def routers() -> Items:
    """Every family of the comparison on every bank and mode: all settings problem by problem, and the figures."""
    for label, name in BANKS.items():
        families = [family.name for family in roster() if family.name not in LEFT_OUT.get(label, ())]
        for mode in resolve(name).modes:
            begun = [time.process_time()]
            result = run_comparison(
                name,
                mode=mode,  # type: ignore[arg-type]
                only=families,
                resamples=100,
                progress=lambda _, begun=begun: begun.append(time.process_time()),  # type: ignore[misc]
            )
            ends = [*begun[2:], time.process_time()]
            for row, begin, end in zip(result.rows, begun[1:], ends, strict=True):
                yield f"{label}/{mode}/{row.name}", _compared(row), end - begin
            models = [[each.right, each.cost, each.ledger] for each in result.reference.models]
            oracle = result.reference.ceiling
            yield f"{label}/{mode}/reference", [models, None if oracle is None else [oracle.costs, oracle.accuracies]]


def _compared(row: Any) -> object:
    """All numbers of a row; what it says where it does not apply may name banks, and is left out."""
    if row.not_applicable:
        return "not applicable"
    chosen = None if row.chosen is None else {k: v for k, v in asdict(row.chosen).items() if k != "setting"}
    outcomes = [row.outcomes.right, row.outcomes.cost, row.costs, row.accuracies]
    signals = [None if signal is None else asdict(signal) for signal in (row.signal, row.later_signal)]
    sweeps = {name: None if interval is None else asdict(interval) for name, interval in row.sweep.items()}
    return [outcomes, chosen, signals, sweeps, row.constant]


RELATIVE, ABSOLUTE, COST = cal.RelativeAccuracy, cal.Accuracy, cal.CostLimit
CALIBRATIONS: Mapping[str, tuple[str, str, str, Any, str, float]] = {
    "relative-exact": (GSM8K, "regenerate", "flops", RELATIVE(0.7), "exact", 0.1),
    "relative-exact-strict": (GSM8K, "route", "flops", RELATIVE(0.97), "exact", 0.05),
    "relative-exact-impossible": (GSM8K, "route", "flops", RELATIVE(0.999), "exact", 0.01),
    "relative-ltt": (GSM8K, "regenerate", "flops", RELATIVE(0.6), "ltt", 0.1),
    "relative-crc": (GSM8K, "regenerate", "latency", RELATIVE(0.75), "crc", 0.1),
    "relative-empirical": (GSM8K, "escalate", "large_tokens", RELATIVE(0.6), "empirical", 0.1),
    "relative-escalate": (MATH, "escalate", "flops", RELATIVE(0.8), "exact", 0.2),
    "relative-simulated": (SIMULATED, "regenerate", "large_tokens", RELATIVE(0.7), "exact", 0.1),
    "absolute-exact": (GSM8K, "regenerate", "flops", ABSOLUTE(0.4), "exact", 0.1),
    "absolute-ltt": (GSM8K, "regenerate", "dollars", ABSOLUTE(0.35), "ltt", 0.1),
    "absolute-empirical": (MATH, "escalate", "flops", ABSOLUTE(0.1), "empirical", 0.1),
    "absolute-impossible": (MATH, "escalate", "flops", ABSOLUTE(0.9), "exact", 0.1),
    "cost-ltt": (GSM8K, "route", "flops", COST(0.8, upper=8.0), "ltt", 0.1),
    "cost-ltt-tight": (GSM8K, "regenerate", "large_tokens", COST(0.5, upper=4.0), "ltt", 0.1),
    "cost-crc": (GSM8K, "escalate", "flops", COST(0.9, upper=5.0), "crc", 0.1),
    "cost-empirical": (GSM8K, "escalate", "latency", COST(0.7), "empirical", 0.1),
    "joint-relative-cost": (GSM8K, "regenerate", "flops", (RELATIVE(0.55), COST(1.6, upper=5.0)), "ltt", 0.2),
    "joint-absolute-cost": (GSM8K, "regenerate", "flops", (ABSOLUTE(0.25), COST(1.7, upper=5.0)), "ltt", 0.2),
    "joint-accuracies": (GSM8K, "regenerate", "flops", (RELATIVE(0.6), ABSOLUTE(0.3)), "exact", 0.1),
    "joint-empirical": (GSM8K, "escalate", "dollars", (RELATIVE(0.8), COST(0.9)), "empirical", 0.1),
}
"""Source, mode, cost unit, target, method and delta."""
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e-?\d+)?")


def certificates() -> Items:
    """Thresholds, risks and promised numbers of 20 calibrations; thresholds that follow feedback; repeated promises."""
    for number, (name, (source, mode, unit, target, method, delta)) in enumerate(CALIBRATIONS.items()):
        game = {"mode": mode, "cost_unit": unit}
        router = ConfidenceThreshold("p_min" if number % 2 else "p_mean")
        played_on: Any = SimulatorSource(source, problems=FEWER) if source == SIMULATED else source
        try:
            found = cal.calibrate(router, played_on, target=target, method=method, delta=delta, seed=0, **game)  # type: ignore[arg-type]
        except (ValueError, NotApplicableError) as error:
            yield name, ["refused", type(error).__name__]
            continue
        one = found.certificate
        numbers = [one.threshold, one.risk, one.alpha, one.delta, one.n, one.k, one.items_needed, one.certified]
        tested = evaluate(found, played_on, "test", **game)  # type: ignore[arg-type]
        yield name, [numbers, NUMBER.findall(f"{one.target}; {one.promise}"), tested.right, tested.cost]
    rng = np.random.default_rng(3)
    for decay in (0.0, 0.6):
        threshold = OnlineThreshold(0.3, step_size=0.05, decay=decay, slack=0.05)
        moved = [threshold.update(float(error) - 0.1) for error in rng.random(500) < 0.15]
        yield f"online/threshold/decay-{decay:g}", moved
        for target in (RELATIVE(0.9), ABSOLUTE(0.5)):
            router = cal.AdaptiveRouter(ConfidenceThreshold("p_mean"), target, initial=0.4, decay=decay)
            relative = target == RELATIVE(0.9)
            told = [
                router.feedback(bool(right), largest_right=bool(largest) if relative else None)
                for right, largest in rng.random((300, 2)) < 0.8
            ]
            played = evaluate(router, GSM8K, "test", mode="regenerate")
            kind = type(target).__name__
            yield f"online/router/{kind}/decay-{decay:g}", [told, router.updates, played.right, played.cost]
    calibration = Game(GSM8K, split="calibration", mode="regenerate")
    router = ConfidenceThreshold("p_mean")
    grid = threshold_grid(router, Game(GSM8K, split="train", mode="regenerate"), 41, seed=0)
    swept = sweep(router, calibration, grid)
    yield "sweep", [swept.thresholds, swept.right, swept.cost]
    for method in ("exact", "ltt", "crc", "empirical"):
        common = {"alpha": 0.1, "delta": 0.1, "method": method, "repetitions": 500, "seed": 5}
        for name, found in (("resampled", resampled(swept, n=200, **common)), ("halves", halves(swept, **common))):  # type: ignore[arg-type]
            yield f"repeated/{name}/{method}", [found.rows, found.certified, found.risk, found.cost]
    levels = [(alpha, delta) for alpha in (0.02, 0.1, 0.3) for delta in (0.01, 0.1)]
    errors = [cal.certifiable_errors(n, *level) for n in (20, 100, 700) for level in levels]
    needed = [cal.required_n(*level, risk=0.01, method=method) for method in cal.METHODS for level in levels]
    yield "bounds", [errors, needed]


STEPS = 20_000
AGENTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "lagrangian_ppo": ("regenerate", {"limit": 0.7, "constraint": "cost_limit"}),
    "all_budgets": ("route", {}),
    "ccpo": ("route", {"limit": 0.6, "constraint": "cost_limit"}),
    "ppo": ("escalate", {}),
    "dqn": ("route", {}),
    "exact": ("route", {"limit": 0.6, "constraint": "cost_limit"}),
}


def training() -> Items:
    """Weights of the exported policy after a short training, and what it does on the test split."""
    torch.set_num_threads(1)
    for agent, (mode, arguments) in AGENTS.items():
        settings = replace(hyperparameters(agent), total_timesteps=STEPS)
        game = GameConfig(GSM8K, mode=mode, cost_unit="flops")  # type: ignore[arg-type]
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / "run"
            router = train_run(agent, run, seed=0, game=game, settings=settings, **arguments)
        network, told = router.network, router.manifest
        layers = [[layer.weight, layer.bias, layer.activation] for layer in network.dense]
        numbers = [told.steps, told.threshold, told.tilt, told.accuracy, told.cost, told.limit_kept, told.kappa_fit]
        yield f"{agent}/weights", [layers, network.temperature, network.score_kind, network.threshold, numbers]
        budget = 0.6 if agent == "all_budgets" else None
        played = evaluate(router, game, "test", budget=budget)
        swept = sweep(network, Game(game, split="test", budget=budget), np.linspace(0, 1, 21))
        yield f"{agent}/test", [played.right, played.cost, played.decisions, played.ledger, swept.right, swept.cost]
