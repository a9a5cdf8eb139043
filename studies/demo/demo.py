"""The main job from end to end: train on *train*, calibrate on *calibration*, compare on *test*."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader

from gym_stepwise_routing.agents.limits import mean_outcome, tilt_to_limit, tilted
from gym_stepwise_routing.agents.scores import scored
from gym_stepwise_routing.agents.training import train
from gym_stepwise_routing.baselines import (
    AlwaysLargest,
    AlwaysSmallest,
    ConfidenceThreshold,
    FirstKLarge,
    LastKLarge,
    RandomMix,
    oracle,
    oracle_paths,
)
from gym_stepwise_routing.calibration import CalibratedRouter, Certificate, RelativeAccuracy, calibrate
from gym_stepwise_routing.calibration.certificate import CalibrationMethod
from gym_stepwise_routing.costs.units import CostUnit
from gym_stepwise_routing.evaluation.evaluate import Evaluation, play, threshold_grid
from gym_stepwise_routing.evaluation.expectation import Drawn
from gym_stepwise_routing.evaluation.frontier import oracle_frontier
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.reporting import (
    Curve,
    Panel,
    Row,
    as_json,
    draw_frontiers,
    markdown_table,
    row_of,
    table_cells,
)
from gym_stepwise_routing.routers.base import ThresholdRouter
from gym_stepwise_routing.types import SPLITS, VERSION, Split
from studies.demo.findings import (
    COST_LIMIT,
    DELTA,
    DRAWS,
    FEW_ERRORS,
    NAME,
    RESAMPLES,
    TARGET,
    findings,
    limit_kept,
    promises,
    schedule_found,
    second_promises,
    second_target,
    settled,
)

__all__ = ["Demo", "Progress", "run_demo"]

BANK = "gsm8k-qwen2.5-coder"
AGENT = "lagrangian_ppo"
UNITS: tuple[CostUnit, ...] = ("large_tokens", "flops")
GRID = 41

Progress = Callable[[str, int], None]
"""Called with the name of the stage and the work done since the last call, in environment steps."""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """What the demo found.

    Attributes:
        title: headline.
        setting: which models, problems and costs.
        rows: every router on the test problems.
        promises: what calibration can and cannot promise, in sentences.
        findings: what happened on the test problems, in sentences.
        certificates: one a seed, then, if there is a second target, one a seed for that.
    """

    title: str
    setting: str
    rows: tuple[Row, ...]
    promises: tuple[str, ...]
    findings: tuple[str, ...]
    certificates: tuple[Certificate, ...]


def run_demo(
    out: Path,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    progress: Progress | None = None,
    announce: Callable[[str], None] | None = None,
) -> Demo:
    """Train, calibrate, compare; write results.json, table.md, frontier.png, index.html and TensorBoard logs.

    Args:
        out: folder to write; made if absent.
        seeds: training seeds, at least one.
        progress: told about training steps.
        announce: told, before training, what is settled already.

    Raises:
        ValueError: no seeds.
    """
    if not seeds:
        raise ValueError("seeds=(); allowed: at least one training seed")
    out.mkdir(parents=True, exist_ok=True)
    games = {split: _game(split) for split in SPLITS}
    solved = int(play(AlwaysLargest(), games["calibration"]).right.sum())
    known, second = settled(solved), second_target(solved)
    if announce is not None:
        announce(known)
    agents = []
    for seed in seeds:
        told = None if progress is None else (lambda steps, seed=seed: progress(f"training, seed {seed}", steps))
        trained = train(
            AGENT,
            seed=seed,
            game=GameConfig(games["train"].source, cost_unit="large_tokens"),
            tensorboard_log=out / "tensorboard",
            progress=told,
            limit=COST_LIMIT,
        )
        agents.append(scored(trained, name=NAME))
    grids = [threshold_grid(agent, games["train"], GRID) for agent in agents]

    def calibrated(target: RelativeAccuracy, method: CalibrationMethod) -> list[CalibratedRouter]:
        game = games["calibration"]
        return [
            calibrate(agent, game, target=target, delta=DELTA, method=method, thresholds=grid)
            for agent, grid in zip(agents, grids, strict=True)
        ]

    drawn = [tilted(agent, tilt_to_limit(agent, games["train"], COST_LIMIT)) for agent in agents]
    routers = {"exact": calibrated(TARGET, "exact"), "empirical": calibrated(TARGET, "empirical")}
    if second is not None:
        routers["second"] = calibrated(second, "exact")
    rule = ConfidenceThreshold("p_min")
    rule_calibrated = calibrate(
        rule, games["calibration"], target=TARGET, method="empirical", thresholds=threshold_grid(rule, games["train"])
    )
    test = games["test"]
    largest = play(AlwaysLargest(), test)
    runs = {
        "drawn": [play(Drawn(policy, draw), test) for policy in drawn for draw in range(DRAWS)],
        **{key: [play(router, test) for router in each] for key, each in routers.items()},
    }
    schedules = [play(schedule, test) for schedule in _schedules(test.source.horizon)]
    rows = _rows(test, largest, runs, rule_calibrated, schedules, second)
    certificates = tuple(router.certificate for router in routers["exact"])
    seconds = tuple(router.certificate for router in routers.get("second", ()))
    on_train = float(np.mean([mean_outcome(policy, games["train"])[1] for policy in drawn]))
    demo = Demo(
        title="Stepwise routing of two real language models on GSM8K",
        setting=_setting(games, seeds),
        rows=rows,
        promises=(known, *promises(certificates), *second_promises(seconds)),
        findings=(
            limit_kept(rows, on_train),
            schedule_found(schedules, runs["drawn"], len(seeds)),
            *findings(largest, runs, rows),
        ),
        certificates=(*certificates, *seconds),
    )
    curves = [
        [play(ThresholdRouter(agent, threshold), test) for threshold in grid]
        for agent, grid in zip(agents, grids, strict=True)
    ]
    swept = [play(ThresholdRouter(rule, threshold), test) for threshold in threshold_grid(rule, games["train"], GRID)]
    panels = [_panel(unit, curves, swept, largest) for unit in UNITS]
    _write(out, demo, test, panels, seeds)
    return demo


def _game(split: Split, cost_unit: CostUnit = "large_tokens") -> Game:
    return Game(BANK, split=split, cost_unit=cost_unit)


def _schedules(horizon: int) -> list[FirstKLarge | LastKLarge]:
    return [schedule(k) for schedule in (FirstKLarge, LastKLarge) for k in range(1, horizon)]


def _rows(
    test: Game,
    largest: Evaluation,
    runs: dict[str, list[Evaluation]],
    rule: CalibratedRouter,
    schedules: Sequence[Evaluation],
    second: RelativeAccuracy | None,
) -> tuple[Row, ...]:
    tuned = "threshold tuned on calibration to the target, no guarantee"
    rows = [
        row_of([play(AlwaysSmallest(), test)], largest, kind="constant"),
        *(
            row_of([play(RandomMix(p, seed), test) for seed in range(20)], largest, kind="baseline", note="20 draws")
            for p in (0.25, 0.5, 0.75)
        ),
        *(row_of([run], largest, kind="baseline") for run in schedules),
        row_of([play(rule, test)], largest, kind="baseline", note=tuned),
        row_of(
            runs["drawn"],
            largest,
            kind="agent",
            draws=DRAWS,
            note=f"actions drawn, odds tilted after training so that the training problems cost <= {COST_LIMIT:g}",
        ),
        row_of(runs["empirical"], largest, kind="agent", name=f"{NAME}, tuned", note=tuned),
        row_of(
            runs["exact"],
            largest,
            kind="agent",
            name=f"{NAME}, certified",
            note="threshold from the exact binomial test; always-largest where it cannot certify",
        ),
    ]
    if second is not None:
        note = f"second target: {second}, the strictest that {FEW_ERRORS} errors on calibration certify"
        rows.append(row_of(runs["second"], largest, kind="agent", name=f"{NAME}, 2nd target", note=note))
    return (
        *rows,
        row_of([largest], largest, kind="constant"),
        row_of(
            [oracle(test)],
            largest,
            kind="bound",
            note="fewest large-model tokens; knows how every branch ends: a bound, not a router",
        ),
    )


def _setting(games: dict[Split, Game], seeds: Sequence[int]) -> str:
    sizes = ", ".join(f"{len(game.problems)} {split}" for split, game in games.items())
    models = " and ".join(games["test"].spec.models)
    return (
        f"Recorded routing trees of {models} (small models: the point is the method, not the score) on GSM8K problems: "
        f"{sizes}. Mode route; the agent is trained for large-model tokens; {len(seeds)} training seeds."
    )


def _write(out: Path, demo: Demo, test: Game, panels: Sequence[Panel], seeds: Sequence[int]) -> None:
    title = f"{BANK}, {len(test.problems)} test problems, mode route; 95 % intervals; training seeds: {len(seeds)}"
    draw_frontiers(demo.rows, panels, out / "frontier.png", title=title)
    _write_text(out / "table.md", markdown_table(demo.rows))
    results: dict[str, Any] = {
        "version": VERSION,
        "bank": {"name": BANK, "hash": test.source_hash, "simulated": test.spec.simulated},
        "seeds": list(seeds),
        "resamples": RESAMPLES,
        "target": str(TARGET),
        "delta": DELTA,
        "promises": demo.promises,
        "findings": demo.findings,
        "certificates": [asdict(certificate) for certificate in demo.certificates],
        "rows": list(demo.rows),
    }
    _write_text(out / "results.json", json.dumps(as_json(results), indent=2, allow_nan=False) + "\n")
    header, body = table_cells(demo.rows)
    page = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True).get_template("demo.html.j2")
    html = page.render(
        title=demo.title,
        setting=demo.setting,
        promises=demo.promises,
        findings=demo.findings,
        header=header,
        body=[(row.kind, cells) for row, cells in zip(demo.rows, body, strict=True)],
        resamples=f"{RESAMPLES:,}",
        seeds=", ".join(map(str, seeds)),
        version=VERSION,
        bank_hash=test.source_hash,
        command=f"stepwise-routing demo --seeds {len(seeds)}",
    )
    _write_text(out / "index.html", html)


def _panel(
    unit: CostUnit, curves: Sequence[Sequence[Evaluation]], rule: Sequence[Evaluation], largest: Evaluation
) -> Panel:
    """The oracle's frontier, every seed's swept thresholds and the rule's in one cost unit."""
    paths = oracle_paths(_game("test", unit))
    frontier = oracle_frontier(paths.right, paths.any)
    reference = float(largest.costs[unit].mean())
    return Panel(
        unit=unit,
        frontier=Curve(
            name="oracle frontier (knows every outcome)", costs=frontier.costs, accuracies=frontier.accuracies
        ),
        curves=(
            *(_curve(f"{NAME}, every threshold of each seed", curve, unit, reference) for curve in curves),
            _curve(f"{rule[0].router}, every threshold", rule, unit, reference, kind="baseline"),
        ),
    )


def _curve(name: str, runs: Sequence[Evaluation], unit: CostUnit, reference: float, *, kind: str = "agent") -> Curve:
    return Curve(
        name=name,
        costs=np.array([run.costs[unit].mean() / reference for run in runs]),
        accuracies=np.array([run.accuracy for run in runs]),
        kind=kind,
    )


def _write_text(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".tmp")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
