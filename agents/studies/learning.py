"""Trained routers against handcrafted ones: ``python -m gym_stepwise_routing.agents.studies.learning``.

Everything is fitted on the train split and compared on the test split. Sweeps over thresholds and budgets are compared
as whole curves (APGR), so that no threshold is chosen on test problems. Nothing having been fitted to the calibration
split either, a second comparison takes both together, for more problems.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray

from gym_stepwise_routing.accounting import Mode
from gym_stepwise_routing.agents.networks import PolicyNetwork
from gym_stepwise_routing.agents.scores import scored
from gym_stepwise_routing.agents.studies.folds import learning_curve
from gym_stepwise_routing.agents.studies.tables import Page, Table, new_figure, save_figure, write_page
from gym_stepwise_routing.agents.training import train
from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.baselines import (
    AlwaysLargest,
    AlwaysSmallest,
    ConfidenceThreshold,
    EveryOther,
    FirstKLarge,
    LastKLarge,
    oracle_paths,
)
from gym_stepwise_routing.baselines.confidence import ConfidenceFigure
from gym_stepwise_routing.costs import CostUnit
from gym_stepwise_routing.evaluation import curves, metrics
from gym_stepwise_routing.evaluation.bootstrap import bootstrap_curve_differences, bootstrap_curves
from gym_stepwise_routing.evaluation.evaluate import play, sweep
from gym_stepwise_routing.evaluation.frontier import oracle_frontier
from gym_stepwise_routing.evaluation.outcomes import AnchorOutcomes, SweepOutcomes
from gym_stepwise_routing.game import Game
from gym_stepwise_routing.observation import BLOCKS
from gym_stepwise_routing.routers import Predicts, ThresholdRouter

__all__ = ["main"]

COMMAND = "python -m gym_stepwise_routing.agents.studies.learning"
DEFAULT = "gsm8k-qwen2.5-coder"
MODES: tuple[Mode, ...] = ("route", "escalate", "regenerate")
FIGURES: tuple[ConfidenceFigure, ...] = ("p_mean", "p_min", "entropy_mean", "entropy_first", "margin_first")
BUDGETS = tuple(round(0.05 * k, 2) for k in range(1, 21))
THRESHOLDS = np.linspace(0, 1, 101)
LIMIT = 0.5
TEST, UNSEEN = "test", "calibration and test"
METRIC = {"apgr": curves.apgr}
TRAINED = ("lagrangian_ppo", "all_budgets", "maskable_ppo")


@dataclass(frozen=True, slots=True)
class Line:
    """One router in one mode; differences are to the best handcrafted router on the very test problems."""

    mode: str
    problems: str
    router: str
    trained: bool
    seeds: int
    apgr: float
    low: float
    high: float
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    in_sample: float

    def cells(self) -> tuple[str, ...]:
        """As a row of a table."""
        gain = (
            "-"
            if self.difference is None
            else f"{self.difference:+.3f} [{self.difference_low:+.3f}, {self.difference_high:+.3f}]"
        )
        interval = f"{self.apgr:.3f} [{self.low:.3f}, {self.high:.3f}]"
        return self.router, str(self.seeds or "-"), interval, gain, f"{self.in_sample:.3f}"


@dataclass(frozen=True, slots=True)
class Point:
    """One point of the analysis: APGR on test problems under a circumstance, mean and standard deviation over seeds."""

    what: str
    value: str
    mean: float
    deviation: float


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


def games_of(bank: object, mode: Mode, unit: CostUnit) -> dict[str, Game]:
    """All splits, costs in units of always-largest on the train split's problems."""
    common = {"mode": mode, "cost_unit": unit, "masked_action": "project"}
    fitted = Game(bank, split="train", **common)  # type: ignore[arg-type]
    others = {
        split: Game(bank, split=split, normaliser=fitted.normaliser, **common)  # type: ignore[arg-type]
        for split in ("calibration", "test")
    }
    return {"train": fitted, **others}


def anchors_of(game: Game) -> AnchorOutcomes:
    """The two constants."""
    small, large = play(AlwaysSmallest(), game), play(AlwaysLargest(), game)
    return AnchorOutcomes(
        right_small=small.right, cost_small=small.cost, right_large=large.right, cost_large=large.cost
    )


def handcrafted(game: Game) -> dict[str, SweepOutcomes]:
    """Sweeps of the rules that are fitted to nothing."""
    horizon = game.source.horizon
    families: dict[str, Sequence[Predicts]] = {
        "first-k-large": [FirstKLarge(k) for k in range(horizon + 1)],
        "last-k-large": [LastKLarge(k) for k in range(horizon + 1)],
        "one-large-k-small": [EveryOther(k) for k in range(horizon)],
    }
    found = {}
    for name, routers in families.items():
        played = [play(router, game) for router in routers]
        found[name] = SweepOutcomes(right=np.stack([e.right for e in played]), cost=np.stack([e.cost for e in played]))
    for figure in FIGURES:
        swept = sweep(ConfidenceThreshold(figure), game, THRESHOLDS)
        found[f"confidence-{figure}"] = SweepOutcomes(right=swept.right, cost=swept.cost)
    return found


def budgets_shown(network: PolicyNetwork, game: Game) -> SweepOutcomes:
    """The sweep of a policy for all budgets: the budget shown, deterministic decisions."""
    played = []
    for budget in BUDGETS:
        shown = Game(
            game.source,
            split=game.split,
            mode=game.rules.mode,
            cost_unit=game.cost_unit,
            normaliser=game.normaliser,
            masked_action="project",
            budget=budget,
        )
        played.append(play(network, shown))
    return SweepOutcomes(right=np.stack([e.right for e in played]), cost=np.stack([e.cost for e in played]))


def swept(agent: str, network: PolicyNetwork, game: Game) -> SweepOutcomes:
    """The sweep that an agent offers."""
    if agent == "all_budgets":
        return budgets_shown(network, game)
    found = sweep(network, game, THRESHOLDS)
    return SweepOutcomes(right=found.right, cost=found.cost)


def fit(agent: str, source: object, mode: Mode, unit: CostUnit, seed: int) -> PolicyNetwork:
    """Train one seed with the shipped hyperparameters."""
    limits: dict[str, Any] = {"limit": LIMIT} if agent == "lagrangian_ppo" else {}
    game = {"source": source, "mode": mode, "cost_unit": unit}
    return scored(train(agent, seed=seed, game=game, **limits), name=agent)


def apgr(outcomes: SweepOutcomes, anchors: AnchorOutcomes) -> float:
    """APGR, mean over seeds."""
    interval = bootstrap_curves(outcomes, anchors, METRIC, resamples=100)["apgr"]
    return float("nan") if interval is None else interval.estimate


def compare(
    mode: str,
    problems: str,
    sweeps: dict[str, dict[str, SweepOutcomes]],
    anchors: dict[str, AnchorOutcomes],
    seeds: int,
    resamples: int,
) -> list[Line]:
    """One line a router, with differences to the best rule on these very problems: ``TEST`` or ``UNSEEN``."""
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


def stack(outcomes: Sequence[SweepOutcomes]) -> SweepOutcomes:
    """Sweeps of several seeds as one, ``[S, T, n]``."""
    return SweepOutcomes(right=np.stack([o.right for o in outcomes]), cost=np.stack([o.cost for o in outcomes]))


def together(parts: Sequence[SweepOutcomes]) -> SweepOutcomes:
    """The same sweep on the problems of several splits."""
    return SweepOutcomes(
        right=np.concatenate([np.asarray(p.right) for p in parts], axis=-1),
        cost=np.concatenate([np.asarray(p.cost) for p in parts], axis=-1),
    )


def importance(network: PolicyNetwork, game: Game, anchors: AnchorOutcomes, seed: int) -> dict[str, float]:
    """APGR of a policy that sees one block of the observation at random."""
    found: dict[str, float] = {}
    for block in game.rules.blocks:
        columns = np.array([i for i, feature in enumerate(game.spec.features) if feature.block == block])
        scrambled = sweep(_Scrambled(network, columns, seed), game, THRESHOLDS)
        found[block] = apgr(SweepOutcomes(right=scrambled.right, cost=scrambled.cost), anchors)
    return found


def analyse(bank: Bank, unit: CostUnit, networks: Sequence[PolicyNetwork], sizes: Sequence[int]) -> list[Point]:
    """Learning curve and feature importance of LagrangianPPO in mode route."""
    games = games_of(bank, "route", unit)
    anchors = anchors_of(games["test"])
    points = []
    for size in sizes:
        values = [
            apgr(swept("lagrangian_ppo", network, games["test"]), anchors)
            for network in (
                fit("lagrangian_ppo", learning_curve(bank, size, seed=seed), "route", unit, seed)
                for seed in range(len(networks))
            )
        ]
        points.append(Point("train problems", str(size), float(np.mean(values)), float(np.std(values))))
    whole = [apgr(swept("lagrangian_ppo", network, games["test"]), anchors) for network in networks]
    total = str(len(games["train"].problems))
    points.append(Point("train problems", total, float(np.mean(whole)), float(np.std(whole))))
    shuffled = [importance(network, games["test"], anchors, seed) for seed, network in enumerate(networks)]
    for block in BLOCKS:
        if block in shuffled[0]:
            values = [found[block] for found in shuffled]
            points.append(Point("block at random", block, float(np.mean(values)), float(np.std(values))))
    return points


def ceiling(game: Game) -> float | None:
    """APGR of the oracle, which knows every outcome."""
    paths = oracle_paths(game)
    frontier = oracle_frontier(paths.right, paths.any)
    small, large = play(AlwaysSmallest(), game), play(AlwaysLargest(), game)
    anchors = metrics.Anchors(
        cost_small=small.mean_cost,
        accuracy_small=small.accuracy,
        cost_large=large.mean_cost,
        accuracy_large=large.accuracy,
    )
    return metrics.apgr(frontier.costs, frontier.accuracies, anchors)


def main(
    bank: Annotated[str, typer.Option(help="Bundled bank, or folder of a bank.")] = DEFAULT,
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("docs/results/agents"),
    cost_unit: Annotated[str, typer.Option(help="Unit of the cost.")] = "large_tokens",
    seeds: Annotated[int, typer.Option(min=3, help="Training seeds.")] = 5,
    resamples: Annotated[int, typer.Option(min=1000, help="Bootstrap resamples.")] = 10_000,
) -> None:
    """Train each agent in each mode and compare it with handcrafted routers on the test split."""
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    opened, unit = Bank.open(bank), _unit(cost_unit)
    lines: list[Line] = []
    ceilings: dict[str, float | None] = {}
    free: list[PolicyNetwork] = []
    for mode in MODES:
        games = games_of(opened, mode, unit)
        anchors = {split: anchors_of(game) for split, game in games.items()}
        sweeps = {split: handcrafted(game) for split, game in games.items()}
        for agent in TRAINED:
            networks = [fit(agent, opened, mode, unit, seed) for seed in range(seeds)]
            for split, game in games.items():
                sweeps[split][agent] = stack([swept(agent, network, game) for network in networks])
            if (mode, agent) == ("route", "lagrangian_ppo"):
                free = networks
        sweeps[UNSEEN] = {name: together([sweeps[s][name] for s in ("calibration", TEST)]) for name in sweeps[TEST]}
        ends = [anchors[split] for split in ("calibration", TEST)]
        anchors[UNSEEN] = AnchorOutcomes(
            **{f.name: np.concatenate([getattr(end, f.name) for end in ends]) for f in fields(AnchorOutcomes)}
        )
        for problems in (TEST, UNSEEN):
            lines += compare(mode, problems, sweeps, anchors, seeds, resamples)
        ceilings[mode] = ceiling(games["test"])
    total = len(opened.split_problems("train"))
    points = analyse(opened, unit, free, [size for size in (total // 8, total // 4, total // 2) if size])
    name = "learning" if unit == "large_tokens" else f"learning-{unit}"
    _draw(lines, points, out / f"{name}.png")
    write_page(_page(lines, points, ceilings, opened, unit, seeds, resamples, name), out, name)


def _unit(cost_unit: str) -> CostUnit:
    from typing import get_args

    from gym_stepwise_routing.errors import check_choice

    check_choice("cost_unit", cost_unit, get_args(CostUnit))
    return cost_unit  # type: ignore[return-value]


def _page(
    lines: Sequence[Line],
    points: Sequence[Point],
    ceilings: dict[str, float | None],
    bank: Bank,
    unit: CostUnit,
    seeds: int,
    resamples: int,
    name: str,
) -> Page:
    columns = ("router", "seeds", "APGR [95 %]", "minus the best rule [95 %]", "APGR, train")
    tables = [
        Table(
            f"Mode {mode}, {problems} problems",
            columns,
            tuple(line.cells() for line in lines if (line.mode, line.problems) == (mode, problems)),
        )
        for problems in (TEST, UNSEEN)
        for mode in MODES
    ]
    tables.append(
        Table(
            "Analysis: LagrangianPPO in mode route",
            ("circumstance", "value", "APGR, test", "standard deviation over seeds"),
            tuple((p.what, p.value, f"{p.mean:.3f}", f"{p.deviation:.3f}") for p in points),
        )
    )
    extra = "" if name == "learning" else f" --cost-unit {unit}"
    extra += "" if bank.name == DEFAULT else f" --bank {bank.name}"
    counts = {split: len(bank.split_problems(split)) for split in ("train", "calibration", "test")}  # type: ignore[arg-type]
    return Page(
        title="Trained routers against handcrafted ones",
        command=COMMAND + extra,
        setting=(
            f"{'SIMULATED: ' if bank.manifest.simulated else ''}bank {bank.name}, content {bank.hash[:12]}: "
            f"{counts['train']} train, {counts['calibration']} calibration and {counts['test']} test problems; "
            f"cost unit {unit}.",
            f"{seeds} training seeds, shipped hyperparameters; {resamples:,} bootstrap resamples over problems and "
            "seeds, paired; the best rule is chosen on the very problems of the comparison, in its favour.",
            "lagrangian_ppo and maskable_ppo: sweep over 101 thresholds of one policy; all_budgets: sweep over "
            f"{len(BUDGETS)} budgets shown. APGR .5 is what mixing the two constants per problem at random gives.",
        ),
        tables=tuple(tables),
        findings=_findings(lines, ceilings),
        figure=f"{name}.png",
        numbers={
            "lines": [asdict(line) for line in lines],
            "analysis": [asdict(point) for point in points],
            "oracle_apgr": ceilings,
        },
    )


def _findings(lines: Sequence[Line], ceilings: dict[str, float | None]) -> tuple[str, ...]:
    sentences = []
    for problems, mode in product((TEST, UNSEEN), MODES):
        here = [line for line in lines if (line.mode, line.problems) == (mode, problems)]
        best = max((line for line in here if line.trained), key=lambda line: line.apgr)
        rule = next(line for line in here if line.difference is None)
        if best.difference is None or best.difference_low is None or best.difference_high is None:
            continue
        verdict = (
            "above it"
            if best.difference_low > 0
            else "below it"
            if best.difference_high < 0
            else "not told apart from it"
        )
        top = ceilings[mode]
        sentences.append(
            f"{mode}, {problems} problems: {best.router} {best.apgr:.3f}, {rule.router} {rule.apgr:.3f}: {verdict} "
            f"({best.difference:+.3f} [{best.difference_low:+.3f}, {best.difference_high:+.3f}]); on the train "
            f"split {best.in_sample:.3f}, the oracle on test {'undefined' if top is None else f'{top:.3f}'}."
        )
    return tuple(sentences)


def _draw(lines: Sequence[Line], points: Sequence[Point], path: Path) -> None:
    figure, panels = new_figure(len(MODES) + 1, height=4.6)
    for axes, mode in zip(panels, MODES, strict=False):
        here = [line for line in lines if (line.mode, line.problems) == (mode, TEST)][::-1]
        for y, line in enumerate(here):
            error = [[line.apgr - line.low], [line.high - line.apgr]]
            axes.errorbar(line.apgr, y, xerr=error, fmt="o", ms=4, color="#D55E00" if line.trained else "#0072B2")
        axes.set_yticks(range(len(here)), [line.router for line in here], fontsize=7)
        axes.axvline(0.5, color="black", lw=0.8, ls="--")
        axes.set(title=mode, xlabel="APGR on test problems")
    curve = [point for point in points if point.what == "train problems"]
    panels[-1].errorbar(
        [int(p.value) for p in curve],
        [p.mean for p in curve],
        [p.deviation for p in curve],
        fmt="o-",
        ms=4,
        color="#D55E00",
    )
    panels[-1].set(title="lagrangian_ppo, route", xlabel="train problems", ylabel="APGR on test problems")
    save_figure(figure, path)


if __name__ == "__main__":
    typer.run(main)
