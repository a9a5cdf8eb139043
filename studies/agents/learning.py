"""Trained routers against rules and what is fitted without RL: ``python -m studies.agents.learning``.

Everything is fitted on the train split and compared on the test split. Sweeps over thresholds and budgets are compared
as whole curves (APGR), so that no threshold is chosen on test problems. Nothing having been fitted to the calibration
split either, a second comparison takes both together, for more problems.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import typer
from numpy.typing import NDArray

from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.baselines import oracle_paths
from gym_stepwise_routing.costs.units import CostUnit
from gym_stepwise_routing.evaluation import metrics
from gym_stepwise_routing.evaluation.bootstrap import bootstrap_curve_differences, bootstrap_curves
from gym_stepwise_routing.evaluation.evaluate import sweep
from gym_stepwise_routing.evaluation.frontier import oracle_frontier
from gym_stepwise_routing.evaluation.outcomes import AnchorOutcomes, SweepOutcomes
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.reporting.pages import write_page
from gym_stepwise_routing.routers.base import ThresholdRouter
from gym_stepwise_routing.routers.policy_network import PolicyNetwork
from gym_stepwise_routing.types import BLOCKS, Mode, Split
from studies.agents.folds import learning_curve
from studies.agents.learning_page import TEST, UNSEEN, Line, Point, draw, page_of
from studies.agents.sweeps import (
    METRIC,
    MODES,
    PEERS,
    THRESHOLDS,
    anchors_of,
    anchors_together,
    apgr,
    contended,
    fit,
    games_of,
    handcrafted,
    stack,
    swept,
    together,
)
from studies.options import (
    AGENT_PAGES,
    DEFAULT,
    BankOption,
    OutOption,
    ResamplesOption,
    SeedsOption,
    UnitOption,
    checked_unit,
    command_of,
    page_name,
)

__all__ = ["main"]

COMMAND = "python -m studies.agents.learning"
SPLITS: tuple[Split, ...] = ("calibration", TEST)
"""What is unseen: nothing is fitted on either."""
TRAINED = ("exact", "all_budgets", "lagrangian_ppo", "maskable_ppo")
CURVES: tuple[tuple[str, Mode], ...] = tuple(
    (agent, mode) for agent in ("exact", "all_budgets") for mode in ("route", "regenerate")
)
"""Agents and modes whose learning curves are drawn."""


class _Scrambled(ThresholdRouter):
    """A router that sees some features of other, randomly chosen traces: permutation importance."""

    def __init__(self, base: PolicyNetwork, columns: NDArray[np.int64], seed: int) -> None:
        super().__init__(base)
        self._columns = columns
        self._rng = np.random.default_rng(seed)

    def scores(self, observation: NDArray[np.float32]) -> NDArray[np.floating]:
        seen = observation.copy()
        seen[:, self._columns] = observation[self._rng.permutation(len(seen))][:, self._columns]
        return super().scores(seen)


def compare(
    mode: str,
    problems: str,
    sweeps: dict[str, dict[str, SweepOutcomes]],
    anchors: dict[str, AnchorOutcomes],
    seeds: int,
    resamples: int,
) -> list[Line]:
    """One line a router, with differences to the best without RL on these very problems: ``TEST`` or ``UNSEEN``."""
    here, ends = sweeps[problems], anchors[problems]
    best = max((name for name in here if name not in TRAINED), key=lambda name: apgr(here[name], ends))
    lines = []
    for name, outcomes in here.items():
        own = bootstrap_curves(outcomes, ends, METRIC, resamples=resamples)["apgr"]
        against = bootstrap_curve_differences(outcomes, here[best], ends, METRIC, resamples=resamples)["apgr"]
        if own is None or against is None:
            raise ValueError(f"mode={mode!r}: APGR is undefined, as always-largest is not better than always-smallest")
        trained = name in TRAINED
        lines.append(
            Line(
                mode=mode,
                problems=problems,
                router=name if name != best else f"{name} (best rule)",
                trained=trained,
                seeds=seeds if trained else 0,
                apgr=own.estimate,
                low=own.low,
                high=own.high,
                difference=None if name == best else against.estimate,
                difference_low=None if name == best else against.low,
                difference_high=None if name == best else against.high,
                in_sample=apgr(sweeps["train"][name], anchors["train"]),
            )
        )
    return sorted(lines, key=lambda line: -line.apgr)


def importance(network: PolicyNetwork, game: Game, anchors: AnchorOutcomes, seed: int) -> dict[str, float]:
    """APGR of a policy that sees one block of the observation at random."""
    found: dict[str, float] = {}
    for block in game.rules.blocks:
        columns = np.array([i for i, feature in enumerate(game.spec.features) if feature.block == block])
        scrambled = sweep(_Scrambled(network, columns, seed), game, THRESHOLDS)
        found[block] = apgr(SweepOutcomes(right=scrambled.right, cost=scrambled.cost), anchors)
    return found


def analyse(
    bank: Bank, unit: CostUnit, networks: Sequence[PolicyNetwork], sizes: Sequence[int], seeds: int
) -> list[Point]:
    """Learning curves on unseen problems, and the importance of the features for LagrangianPPO in mode route."""
    points = []
    for agent, mode in CURVES:
        games = games_of(bank, mode, unit)
        ends = anchors_together([anchors_of(games[split]) for split in SPLITS])
        for size in sizes:
            parts = [learning_curve(bank, size, seed=seed) for seed in range(seeds)]
            policies = [fit(agent, part, mode, unit, seed) for seed, part in enumerate(parts)]
            sweeps = [together([swept(agent, policy, games[split]) for split in SPLITS]) for policy in policies]
            points.append(_point(f"{agent}, {mode}: train problems", str(size), [apgr(one, ends) for one in sweeps]))
    game = games_of(bank, "route", unit)["test"]
    shuffled = [importance(network, game, anchors_of(game), seed) for seed, network in enumerate(networks)]
    shown = [block for block in BLOCKS if block in shuffled[0]]
    return points + [_point("block at random", block, [found[block] for found in shuffled]) for block in shown]


def _point(what: str, value: str, values: Sequence[float]) -> Point:
    return Point(what, value, float(np.mean(values)), float(np.std(values)))


def ceiling(game: Game) -> float | None:
    """APGR of the oracle, which knows every outcome."""
    paths = oracle_paths(game)
    frontier = oracle_frontier(paths.right, paths.any)
    ends = anchors_of(game)
    anchors = metrics.Anchors(
        cost_small=float(ends.cost_small.mean()),
        accuracy_small=float(ends.right_small.mean()),
        cost_large=float(ends.cost_large.mean()),
        accuracy_large=float(ends.right_large.mean()),
    )
    return metrics.apgr(frontier.costs, frontier.accuracies, anchors)


def main(
    bank: BankOption = DEFAULT,
    out: OutOption = AGENT_PAGES,
    cost_unit: UnitOption = "large_tokens",
    seeds: SeedsOption = 5,
    resamples: ResamplesOption = 10_000,
) -> None:
    """Train each agent in each mode and compare it with rules and what is fitted without RL."""
    unit = checked_unit(cost_unit)
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    opened = Bank.open(bank)
    lines: list[Line] = []
    ceilings: dict[str, float | None] = {}
    free: list[PolicyNetwork] = []
    for mode in MODES:
        games = games_of(opened, mode, unit)
        anchors = {split: anchors_of(game) for split, game in games.items()}
        sweeps = {split: handcrafted(game) for split, game in games.items()}
        for name, by_split in contended(opened, games, PEERS).items():
            for split, outcomes in by_split.items():
                sweeps[split][name] = outcomes
        for agent in TRAINED:
            networks = [fit(agent, opened, mode, unit, seed) for seed in range(seeds)]
            for split, game in games.items():
                sweeps[split][agent] = stack([swept(agent, network, game) for network in networks])
            if (mode, agent) == ("route", "lagrangian_ppo"):
                free = networks
        sweeps[UNSEEN] = {name: together([sweeps[s][name] for s in SPLITS]) for name in sweeps[TEST]}
        ends = [anchors[split] for split in SPLITS]
        anchors[UNSEEN] = anchors_together(ends)
        for problems in (TEST, UNSEEN):
            lines += compare(mode, problems, sweeps, anchors, seeds, resamples)
        ceilings[mode] = ceiling(games["test"])
    total = len(opened.split_problems("train"))
    sizes = [size for size in (total // 8, total // 4, total // 2, total) if size > 1]
    points = analyse(opened, unit, free, sizes, seeds)
    name = page_name("learning", opened.name, "" if unit == "large_tokens" else unit)
    draw(lines, points, out / f"{name}.png")
    command = command_of(COMMAND, main, bank=bank, cost_unit=cost_unit, seeds=seeds, resamples=resamples)
    write_page(page_of(lines, points, ceilings, opened, unit, seeds, resamples, name, command), out, name)


if __name__ == "__main__":
    typer.run(main)
