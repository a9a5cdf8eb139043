"""The main job from end to end: train on *train*, calibrate on *calibration*, compare on *test*."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader

import gym_stepwise_routing
from gym_stepwise_routing.agents.calibration import CalibratedRouter, Certificate, RelativeAccuracy, calibrate
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
from gym_stepwise_routing.costs import CostUnit
from gym_stepwise_routing.evaluation.bootstrap import bootstrap_difference
from gym_stepwise_routing.evaluation.evaluate import Evaluation, play, threshold_grid
from gym_stepwise_routing.evaluation.frontier import oracle_frontier
from gym_stepwise_routing.game import Game
from gym_stepwise_routing.report import Curve, Panel, Row, as_json, draw_frontiers, markdown_table, row_of, table_cells
from gym_stepwise_routing.routers import ThresholdRouter
from gym_stepwise_routing.sources.base import SPLITS, Split

__all__ = ["Demo", "Progress", "run_demo"]

BANK = "gsm8k-qwen2.5-coder"
AGENT = "lagrangian_ppo"
COST_LIMIT = 0.5
TARGET = RelativeAccuracy(0.95)
DELTA = 0.1
RESAMPLES = 10_000
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
        certificates: one a seed.
    """

    title: str
    setting: str
    rows: tuple[Row, ...]
    promises: tuple[str, ...]
    findings: tuple[str, ...]
    certificates: tuple[Certificate, ...]


def run_demo(out: Path, *, seeds: Sequence[int] = (0, 1, 2), progress: Progress | None = None) -> Demo:
    """Train, calibrate, compare; write results.json, table.md, frontier.png, index.html and TensorBoard logs.

    Args:
        out: folder to write; made if absent.
        seeds: training seeds, at least one.
        progress: told about training steps.

    Raises:
        ValueError: no seeds.
    """
    if not seeds:
        raise ValueError("seeds=(); allowed: at least one training seed")
    out.mkdir(parents=True, exist_ok=True)
    games = {split: _game(split) for split in SPLITS}
    agents = []
    for seed in seeds:
        told = None if progress is None else (lambda steps, seed=seed: progress(f"training, seed {seed}", steps))
        trained = train(
            AGENT,
            seed=seed,
            game={"source": games["train"].source, "split": "train", "cost_unit": "large_tokens"},
            tensorboard_log=out / "tensorboard",
            progress=told,
            limit=COST_LIMIT,
        )
        agents.append(scored(trained, name="lagrangian-ppo"))
    grids = [threshold_grid(agent, games["train"], GRID) for agent in agents]
    exact, empirical = (
        [
            calibrate(agent, games["calibration"], target=TARGET, delta=DELTA, method=method, thresholds=grid)
            for agent, grid in zip(agents, grids, strict=True)
        ]
        for method in ("exact", "empirical")
    )
    rule = ConfidenceThreshold("p_min")
    rule_calibrated = calibrate(
        rule, games["calibration"], target=TARGET, method="empirical", thresholds=threshold_grid(rule, games["train"])
    )
    test = games["test"]
    largest = play(AlwaysLargest(), test)
    runs = {
        "as it is": [play(agent, test) for agent in agents],
        "exact": [play(router, test) for router in exact],
        "empirical": [play(router, test) for router in empirical],
    }
    rows = _rows(test, largest, runs, rule_calibrated)
    certificates = tuple(router.certificate for router in exact)
    demo = Demo(
        title="Stepwise routing of two real language models on GSM8K",
        setting=_setting(games, seeds),
        rows=rows,
        promises=_promises(certificates),
        findings=_findings(largest, runs, test),
        certificates=certificates,
    )
    curves = [
        [play(ThresholdRouter(agent, threshold), test) for threshold in grid]
        for agent, grid in zip(agents, grids, strict=True)
    ]
    panels = [_panel(unit, curves, largest) for unit in UNITS]
    _write(out, demo, test, panels, seeds)
    return demo


def _game(split: Split, cost_unit: CostUnit = "large_tokens") -> Game:
    return Game(BANK, split=split, cost_unit=cost_unit)


def _rows(
    test: Game, largest: Evaluation, runs: dict[str, list[Evaluation]], rule: CalibratedRouter
) -> tuple[Row, ...]:
    baselines = [
        *(FirstKLarge(k) for k in range(1, test.source.horizon)),
        *(LastKLarge(k) for k in range(1, test.source.horizon)),
    ]
    return (
        row_of([play(AlwaysSmallest(), test)], largest, kind="constant"),
        *(
            row_of([play(RandomMix(p, seed), test) for seed in range(20)], largest, kind="baseline", note="20 draws")
            for p in (0.25, 0.5, 0.75)
        ),
        *(row_of([play(router, test)], largest, kind="baseline") for router in baselines),
        row_of(
            [play(rule, test)],
            largest,
            kind="baseline",
            note="threshold tuned on calibration to the target, no guarantee",
        ),
        row_of(
            runs["as it is"],
            largest,
            kind="agent",
            note=f"trained for cost <= {COST_LIMIT:g}, most likely action",
        ),
        row_of(
            runs["empirical"],
            largest,
            kind="agent",
            name="lagrangian-ppo, tuned",
            note="threshold tuned on calibration to the target, no guarantee",
        ),
        row_of(
            runs["exact"],
            largest,
            kind="agent",
            name="lagrangian-ppo, certified",
            note="threshold from the exact binomial test; always-largest where it cannot certify",
        ),
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


def _promises(certificates: Sequence[Certificate]) -> tuple[str, ...]:
    first = certificates[0]
    head = (
        f"Asked for: {first.target}, with probability {1 - DELTA:g} over the calibration problems "
        f"(n = {first.n[0]}: those that always-largest solves count)."
    )
    lines = [head]
    kept = sum(certificate.certified for certificate in certificates)
    if kept:
        promise = next(certificate.promise for certificate in certificates if certificate.certified)
        lines.append(f"Certified for {kept} of {len(certificates)} seeds: {promise}.")
    if kept < len(certificates):
        missing = next(certificate for certificate in certificates if not certificate.certified)
        lines.append(
            f"Not certified for {len(certificates) - kept} of {len(certificates)} seeds, which promise "
            f"{missing.promise}; that is always-largest."
        )
    return tuple(lines)


def _findings(largest: Evaluation, runs: dict[str, list[Evaluation]], test: Game) -> tuple[str, ...]:
    n, seeds = len(largest), len(runs["exact"])
    lines = []
    for key, words in (("empirical", "tuned without guarantee"), ("exact", "certified")):
        right = np.stack([run.right.astype(np.float64) for run in runs[key]])
        gap = bootstrap_difference(right, largest.right.astype(np.float64), resamples=RESAMPLES)
        cost = np.mean([run.cost.mean() for run in runs[key]])
        lines.append(
            f"LagrangianPPO, {words}: accuracy minus always-largest's {gap.estimate:+.3f} [{gap.low:+.3f}, "
            f"{gap.high:+.3f}] at {cost:.2f} of its large-model tokens (n = {n}, {seeds} seeds)."
        )
    flops = np.mean([run.costs["flops"].mean() for run in runs["empirical"]]) / largest.costs["flops"].mean()
    lines.append(
        f"In FLOPs, with prefill, it costs {flops:.2f} of always-largest: a model that takes over late "
        "has to read everything that it did not write."
    )
    return tuple(lines)


def _write(out: Path, demo: Demo, test: Game, panels: Sequence[Panel], seeds: Sequence[int]) -> None:
    title = f"{BANK}, {len(test.problems)} test problems, mode route; 95 % intervals, {len(seeds)} seeds"
    draw_frontiers(demo.rows, panels, out / "frontier.png", title=title)
    _write_text(out / "table.md", markdown_table(demo.rows))
    results: dict[str, Any] = {
        "version": gym_stepwise_routing.__version__,
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
    page = Environment(loader=PackageLoader("gym_stepwise_routing", "report"), autoescape=True).get_template(
        "demo.html.j2"
    )
    html = page.render(
        title=demo.title,
        setting=demo.setting,
        promises=demo.promises,
        findings=demo.findings,
        header=header,
        body=[(row.kind, cells) for row, cells in zip(demo.rows, body, strict=True)],
        resamples=f"{RESAMPLES:,}",
        seeds=", ".join(map(str, seeds)),
        version=gym_stepwise_routing.__version__,
        bank_hash=test.source_hash,
        command=f"stepwise-routing demo --seeds {len(seeds)}",
    )
    _write_text(out / "index.html", html)


def _panel(unit: CostUnit, curves: Sequence[Sequence[Evaluation]], largest: Evaluation) -> Panel:
    """The oracle's frontier and every seed's swept thresholds in one cost unit."""
    paths = oracle_paths(_game("test", unit))
    frontier = oracle_frontier(paths.right, paths.any)
    reference = largest.costs[unit].mean()
    return Panel(
        unit=unit,
        frontier=Curve(
            name="oracle frontier (knows every outcome)", costs=frontier.costs, accuracies=frontier.accuracies
        ),
        curves=tuple(
            Curve(
                name="lagrangian-ppo, every threshold of each seed",
                costs=np.array([run.costs[unit].mean() / reference for run in curve]),
                accuracies=np.array([run.accuracy for run in curve]),
            )
            for curve in curves
        ),
    )


def _write_text(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".tmp")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
