"""Hashes of behaviour, to show that moving code moves no number: ``python tests/tools/freeze.py --out before.json``.

Numbers are hashed from their exact bytes; names of banks and tracks, paths, dates and ids are not. Two runs are to be
compared on one machine with the same packages: matrix products differ in their last bits between processors.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch

# Everything that is taken from the package: after a move only these lines change.
from gym_stepwise_routing import ENV_ID, NotApplicableError
from gym_stepwise_routing import calibration as cal
from gym_stepwise_routing.agents.run_training import train_run
from gym_stepwise_routing.agents.training import hyperparameters
from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.baselines import AlwaysLargest, AlwaysSmallest, ConfidenceThreshold, RandomMix
from gym_stepwise_routing.baselines.verifiers.features import feature_verifier
from gym_stepwise_routing.comparison import roster
from gym_stepwise_routing.comparison.run import run_comparison
from gym_stepwise_routing.costs.charging import Verifier
from gym_stepwise_routing.costs.ledger import KINDS
from gym_stepwise_routing.costs.models import Latency, Model, ModelPool, Price
from gym_stepwise_routing.costs.units import available_units, cost_of, cost_weights
from gym_stepwise_routing.datasets.problem import Problem
from gym_stepwise_routing.evaluation import evaluate, sweep, threshold_grid
from gym_stepwise_routing.evaluation.online_threshold import OnlineThreshold
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.game.normaliser import always_largest_cost
from gym_stepwise_routing.grading import GRADERS
from gym_stepwise_routing.grading.mathematics import MathGrader
from gym_stepwise_routing.leaderboard.board import make_board
from gym_stepwise_routing.leaderboard.entry import Entry
from gym_stepwise_routing.leaderboard.entry_figures import compute_figures
from gym_stepwise_routing.leaderboard.entry_files import read_entries, rows_path
from gym_stepwise_routing.leaderboard.faults import EntryRejectedError
from gym_stepwise_routing.leaderboard.verify import verify_entry
from gym_stepwise_routing.planning import Planner
from gym_stepwise_routing.sources import resolve
from gym_stepwise_routing.sources.simulator import SimulatorSource
from gym_stepwise_routing.types import BLOCKS, DEFAULT_BLOCKS, SPLITS
from studies.guarantee import halves, resampled

BANKS = {
    "gsm8k-qwen2.5-coder": "gsm8k-qwen2.5-coder",
    "math500-qwen2.5-coder": "math500-qwen2.5-coder",
    "gsm8k-mixtral-gpt4": "gsm8k-mixtral-gpt4",
    "gsm8k-closed-models": "gsm8k-closed-models",
}
"""Bank by the name that it has in the table of hashes: its name in this checkout."""
TRACKS = {
    "gsm8k-route": "gsm8k-route",
    "gsm8k-escalate": "gsm8k-escalate",
    "gsm8k-regenerate": "gsm8k-regenerate",
    "math500-escalate": "math500-escalate",
    "gsm8k-mixtral-gpt4": "gsm8k-mixtral-gpt4",
    "gsm8k-closed-models": "gsm8k-closed-models",
    "simulated-math-regenerate": "simulated-math-regenerate",
    "simulated-math-three-models": "simulated-math-three-models",
}
"""Track by the name that it has in the table of hashes: its name in this checkout."""
LEADERBOARD = Path(__file__).resolve().parents[2] / "leaderboard"
"""Folder of ``entries`` and ``artefacts``."""
GSM8K, MATH, MIXTRAL, CLOSED = BANKS.values()
SIMULATED, THREE_MODELS = "math-qwen2.5", "math-qwen2.5-3"

Items = Iterator[tuple[Any, ...]]
"""Name and value of each hash, and the seconds that it took where the section itself knows them."""


def digest(*values: object) -> str:
    """Hash over numbers, texts and arrays, and over lists and mappings of them."""
    hashed = hashlib.sha256()
    for value in values:
        _feed(hashed, value)
    return hashed.hexdigest()


def _feed(hashed: Any, value: object) -> None:
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        hashed.update(f"{value.dtype.str}{value.shape}".encode())
        hashed.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, np.ndarray | list | tuple):
        hashed.update(f"list{len(value)}".encode())
        for part in value:
            _feed(hashed, part)
    elif isinstance(value, Mapping):
        hashed.update(f"map{len(value)}".encode())
        for key in sorted(value):
            _feed(hashed, key)
            _feed(hashed, value[key])
    elif isinstance(value, float | np.floating):
        hashed.update(f"f{float(value).hex()}".encode())
    elif isinstance(value, bool | np.bool_):
        hashed.update(f"b{int(value)}".encode())
    elif isinstance(value, int | np.integer):
        hashed.update(f"i{int(value)}".encode())
    elif value is None or isinstance(value, str):
        text = repr(value)
        hashed.update(f"s{len(text)}{text}".encode())
    else:
        raise TypeError(f"{type(value).__name__} has no exact bytes here; allowed: numbers, texts, arrays, lists, maps")


# ---------------------------------------------------------------------------------------------------------- episodes

EPISODES, FEWER, FEWEST = 1000, 300, 60
"""Of a scalar and of a vector environment each: on a bank, for variants, and on a simulator."""
SIDE_BY_SIDE = 50
INFOS = ("cost", "raw_cost", "spent", "ledger", "action_mask", "problem", "budget", "bankrupt", "truncated_by")
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
            for block in BLOCKS:
                of = scored if block == "verifier" else source
                yield from _both(f"{label}/{mode}/{block}", FEWER, {**game, "source": of, "observation": (block,)})
            for unit in available_units(source.pool):
                judged = {"source": scored, "cost_unit": unit, "observation": BLOCKS}
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
    return tuple(block for block in BLOCKS if source.scores or block != "verifier")


def _both(name: str, count: int, game: Mapping[str, Any]) -> Items:
    yield f"{name}/scalar", _scalar(count, game)
    yield f"{name}/vector", _vector(count, game)


def _scalar(count: int, game: Mapping[str, Any]) -> str:
    env = gym.make(ENV_ID, disable_env_checker=True, **game)
    free, rng, hashed = "masked_action" in game, np.random.default_rng(1), hashlib.sha256()
    for episode in range(count):
        observation, info = env.reset(seed=0 if episode == 0 else None)
        _feed(hashed, [observation, *(info.get(key) for key in INFOS)])
        ended = False
        while not ended:
            action = int(np.argmax(rng.random(len(info["action_mask"])) * (info["action_mask"] | free)))
            observation, reward, terminated, truncated, info = env.step(action)
            ended = terminated or truncated
            _feed(hashed, [action, observation, reward, terminated, truncated, *(info.get(key) for key in INFOS)])
    return hashed.hexdigest()


def _vector(count: int, game: Mapping[str, Any]) -> str:
    envs = gym.make_vec(ENV_ID, num_envs=SIDE_BY_SIDE, vectorization_mode="vector_entry_point", **game)
    free, rng, hashed = "masked_action" in game, np.random.default_rng(1), hashlib.sha256()
    observation, info = envs.reset(seed=0)
    _feed(hashed, [observation, *(info.get(key) for key in INFOS)])
    done = 0
    while done < count:
        masks = envs.unwrapped.action_masks()  # type: ignore[attr-defined]
        actions = np.argmax(rng.random(masks.shape) * (masks | free), axis=1)
        observation, reward, terminated, truncated, info = envs.step(actions)
        final = info.get("final_info", {})
        _feed(hashed, [actions, observation, reward, terminated, truncated, info.get("final_obs")])
        _feed(hashed, [each.get(key) for each in (info, final) for key in INFOS])
        done += int((terminated | truncated).sum())
    return hashed.hexdigest()


# ----------------------------------------------------------------------------------------------------------- routers

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


# ------------------------------------------------------------------------------------------------------ certificates

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


# ---------------------------------------------------------------------------------------------------------- training

STEPS = 20_000
AGENTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "lagrangian_ppo": ("regenerate", {"limit": 0.7, "constraint": "cost_limit"}),
    "all_budgets": ("route", {}),
    "ccpo": ("route", {"limit": 0.6, "constraint": "cost_limit"}),
    "ppo": ("escalate", {}),
    "dqn": ("route", {}),
}


def training() -> Items:
    """Weights of the exported policy after a short training, and what it does on the test split."""
    torch.set_num_threads(1)
    for agent, (mode, arguments) in AGENTS.items():
        settings = replace(hyperparameters(agent), total_timesteps=STEPS)
        game = GameConfig(GSM8K, mode=mode, cost_unit="flops")
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / "run"
            router = train_run(agent, run, seed=0, game=game, settings=settings, **arguments)
        network, told = router.network, router.manifest
        layers = [[layer.weight, layer.bias, layer.activation] for layer in network.dense]
        numbers = [told.steps, told.threshold, told.tilt, told.accuracy, told.cost, told.limit_kept, told.kappa_fit]
        yield f"{agent}/weights", [layers, network.temperature, network.score_kind, network.threshold, numbers]
        budget = 0.6 if agent == "all_budgets" else None
        played = evaluate(router, GSM8K, "test", mode=mode, budget=budget)  # type: ignore[arg-type]
        tested = Game(GSM8K, split="test", mode=mode, budget=budget)  # type: ignore[arg-type]
        swept = sweep(network, tested, np.linspace(0, 1, 21))
        yield f"{agent}/test", [played.right, played.cost, played.decisions, played.ledger, swept.right, swept.cost]


# ----------------------------------------------------------------------------------------------------------- entries

RERUN = tuple(label for label in TRACKS if not label.startswith("simulated"))
"""Tracks on which routers are run again; on simulated ones that takes many minutes."""


def entries() -> Items:
    """Decisions of every entry replayed, its figures computed from them, and each track's board."""
    for label, track in TRACKS.items():
        verdicts, stands = _verify_all(track, run_again=False)
        yield f"{label}/figures", stands
        # what was not run again has no rank: here all are ranked, for ranks to be compared
        board = make_board(verdicts[0].track, [replace(verdict, rerun="done") for verdict in verdicts])
        rows = [[row.entry.name, {unit: asdict(each) for unit, each in row.standings.items()}] for row in board.rows]
        sweeps = [[[asdict(point) for point in run] for run in row.sweeps] for row in board.rows]
        lines = {unit: [line.constants, _curve(line.hull), _curve(line.oracle)] for unit, line in board.lines.items()}
        yield f"{label}/board", [rows, sweeps, lines, dict(verdicts[0].track.normalisers)]


def reruns() -> Items:
    """The same with the router of every entry loaded or fitted, and run again; without the board."""
    for label in RERUN:
        yield label, _verify_all(TRACKS[label], run_again=True)[1]


def _verify_all(track: str, *, run_again: bool) -> tuple[list[Any], list[object]]:
    """Verdicts, and by entry whether it was accepted, what is wrong with it, and its figures."""
    verdicts, stands = [], []
    for entry in sorted(
        read_entries(rows_path(LEADERBOARD / "entries", track)), key=lambda entry: f"{entry.name}.json"
    ):
        verdict, faults = _verified(entry, run_again=run_again)
        if verdict is None:
            stands.append([entry.name, "rejected", faults])
            continue
        verdicts.append(verdict)
        figures = compute_figures(verdict.track, verdict.entry.name, verdict.runs, verdict.constants)
        stands.append([entry.name, "rejected" if faults else "accepted", faults, verdict.rerun, figures.model_dump()])
    return verdicts, stands


def _verified(entry: Entry, *, run_again: bool) -> tuple[Any, list[str]]:
    """The verdict, and the codes of what is wrong; where only the router's second run is, that without one."""
    artefacts, faults = LEADERBOARD / "artefacts", []
    for again in (True, False) if run_again else (False,):
        try:
            return verify_entry(entry, artefacts=artefacts, run_again=again), faults
        except EntryRejectedError as error:
            faults = sorted(fault.code for fault in error.faults)
    return None, faults


def _curve(frontier: Any) -> object:
    return None if frontier is None else [list(frontier.costs), list(frontier.accuracies)]


# ----------------------------------------------------------------------------------------------------------- grading

ANSWERS = 100
"""For each of the two graders."""


def grading() -> Items:
    """Verdicts on synthetic answers: right, wrong, oddly spelt and missing ones."""
    rng = np.random.default_rng(11)
    numeric, mathematical = GRADERS.get("numeric").make(), MathGrader(timeout=60.0)
    yield "numeric", [_graded(numeric, *_numeric_answer(rng, number)) for number in range(ANSWERS)]
    yield "math", [_graded(mathematical, *_math_answer(rng, number)) for number in range(ANSWERS)]
    mathematical.close()  # type: ignore[attr-defined]


def _graded(grade: Callable[[str, Problem], Any], text: str, reference: str) -> object:
    found = grade(text, Problem("made-up", "test", 0, "How many?", reference))
    return [found.answer, found.correct, found.timed_out]


def _numeric_answer(rng: np.random.Generator, number: int) -> tuple[str, str]:
    value, other = (int(each) for each in rng.integers(-3000, 30_000, 2))
    said = value if rng.random() < 0.6 else other
    forms = (
        f"So there are {other}.\n\nThe answer is {said}.",
        f"The answer is ${said:,}.00",
        f"#### {said}",
        f"The final answer is: {said:,} apples, not {other}.",
        f"The answer is {said - 7} + 7 = {said}.",
        f"The answer is {other}.\nNo, the answer is \N{MINUS SIGN}{abs(said)}",
        f"It is {said}.",
        f"The answer is unknown.\n{said}",
        f"the answer is: {said}.5",
        f"The answer is 1 / 2 = {said}. Or = {other}",
    )
    return forms[number % len(forms)], f"{value:,}" if number % 3 else str(value)


def _math_answer(rng: np.random.Generator, number: int) -> tuple[str, str]:
    above, below, more = (int(each) for each in rng.integers(2, 40, 3))
    half = 2 * above, 2 * below
    pairs = (
        (rf"\frac{{{above}}}{{{below}}}", rf"\dfrac{{{half[0]}}}{{{half[1]}}}"),
        (rf"\frac{{{above}}}{{{below}}}", f"{above}/{below}"),
        (rf"{above}\sqrt{{{more}}}", rf"\sqrt{{{above * above * more}}}"),
        (f"({above},{below})", rf"\left( {above}, {below} \right)"),
        (f"x^2+{above}x", f"x(x+{above})"),
        (f"[{above},{above + below}]", f"[{above},{above + below})"),
        (f"{above}", rf"{above}\text{{ cm}}"),
        (rf"{above}^\circ", f"{above}"),
        (f"{above}", f"{below}"),
        (rf"\{{{above},{below}\}}", rf"\{{{below}, {above}\}}"),
        (r"\text{east}", "east"),
        (f"{above / 4}", rf"\frac{{{above}}}{{4}}"),
    )
    reference, said = pairs[number % len(pairs)]
    forms = (
        rf"Therefore \boxed{{{said}}}.",
        f"The answer is ${said}$.",
        f"We find {said}.",
        rf"\boxed{{{more}}} is wrong, so \boxed{{{said}}}",
        f"Final Answer: {said}",
    )
    return forms[number % len(forms)], reference


# --------------------------------------------------------------------------------------------------------- simulator


def simulator() -> Items:
    """The planner's frontiers at small settings, and single plays."""
    cases: Mapping[str, tuple[str, str, str, dict[str, Any]]] = {
        "full/regenerate": (SIMULATED, "regenerate", "large_tokens", {"information": "full"}),
        "full/route": (SIMULATED, "route", "large_tokens", {"information": "full"}),
        "full/escalate": (SIMULATED, "escalate", "flops", {"information": "full", "spacing": 48}),
        "length/route": (SIMULATED, "route", "large_tokens", {"information": "length", "resolution": 6}),
        "score/regenerate": (SIMULATED, "regenerate", "large_tokens", {"information": "score", "resolution": 4}),
        "full/three-models": (THREE_MODELS, "route", "large_tokens", {"information": "full"}),
    }
    for name, (preset, mode, unit, arguments) in cases.items():
        planner = Planner(preset, mode=mode, cost_unit=unit, **arguments)  # type: ignore[arg-type]
        found = planner.bounded_frontier(tolerance=5e-3, episodes=100, seed=0)
        lines = [[each.multiplier, each.accuracy, each.cost] for each in (*found.solutions, *found.lines)]
        yield f"frontier/{name}", [lines, found.played, found.error, found.gap]
        played = planner.play_mixture(found.at_budget(0.5), episodes=2000, seed=1)
        yield f"mixture/{name}", [played.accuracy, played.mean_cost]
    for preset in (SIMULATED, THREE_MODELS):
        for router in (AlwaysSmallest(), AlwaysLargest(), RandomMix(0.5, 0)):
            source = SimulatorSource(preset, problems=EPISODES)
            played = evaluate(router, source, "calibration", mode="route", cost_unit="large_tokens", seed=4)
            yield f"play/{preset}/{played.router}", [played.right, played.cost, played.ledger, played.decisions]


# -------------------------------------------------------------------------------------------------------------- cost


def cost() -> Items:
    """Cost functions on random ledgers, for made-up models and those of the banks; what always-largest costs."""
    rng = np.random.default_rng(7)
    pools = {"made-up": _made_up_pool()}
    pools |= {label: resolve(name).pool for label, name in (BANKS | {SIMULATED: SIMULATED}).items()}
    for label, pool in pools.items():
        ledger = rng.integers(0, 5000, (200, len(pool.rows), len(KINDS)))
        for unit in available_units(pool):
            yield f"{label}/{unit}", [cost_weights(unit, pool), cost_of(ledger, unit, pool)]
    for label, name in BANKS.items():
        source = resolve(name)
        units = available_units(source.pool)
        largest = {f"{s} {u}": always_largest_cost(source, source.problems(s), u) for s in SPLITS for u in units}
        yield f"{label}/normalisers", largest


def _made_up_pool() -> ModelPool:
    def figures(size: float) -> dict[str, Any]:
        price = Price(input=0.1 * size, cached_input=0.03 * size, output=0.7 * size, date="2026-01-01", source="none")
        latency = Latency(prefill=0.001 * size, decode=0.02 * size, overhead=0.3, source="none")
        return {"parameters": 1e9 * size, "price": price, "latency": latency}

    models = [Model(f"model-{size}", **figures(float(size))) for size in (1, 7, 72)]
    return ModelPool(models, Verifier("verifier", **figures(3.0), prompt_tokens=40, decoded_tokens=1))


# -------------------------------------------------------------------------------------------------------------- main

SECTIONS: Mapping[str, Callable[[], Items]] = {
    "cost": cost,
    "grading": grading,
    "simulator": simulator,
    "certificates": certificates,
    "episodes": episodes,
    "training": training,
    "routers": routers,
    "entries": entries,
    "reruns": reruns,
}


def freeze(names: Sequence[str]) -> dict[str, str]:
    """Hash by name of these sections, printed as they come, with the CPU seconds of each."""
    found: dict[str, str] = {}
    for section in names:
        begin = last = time.process_time()
        for name, value, *known in SECTIONS[section]():
            key, now = f"{section}/{name}", time.process_time()
            if key in found:
                raise ValueError(f"{key} occurs twice; allowed: one hash a name")
            found[key] = digest(value)[:16]
            print(f"{key:75} {found[key]} {known[0] if known else now - last:8.2f}", flush=True)
            last = time.process_time()
        count = sum(key.startswith(f"{section}/") for key in found)
        print(f"{section}: {count} hashes in {time.process_time() - begin:.1f} CPU seconds\n", flush=True)
    return found


def compare(found: Mapping[str, str], former: Mapping[str, str], sections: Sequence[str]) -> list[str]:
    """What differs from a former table or is missing, one line each, as far as these sections go."""
    expected = {key: value for key, value in former.items() if key.split("/")[0] in sections}
    lines = [f"differs: {key}" for key in expected if key in found and found[key] != expected[key]]
    return lines + [f"missing: {key}" for key in expected if key not in found]


def main() -> int:
    """Print the table; exit status 1 where a hash of ``--check`` differs or is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, with commas: %(default)s")
    parser.add_argument("--out", type=Path, help="JSON file to write: hash by name, of 16 digits")
    parser.add_argument("--check", type=Path, help="JSON file of an earlier run to compare with")
    arguments = parser.parse_args()
    sections = arguments.only.split(",")
    if unknown := set(sections) - set(SECTIONS):
        parser.error(f"--only: {', '.join(sorted(unknown))}; allowed: {', '.join(SECTIONS)}")
    warnings.simplefilter("ignore")  # trainings this short keep no limit
    found = freeze(sections)
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if arguments.check is None:
        return 0
    former = json.loads(arguments.check.read_text(encoding="utf-8"))
    lines = compare(found, former, sections)
    print("".join(f"new: {key}\n" for key in found if key not in former), end="")
    print("\n".join(lines) or f"all hashes are as in {arguments.check}")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
