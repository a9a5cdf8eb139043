"""The comparison: every family built, its setting chosen on the calibration split, its outcome measured with intervals.

Two kinds of figures come out, and they must not be mixed up. The *chosen point* is what a user would have got: one
setting, fixed before the reported split was looked at. The *oracle sweep* figures (APGR, CPT, AIQ, Acc@B, CostAt) are
read off the whole curve on the reported split, so they compare curves, and promise nothing.

APGR also depends on how many settings a family has, its curve being straight between them, and where no setting lies
inside the cost range it is that of the line between the constants: there it is undefined. AIQ does not: settings that
add nothing to the concave envelope leave it as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from gym_stepwise_routing.comparison.arena import Arena, Reference
from gym_stepwise_routing.comparison.choose import Rule
from gym_stepwise_routing.comparison.contenders import Contender, Decides, Points, Signals, Swept, contender
from gym_stepwise_routing.comparison.signals import auroc
from gym_stepwise_routing.costs.units import CostUnit
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.evaluation import curves
from gym_stepwise_routing.evaluation.bootstrap import CurveMetric, Interval, bootstrap_curves, bootstrap_mean
from gym_stepwise_routing.evaluation.curves import Array, Curves
from gym_stepwise_routing.evaluation.frontier import Frontier
from gym_stepwise_routing.evaluation.outcomes import SweepOutcomes
from gym_stepwise_routing.routers.families import Family
from gym_stepwise_routing.types import Mode, Split

__all__ = ["SWEEP_METRICS", "Chosen", "Comparison", "Row", "compare"]

SWEEP_METRICS: Mapping[str, CurveMetric] = {
    "APGR": curves.apgr,
    "CPT50": partial(curves.cpt, x=0.5),
    "CPT80": partial(curves.cpt, x=0.8),
    "CPT95": partial(curves.cpt, x=0.95),
    "AIQ": curves.aiq,
    "Acc@40%": partial(curves.accuracy_at, budget=0.4),
    "Acc@60%": partial(curves.accuracy_at, budget=0.6),
    "CostAt95%": partial(curves.cost_at, share=0.95),
    "CostAt98%": partial(curves.cost_at, share=0.98),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The setting that the calibration split chose, on the reported split.

    Attributes:
        setting: what it is called.
        accuracy: share of right answers.
        cost: mean normalised cost.
        costs: mean cost a problem in every unit that the pool has figures for, not normalised.
        pgr: performance gap recovered; None where always-largest is no better than always-smallest.
        regret: accuracy that the oracle has at the same mean cost, minus the accuracy; None where there is no oracle.
    """

    setting: str
    accuracy: Interval
    cost: Interval
    costs: Mapping[CostUnit, Interval]
    pgr: Interval | None
    regret: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One family.

    Attributes:
        name: name of the family.
        group: heading that it stands under.
        paper: where the idea comes from, '' for folklore.
        not_applicable: what it needs and did not find; '' if it was played.
        chosen: the chosen point; None where no setting met the rule on the calibration split.
        sweep: oracle-sweep figures by name; None where undefined.
        settings: what the settings are called.
        costs: ``float64[T]`` mean cost of each setting on the reported split.
        accuracies: ``float64[T]`` accuracy of each setting on the reported split.
        outcomes: both, problem by problem, for paired comparisons; not written to files.
        signal: area under the ROC curve of its scores, see :mod:`signals`; None where it has none.
        later_signal: the same without the first step, of which last-step figures know nothing.
        constant: each of its settings takes one and the same decision throughout.
        note: what stands in for something that the source does not tell; '' if nothing does.
    """

    name: str
    group: str
    paper: str
    not_applicable: str = ""
    chosen: Chosen | None = None
    sweep: Mapping[str, Interval | None] | None = None
    settings: Sequence[str] = ()
    costs: Array | None = None
    accuracies: Array | None = None
    outcomes: SweepOutcomes | None = None
    signal: Interval | None = None
    later_signal: Interval | None = None
    constant: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Everything that the table, the figure and the JSON file show.

    Attributes:
        source: name of the bank or preset.
        source_hash: content hash of the bank, '' for a source that is not a bank.
        models: names of the models, smallest first.
        simulated: True if the figures come from a random process instead of language models.
        mode: mode that was played.
        cost_unit: unit of the cost axis.
        horizon: most steps of a trace.
        split: split that is reported.
        problems: number of problems by split.
        rule: how settings were chosen.
        verifier: name of the verifier whose scores were used, '' if none.
        reference: constants and oracle on the reported split.
        resamples: bootstrap resamples.
        seed: seed of random sources and of whatever was fitted.
        rows: the families.
    """

    source: str
    source_hash: str
    models: Sequence[str]
    simulated: bool
    mode: Mode
    cost_unit: CostUnit
    horizon: int
    split: Split
    problems: Mapping[str, int]
    rule: Rule
    verifier: str
    reference: Reference
    resamples: int
    seed: int
    rows: Sequence[Row]


def compare(
    arena: Arena,
    families: Sequence[Family],
    rule: Rule,
    *,
    resamples: int = 10_000,
    progress: Callable[[str], None] | None = None,
) -> Comparison:
    """Build, choose and measure every family.

    Args:
        arena: where they are played.
        families: who is compared; see :func:`gym_stepwise_routing.comparison.roster.roster`.
        rule: how a setting is chosen on the calibration split.
        resamples: bootstrap resamples over problems.
        progress: called with each family's name before its turn.
    """
    rows = []
    for family in families:
        if progress is not None:
            progress(family.name)
        rows.append(_row(arena, family, rule, resamples))
    games = {split: arena.game(split, ("progress",)) for split in ("train", "calibration", arena.split)}
    return Comparison(
        source=arena.source.name,
        source_hash=games["train"].source_hash,
        models=arena.source.pool.names,
        simulated=arena.source.simulated,
        mode=arena.mode,
        cost_unit=arena.cost_unit,
        horizon=arena.source.horizon,
        split=arena.split,
        problems={split: len(game.problems) for split, game in games.items()},
        rule=rule,
        verifier=arena.verifier,
        reference=arena.reference(arena.split),
        resamples=resamples,
        seed=arena.seed,
        rows=rows,
    )


def _row(arena: Arena, family: Family, rule: Rule, resamples: int) -> Row:
    try:
        opponent = contender(arena, family)
        points = opponent.points(arena.split)
        choice = rule.choose(opponent.points("calibration"), arena.reference("calibration").anchors)
    except (NotApplicableError, ImportError) as error:
        return Row(name=family.name, group=family.group, paper=family.paper, not_applicable=str(error))
    outcomes = SweepOutcomes(right=points.right, cost=points.cost)
    told, later = (
        (opponent.signal(arena.split, after) for after in (0, 1)) if isinstance(opponent, Signals) else (None, None)
    )
    anchors = arena.reference(arena.split).anchors
    sweep = bootstrap_curves(
        outcomes, arena.reference(arena.split).outcomes, SWEEP_METRICS, resamples=resamples, rng=arena.seed
    )
    if not ((points.costs > anchors.cost_small) & (points.costs < anchors.cost_large)).any():
        sweep["APGR"] = None
    return Row(
        name=family.name,
        group=family.group,
        paper=family.paper,
        chosen=None if choice is None else _chosen(arena, opponent, points, choice, resamples),
        sweep=sweep,
        settings=tuple(opponent.labels),
        costs=points.costs,
        accuracies=points.accuracies,
        outcomes=outcomes,
        signal=None if told is None else auroc(told, seed=arena.seed),
        later_signal=None if later is None else auroc(later, seed=arena.seed),
        constant=isinstance(opponent, Decides) and opponent.constant(arena.split),
        note=opponent.note if isinstance(opponent, Swept) else "",
    )


def _chosen(arena: Arena, contender: Contender, points: Points, choice: int, resamples: int) -> Chosen:
    reference = arena.reference(arena.split)
    right, cost = points.right[choice], points.cost[choice]
    one = SweepOutcomes(right=right[None], cost=cost[None])
    pgr = bootstrap_curves(one, reference.outcomes, {"pgr": _first_pgr}, resamples=resamples, rng=arena.seed)["pgr"]
    return Chosen(
        setting=contender.labels[choice],
        accuracy=bootstrap_mean(right, resamples=resamples, rng=arena.seed),
        cost=bootstrap_mean(cost, resamples=resamples, rng=arena.seed),
        costs={
            unit: bootstrap_mean(costs, resamples=resamples, rng=arena.seed)
            for unit, costs in contender.costs(arena.split, choice).items()
        },
        pgr=pgr,
        regret=_regret(reference.ceiling, float(right.mean()), float(cost.mean())),
    )


def _first_pgr(one: Curves) -> Array:
    first: Array = curves.pgr(one)[0]
    return first


def _regret(ceiling: Frontier | None, accuracy: float, cost: float) -> float | None:
    best = None if ceiling is None else ceiling.accuracy(cost)
    return None if best is None or not math.isfinite(best) else best - accuracy
