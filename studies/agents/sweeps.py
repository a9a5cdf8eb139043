"""Sweeps that the studies compare: of handcrafted rules and of trained policies, on every split of a bank."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.agents.agent import AGENTS
from gym_stepwise_routing.agents.scores import scored
from gym_stepwise_routing.agents.training import Hyperparameters, train
from gym_stepwise_routing.baselines import (
    AlwaysLargest,
    AlwaysSmallest,
    ConfidenceThreshold,
    EveryOther,
    FirstKLarge,
    LastKLarge,
)
from gym_stepwise_routing.baselines.confidence import ConfidenceFigure
from gym_stepwise_routing.comparison.arena import Arena, plain_mode
from gym_stepwise_routing.comparison.contenders import contender
from gym_stepwise_routing.comparison.roster import roster
from gym_stepwise_routing.costs.units import CostUnit
from gym_stepwise_routing.evaluation import curves
from gym_stepwise_routing.evaluation.bootstrap import bootstrap_curves
from gym_stepwise_routing.evaluation.evaluate import Evaluation, play, sweep
from gym_stepwise_routing.evaluation.outcomes import AnchorOutcomes, SweepOutcomes
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.base import Predicts
from gym_stepwise_routing.routers.policy_network import PolicyNetwork
from gym_stepwise_routing.types import DEFAULT_BLOCKS, Block, Mode

__all__ = [
    "BUDGETS",
    "LIMIT",
    "METRIC",
    "MODES",
    "PEERS",
    "THRESHOLDS",
    "anchors_of",
    "anchors_together",
    "apgr",
    "contended",
    "fit",
    "games_of",
    "handcrafted",
    "outcomes_of",
    "stack",
    "swept",
    "together",
]

MODES: tuple[Mode, ...] = ("route", "escalate", "regenerate")
FIGURES: tuple[ConfidenceFigure, ...] = ("p_mean", "p_min", "entropy_mean", "entropy_first", "margin_first")
BUDGETS = tuple(round(0.05 * k, 2) for k in range(1, 21))
THRESHOLDS = np.linspace(0, 1, 101)
LIMIT = 0.5
"""Cost limit that agents with one policy are trained at; their sweep is over thresholds."""
PEERS = ("query classifier", "fitted Q")
"""What is fitted without RL, and what agents are held against: the query classifier plays without drafts."""
METRIC = {"apgr": curves.apgr}


def games_of(
    bank: object, mode: Mode, unit: CostUnit, observation: Sequence[Block] = DEFAULT_BLOCKS
) -> dict[str, Game]:
    """All splits, costs in units of always-largest on the train split's problems."""
    fitted = Game(bank, mode=mode, cost_unit=unit, observation=observation)
    others = {split: Game(fitted.config, split=split) for split in ("calibration", "test")}
    return {"train": fitted, **others}


def anchors_of(game: Game) -> AnchorOutcomes:
    """The two constants, playing alone: without drafts, whatever the mode; costs are in the game's unit."""
    plain = Game(game.config, mode=plain_mode(game.source), observation=("progress",), normaliser=game.normaliser)
    small, large = play(AlwaysSmallest(), plain), play(AlwaysLargest(), plain)
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
        found[name] = outcomes_of([play(router, game) for router in routers])
    for figure in FIGURES:
        swept = sweep(ConfidenceThreshold(figure), game, THRESHOLDS)
        found[f"confidence-{figure}"] = SweepOutcomes(right=swept.right, cost=swept.cost)
    return found


def contended(source: object, games: Mapping[str, Game], names: Collection[str]) -> dict[str, dict[str, SweepOutcomes]]:
    """Sweeps of fitted families, by name and split, as a comparison makes them ready; costs in the games' units."""
    one = games["train"]
    arena = Arena(source, mode=one.rules.mode, cost_unit=one.cost_unit)
    found: dict[str, dict[str, SweepOutcomes]] = {}
    for family in (family for family in roster() if family.name in names):
        ready = contender(arena, family)
        for split, game in games.items():
            # An arena measures cost by always-largest on the split itself.
            scale = arena.game(game.split, ("progress",)).normaliser / game.normaliser
            points = ready.points(game.split)
            found.setdefault(family.name, {})[split] = SweepOutcomes(right=points.right, cost=points.cost * scale)
    return found


def budgets_shown(network: PolicyNetwork, game: Game) -> SweepOutcomes:
    """The sweep of a policy for all budgets: the budget shown, deterministic decisions."""
    return outcomes_of([play(network, Game(game.config, budget=budget)) for budget in BUDGETS])


def swept(
    agent: str, network: PolicyNetwork, game: Game, thresholds: NDArray[np.float64] | None = None
) -> SweepOutcomes:
    """The sweep that an agent offers, over thresholds (those of every study if None) or over budgets shown."""
    if AGENTS.get(agent).budgets:
        return budgets_shown(network, game)
    found = sweep(network, game, THRESHOLDS if thresholds is None else thresholds)
    return SweepOutcomes(right=found.right, cost=found.cost)


def fit(
    agent: str,
    source: object,
    mode: Mode,
    unit: CostUnit,
    seed: int,
    settings: Hyperparameters | None = None,
    observation: Sequence[Block] = DEFAULT_BLOCKS,
) -> PolicyNetwork:
    """Train one seed, with the shipped hyperparameters if no others are given."""
    limits: dict[str, Any] = {"limit": LIMIT, "constraint": "cost_limit"} if AGENTS.get(agent).constrained else {}
    game = GameConfig(source, mode=mode, cost_unit=unit, observation=tuple(observation))
    return scored(train(agent, seed=seed, game=game, settings=settings, **limits), name=agent)


def apgr(outcomes: SweepOutcomes, anchors: AnchorOutcomes) -> float:
    """APGR, mean over seeds."""
    interval = bootstrap_curves(outcomes, anchors, METRIC, resamples=100)["apgr"]
    return float("nan") if interval is None else interval.estimate


def outcomes_of(played: Sequence[Evaluation]) -> SweepOutcomes:
    """Plays at several settings as a sweep, ``[T, n]``."""
    return SweepOutcomes(right=np.stack([e.right for e in played]), cost=np.stack([e.cost for e in played]))


def stack(outcomes: Sequence[SweepOutcomes]) -> SweepOutcomes:
    """Sweeps of several seeds as one, ``[S, T, n]``; one of fewer thresholds repeats its last: no curve changes."""
    longest = max(len(o.right) for o in outcomes)
    rows = [np.minimum(np.arange(longest), len(o.right) - 1) for o in outcomes]
    return SweepOutcomes(
        right=np.stack([o.right[row] for o, row in zip(outcomes, rows, strict=True)]),
        cost=np.stack([o.cost[row] for o, row in zip(outcomes, rows, strict=True)]),
    )


def together(parts: Sequence[SweepOutcomes]) -> SweepOutcomes:
    """The same sweep on the problems of several splits."""
    return SweepOutcomes(
        right=np.concatenate([np.asarray(p.right) for p in parts], axis=-1),
        cost=np.concatenate([np.asarray(p.cost) for p in parts], axis=-1),
    )


def anchors_together(parts: Sequence[AnchorOutcomes]) -> AnchorOutcomes:
    """The constants on the problems of several splits."""
    return AnchorOutcomes(
        **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(AnchorOutcomes)}
    )
