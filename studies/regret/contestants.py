"""Routers whose regret is measured: every family of the comparison that a simulator can play, and trained agents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.agents.agent import AGENTS, Agent
from gym_stepwise_routing.comparison.arena import Arena
from gym_stepwise_routing.comparison.choose import Rule
from gym_stepwise_routing.comparison.contenders import contender
from gym_stepwise_routing.comparison.roster import roster
from gym_stepwise_routing.costs.units import CostUnit
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.planning.planner import Information, shown_information
from gym_stepwise_routing.routers.base import Predicts
from gym_stepwise_routing.routers.families import Family
from gym_stepwise_routing.sources.simulator.simulator_source import SimulatorSource
from gym_stepwise_routing.types import DEFAULT_BLOCKS, Block, Mode

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

__all__ = ["NotPlayed", "Outcome", "agent_outcomes", "baseline_outcomes"]

Floats = NDArray[np.float64]
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """A router at one setting, on the problems of one seed.

    Attributes:
        router: its name.
        group: heading that it stands under.
        sees: what it knows; None if it knows something that no optimum does, or plays by other rules.
        setting: what the calibration split chose, or what the agent was trained for.
        right: ``float64[n]`` whether the answer was right, or a probability.
        cost: ``float64[n]``, normalised exactly.
        curve: ``float64[T, 2]`` accuracy and mean cost of each of its settings.
    """

    router: str
    group: str
    sees: Information | None
    setting: str
    right: Floats
    cost: Floats
    curve: Floats


@dataclass(frozen=True, slots=True)
class NotPlayed:
    """A router of the comparison that was not played, and why."""

    router: str
    group: str
    reason: str


def baseline_outcomes(
    source: SimulatorSource,
    *,
    budget: float,
    mode: Mode,
    cost_unit: CostUnit,
    normaliser: float,
    seed: int = 0,
    progress: Progress | None = None,
) -> Iterator[Outcome | NotPlayed]:
    """Every family of the comparison: what it did, if it applies and keeps to the budget on the calibration split.

    Otherwise, and where a package that it needs is missing, the reason why it was not played.

    Args:
        source: the simulator; its train split fits, its calibration split chooses, its test split is played.
        budget: mean normalised cost: of the settings that keep to it on the calibration split, the most accurate one.
        mode: what an action means.
        cost_unit: unit of the cost.
        normaliser: exact cost of always-largest, see :class:`gym_stepwise_routing.planning.cost_tables.StepCosts`.
        seed: of episodes and fits.
        progress: called with each family's name before its turn.
    """
    arena, rule = Arena(source, mode=mode, cost_unit=cost_unit, seed=seed), Rule("budget", budget)
    # a game's own normaliser is an estimate, off by about 1 %
    scale = arena.game("test", ("progress",)).normaliser / normaliser
    shows = shown_information(source, ("confidence",))
    for family in roster():
        if progress is not None:
            progress(family.name)
        try:
            opponent = contender(arena, family)
            points = opponent.points("test")
            choice = rule.choose(opponent.points("calibration"), arena.reference("calibration").anchors)
        except NotApplicableError as error:
            yield NotPlayed(family.name, family.group, str(error))
            continue
        except ImportError as error:
            yield NotPlayed(family.name, family.group, f"a package is missing: {error}")
            continue
        if choice is None:
            yield NotPlayed(family.name, family.group, f"no setting costs at most {budget:g} on the calibration split")
            continue
        yield Outcome(
            router=family.name,
            group=family.group,
            sees=_sees(family, mode, cost_unit, shows),
            setting=opponent.labels[choice],
            right=points.right[choice],
            cost=points.cost[choice] * scale,
            curve=np.stack([points.accuracies, points.costs * scale], axis=1),
        )


def _sees(family: Family, mode: Mode, unit: CostUnit, shows: Information) -> Information | None:
    """What a family knows; None where it plays by other rules than the optima: several answers, probes, no drafts."""
    free_of_drafts = family.plays == "plain" and mode == "regenerate" and unit != "large_tokens"
    if family.plays == "answers" or free_of_drafts or "probe" in family.sees:
        return None
    if "verifier" not in family.sees:
        return shows
    return "both" if "confidence" in family.sees else "score"


def agent_outcomes(
    agents: Sequence[str],
    source: SimulatorSource,
    *,
    budget: float,
    mode: Mode,
    cost_unit: CostUnit,
    normaliser: float,
    seed: int = 0,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Train agents on the train split with the settings that they are shipped with, and play the test split.

    Arguments as :func:`baseline_outcomes`; the budget is the limit of constrained agents, the others have a price of
    cost in their settings. Policies draw their actions; values (DQN) and CCPO's threshold decide.

    Raises:
        ValueError: unknown agent.
    """
    from gym_stepwise_routing.agents.training import hyperparameters, train
    from gym_stepwise_routing.evaluation.evaluate import evaluate

    blocks: tuple[Block, ...] = tuple(b for b in DEFAULT_BLOCKS if b != "question")
    if source.process.scored.any():
        blocks = ("progress", "ledger", "verifier")
    sees = shown_information(source, blocks)
    for agent in agents:
        if progress is not None:
            progress(agent)
        settings = hyperparameters(agent)
        kind = AGENTS.get(agent)
        game = GameConfig(source, mode=mode, cost_unit=cost_unit, observation=blocks, normaliser=normaliser)
        limits: dict[str, Any] = {"limit": budget, "constraint": "cost_limit"} if kind.constrained else {}
        trained = train(agent, seed=seed, game=game, settings=settings, **limits)
        shown = budget if kind.budgets else None
        router = _player(kind, trained, seed)
        played = evaluate(router, game, "test", budget=shown, seed=seed)
        right, cost = played.right.astype(np.float64), played.cost
        yield Outcome(
            router=agent,
            group="agents",
            sees=sees,
            setting=f"limit {budget:g}" if kind.constrained or shown else f"penalty {settings.penalty:g}",
            right=right,
            cost=cost,
            curve=np.array([[right.mean(), cost.mean()]]),
        )


def _player(agent: Agent, trained: BaseAlgorithm, seed: int) -> Predicts:
    """The router of a trained agent: its policy draws, its values or its own threshold (CCPO) decide."""
    from gym_stepwise_routing.agents.scores import scored
    from gym_stepwise_routing.evaluation.expectation import Drawn

    if agent.plays == "threshold":
        return scored(trained, threshold=float(trained.kappa))  # type: ignore[attr-defined]
    network = scored(trained)
    return network if agent.plays == "values" else Drawn(network, seed)
