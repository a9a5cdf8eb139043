"""Agents against what is fitted without RL, on problems that nothing was fitted on: ``python -m studies.agents.exact``.

With what the agents owe to inputs of one scale, and the exact learner to its width, folds and decay. Everything is
fitted, and chosen, on the train split; whole curves are compared on calibration and test together.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import torch
import typer
from stable_baselines3.common.torch_layers import FlattenExtractor

from gym_stepwise_routing.agents.training import hyperparameters
from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.costs.units import CostUnit
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.evaluation.bootstrap import bootstrap_curve_differences, bootstrap_curves
from gym_stepwise_routing.evaluation.evaluate import threshold_grid
from gym_stepwise_routing.evaluation.outcomes import AnchorOutcomes, SweepOutcomes
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.reporting import Page, Table, span_text, write_page
from gym_stepwise_routing.types import Mode, Split
from studies.agents.sweeps import (
    METRIC,
    MODES,
    PEERS,
    anchors_of,
    anchors_together,
    apgr,
    contended,
    fit,
    games_of,
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
    described,
    page_name,
)

__all__ = ["main"]

COMMAND = "python -m studies.agents.exact"
AGENTS: Mapping[str, tuple[str, str | None]] = {
    "exact": ("exact", None),
    "exact-taught": ("exact", "taught"),
    "all_budgets": ("all_budgets", None),
    "lagrangian_ppo": ("lagrangian_ppo", None),
}
"""Agent and variant of its settings, by the name that is shown."""
THRESHOLDS = 101
"""Quantiles of a policy's scores on the train split that its thresholds are."""
UNSEEN: tuple[Split, ...] = ("calibration", "test")
RAW = {"policy_kwargs": {"features_extractor_class": FlattenExtractor}}
ABLATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "all_budgets, inputs as they are": ("all_budgets", RAW),
    "lagrangian_ppo, inputs as they are": ("lagrangian_ppo", RAW),
    "exact, inputs as they are": ("exact", RAW),
    "exact, linear only": ("exact", {"candidates": [[0, 0.1, 4.0]]}),
    "exact, 64 units only": ("exact", {"candidates": [[64, 0.3, 0.01]]}),
    "exact, two folds": ("exact", {"folds": 2}),
    "exact, ten folds": ("exact", {"folds": 10}),
    "exact, linear, hardly regularised": ("exact", {"candidates": [[0, 0.001, 4.0]]}),
}
"""What is changed against the shipped settings, and of which agent."""


@dataclass(frozen=True, slots=True)
class Line:
    """A router in one mode: APGR on train, and with an interval on unseen problems.

    ``against`` has its difference to each peer, with an interval.
    """

    mode: str
    router: str
    seeds: int
    train: float
    unseen: tuple[float, float, float]
    against: dict[str, tuple[float, float, float]]

    def cells(self) -> tuple[str, ...]:
        """As a row of a table."""
        gaps = [span_text(*self.against[peer], signed=True) if peer in self.against else "-" for peer in PEERS]
        return self.router, str(self.seeds or "-"), f"{self.train:.3f}", span_text(*self.unseen), *gaps


@dataclass(frozen=True, slots=True)
class Change:
    """An agent with one thing changed, in one mode: APGR on train and unseen problems.

    ``gap`` is the latter minus that of the agent as shipped, with an interval.
    """

    mode: str
    router: str
    train: float
    unseen: float
    gap: tuple[float, float, float]


class _Mode:
    """The games of one mode, and the sweeps of whoever plays them."""

    def __init__(self, bank: Bank, mode: Mode, unit: CostUnit, seeds: int) -> None:
        self.bank, self.mode, self.unit, self.seeds = bank, mode, unit, seeds
        self.games: dict[str, Game] = games_of(bank, mode, unit)
        self.anchors: dict[str, AnchorOutcomes] = {split: anchors_of(game) for split, game in self.games.items()}
        self.ends = anchors_together([self.anchors[split] for split in UNSEEN])

    def trained(self, agent: str, variant: str | None = None, **changes: Any) -> tuple[SweepOutcomes, SweepOutcomes]:
        """Sweeps on train and on unseen problems, ``[S, T, n]``."""
        settings = hyperparameters(agent, variant)
        own = dict(settings.algorithm)
        for name, value in changes.items():
            own[name] = {**own.get(name, {}), **value} if isinstance(value, dict) else value
        networks = [
            fit(agent, self.bank, self.mode, self.unit, seed, replace(settings, algorithm=own))
            for seed in range(self.seeds)
        ]
        grids = [threshold_grid(network, self.games["train"], THRESHOLDS) for network in networks]
        by_split = {
            split: stack([swept(agent, *each) for each in zip(networks, [game] * self.seeds, grids, strict=True)])
            for split, game in self.games.items()
        }
        return by_split["train"], together([by_split[split] for split in UNSEEN])

    def peers(self) -> dict[str, tuple[SweepOutcomes, SweepOutcomes]]:
        """Sweeps of what is fitted without RL."""
        found = contended(self.bank, self.games, PEERS)
        return {name: (by["train"], together([by[split] for split in UNSEEN])) for name, by in found.items()}


def compare(
    bank: Bank,
    mode: Mode,
    unit: CostUnit,
    seeds: int,
    resamples: int,
    agents: Sequence[str],
    ablations: Collection[str],
) -> tuple[list[Line], list[Change]]:
    """Agents and peers of one mode, and the agents with one thing changed."""
    played = _Mode(bank, mode, unit, seeds)
    peers = played.peers()

    def minus(one: SweepOutcomes, other: SweepOutcomes) -> tuple[float, float, float]:
        gap = bootstrap_curve_differences(one, other, played.ends, METRIC, resamples=resamples)["apgr"]
        if gap is None:
            raise ValueError(f"mode={mode!r}: APGR is undefined, as always-largest is not better than always-smallest")
        return gap.estimate, gap.low, gap.high

    def line(router: str, sweeps: tuple[SweepOutcomes, SweepOutcomes], count: int) -> Line:
        train, unseen = sweeps
        against = {peer: minus(unseen, other) for peer, (_, other) in peers.items() if peer != router}
        own = bootstrap_curves(unseen, played.ends, METRIC, resamples=resamples)["apgr"]
        assert own is not None  # its differences are defined
        in_sample = apgr(train, played.anchors["train"])
        typer.echo(f"{mode}, {router}: APGR {in_sample:.3f} on train, {own.estimate:.3f} on unseen problems")
        return Line(mode, router, count, in_sample, (own.estimate, own.low, own.high), against)

    shipped = {name: played.trained(*AGENTS[name]) for name in agents}
    lines = [line(agent, sweeps, seeds) for agent, sweeps in shipped.items()]
    lines += [line(name, sweeps, 0) for name, sweeps in peers.items()]
    changed = []
    for name in ablations:
        agent, changes = ABLATIONS[name]
        if agent not in shipped:
            continue
        train, unseen = played.trained(agent, **changes)
        values = apgr(train, played.anchors["train"]), apgr(unseen, played.ends)
        changed.append(Change(mode, name, *values, minus(unseen, shipped[agent][1])))
    return lines, changed


def main(
    bank: BankOption = DEFAULT,
    out: OutOption = AGENT_PAGES,
    cost_unit: UnitOption = "large_tokens",
    seeds: SeedsOption = 5,
    resamples: ResamplesOption = 10_000,
    agents: Annotated[str, typer.Option(help="Agents, with commas.")] = ",".join(AGENTS),
    changed: Annotated[bool, typer.Option("--changed", help="Also those agents with one thing changed.")] = False,
) -> None:
    """Train each agent in each mode and compare it with what is fitted without RL."""
    unit = checked_unit(cost_unit)
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    opened = Bank.open(bank)
    ablations = ABLATIONS if changed else ()
    chosen = agents.split(",")
    for agent in chosen:
        check_choice("agents", agent, AGENTS)
    found = {mode: compare(opened, mode, unit, seeds, resamples, chosen, ablations) for mode in MODES}
    name = page_name("exact", opened.name, "" if unit == "large_tokens" else unit, "changed" if changed else "")
    command = command_of(COMMAND, main, bank=bank, cost_unit=cost_unit, seeds=seeds, resamples=resamples, agents=agents)
    command += " --changed" if changed else ""
    write_page(_page(found, opened, unit, seeds, resamples, command), out, name)


def _page(
    found: dict[Mode, tuple[list[Line], list[Change]]],
    bank: Bank,
    unit: CostUnit,
    seeds: int,
    resamples: int,
    command: str,
) -> Page:
    columns = ("router", "seeds", "APGR, train", "APGR, unseen [95 %]", *(f"minus {p} [95 %]" for p in PEERS))
    count = sum(len(bank.split_problems(split)) for split in UNSEEN)
    tables = [
        Table(f"Mode {mode}", columns, tuple(line.cells() for line in sorted(lines, key=lambda x: -x.unseen[0])))
        for mode, (lines, _) in found.items()
    ]
    if any(changed for _, changed in found.values()):
        columns = ("agent", *(f"{mode} (train), minus shipped [95 %]" for mode in MODES))
        tables.append(Table("One thing changed: APGR, unseen", columns, _changes(found)))
    return Page(
        title="Agents, and what is fitted without RL",
        command=command,
        setting=(
            described(bank, unit),
            f"Fitted on the train problems; unseen are the {count} problems of calibration and test. Settings were "
            "compared on folds of the train problems; results on the unseen ones were looked at while the learner was "
            "written.",
            f"{seeds} training seeds, shipped hyperparameters; {resamples:,} bootstrap resamples over problems and "
            "seeds, paired. APGR .5 is what mixing the two constants per problem at random gives.",
            f"exact, its variant exact-taught, and lagrangian_ppo: one policy at {THRESHOLDS} thresholds, quantiles of "
            "its scores on train; all_budgets: budgets shown; query classifier: thresholds, played without drafts; "
            "fitted Q: one policy a price.",
        ),
        tables=tuple(tables),
        numbers={mode: {"compared": lines, "changed": changed} for mode, (lines, changed) in found.items()},
        simulated=bank.manifest.simulated,
    )


def _changes(found: dict[Mode, tuple[list[Line], list[Change]]]) -> Sequence[tuple[str, ...]]:
    """A row a change, a cell a mode."""
    rows: dict[str, list[str]] = {}
    for _, changed in found.values():
        for one in changed:
            cell = f"{one.unseen:.3f} ({one.train:.3f}), {span_text(*one.gap, signed=True)}"
            rows.setdefault(one.router, []).append(cell)
    return [(name, *cells) for name, cells in rows.items()]


if __name__ == "__main__":
    typer.run(main)
