"""Entries, grades, the simulator and costs as :mod:`freeze` hashes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from frozen_names import (
    BANKS,
    EPISODES,
    LEADERBOARD,
    SIMULATED,
    THREE_MODELS,
    TRACKS,
    Items,
)

# Everything that is taken from the package: after a move only these lines change.
from gym_stepwise_routing.baselines import AlwaysLargest, AlwaysSmallest, RandomMix
from gym_stepwise_routing.costs.charging import Verifier
from gym_stepwise_routing.costs.ledger import KINDS
from gym_stepwise_routing.costs.models import Latency, Model, ModelPool, Price
from gym_stepwise_routing.costs.units import available_units, cost_of, cost_weights
from gym_stepwise_routing.datasets.problem import Problem
from gym_stepwise_routing.evaluation import evaluate
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
from gym_stepwise_routing.types import SPLITS

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
