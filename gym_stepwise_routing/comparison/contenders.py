"""What a family of routers did at each of its settings, problem by problem: the points of one curve."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.baselines.observed_figures import needs_blocks
from gym_stepwise_routing.comparison.arena import Arena
from gym_stepwise_routing.comparison.signals import Signal, query_signal, step_signal
from gym_stepwise_routing.costs.units import CostUnit
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.evaluation.evaluate import Evaluation, play, sweep, threshold_grid
from gym_stepwise_routing.evaluation.frontier import zero_router_hull
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.base import Predicts, ScoringRouter, ThresholdRouter, name_of
from gym_stepwise_routing.routers.families import ROUTERS, Draws, Family, Settings, Thresholds
from gym_stepwise_routing.types import Block, Mode, Split

__all__ = [
    "Averaged",
    "Contender",
    "Decides",
    "Listed",
    "Mixed",
    "Points",
    "Signals",
    "Swept",
    "contender",
]

GRID = 41
"""Quantiles of a threshold grid."""

Floats = NDArray[np.float64]
Costs = Mapping[CostUnit, Floats]


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """One curve on ``n`` problems.

    Attributes:
        right: ``float64[T, n]`` whether the answer was right; a probability where a setting mixes at random.
        cost: ``float64[T, n]`` normalised cost.
    """

    right: Floats
    cost: Floats

    @property
    def accuracies(self) -> Floats:
        """Accuracy of each point, ``[T]``."""
        return np.asarray(self.right.mean(axis=1))

    @property
    def costs(self) -> Floats:
        """Mean cost of each point, ``[T]``."""
        return np.asarray(self.cost.mean(axis=1))


@runtime_checkable
class Contender(Protocol):
    """A fitted family of routers. Settings were fixed on the train split; nothing here depends on other splits."""

    @property
    def labels(self) -> Sequence[str]:
        """What each setting is called, ``T`` of them."""
        ...

    def points(self, split: Split) -> Points:
        """Every setting on a split."""
        ...

    def costs(self, split: Split, index: int) -> Costs:
        """Cost of one setting on each problem, not normalised, in every unit that the pool has figures for."""
        ...


@runtime_checkable
class Signals(Protocol):
    """A contender that decides by scores."""

    def signal(self, split: Split, after: int = 0) -> Signal | None:
        """The scores on a split, from step ``after`` on, beside what they should tell; None where nothing is known."""
        ...


@runtime_checkable
class Decides(Protocol):
    """A contender that decides at every step."""

    def constant(self, split: Split) -> bool:
        """Whether each setting keeps to one model at every step of every problem of a split."""
        ...


def keeps_to_one_model(played: Iterable[Evaluation]) -> bool:
    """Whether each of these keeps to one model (*regenerate*: to keeping drafts, or to one that rewrites them)."""
    return all(len(np.unique(each.decisions[each.decisions >= 0])) <= 1 for each in played)


def contender(arena: Arena, family: Family) -> Contender:
    """A family made ready: what is to be fitted is fitted on the train split.

    Raises:
        NotApplicableError: what it needs is not there; the message says what.
        ValueError: its ``build`` gives something that cannot be played.
    """
    if arena.mode not in family.modes:
        raise NotApplicableError(f"mode={arena.mode!r}; allowed: {', '.join(map(repr, family.modes))}")
    mode = arena.plain if family.plays == "plain" else arena.mode
    built = family.build(arena)
    if isinstance(built, Thresholds):
        return Swept(arena, built.router, built.sees or family.sees, mode, built.verifier, built.own, built.note)
    if isinstance(built, Draws):
        return Averaged([Listed(arena, each.routers, family.sees, each.labels, mode) for each in built.draws])
    if isinstance(built, Settings):
        return Listed(arena, built.routers, family.sees, built.labels, mode)
    if not isinstance(built, Contender):
        raise ValueError(
            f"router {family.name!r} builds {built!r}; allowed: Thresholds, Settings, Draws or a Contender"
        )
    return built


class Swept:
    """A router with scores, at thresholds that are quantiles of its scores on the train split.

    Args:
        arena: where it is played.
        router: the router, fitted.
        observation: blocks that it sees.
        mode: mode that it is played in; the arena's if None.
        verifier: whose scores it sees; the arena's verifier if ''.
        own: whether the router's own threshold is a setting as well, under the router's name.
        note: what stands in for something that the source does not tell.
    """

    def __init__(
        self,
        arena: Arena,
        router: ScoringRouter,
        observation: Sequence[Block],
        mode: Mode | None = None,
        verifier: str = "",
        own: bool = False,
        note: str = "",
    ) -> None:
        self.note = note
        self._arena, self._router, self._observation = arena, router, observation
        self._mode, self._verifier = mode, verifier
        needs_blocks(self._game("train"), observation, arena.seed)
        self._grid = threshold_grid(router, self._game("train"), GRID, seed=arena.seed)
        self.labels = [f"threshold {threshold:.3g}" for threshold in self._grid]
        if own:
            place = int(np.searchsorted(self._grid, router.threshold))
            self._grid = np.insert(self._grid, place, router.threshold)
            self.labels.insert(place, name_of(router))

    def _game(self, split: Split) -> Game:
        return self._arena.game(split, self._observation, mode=self._mode, verifier=self._verifier)

    def points(self, split: Split) -> Points:
        """See :class:`Contender`."""
        swept = sweep(self._router, self._game(split), self._grid, seed=self._arena.seed)
        return Points(swept.right.astype(np.float64), swept.cost)

    def costs(self, split: Split, index: int) -> Costs:
        """See :class:`Contender`."""
        return self._play(split, index).costs

    def _play(self, split: Split, index: int) -> Evaluation:
        router = ThresholdRouter(self._router, float(self._grid[index]))
        return play(router, self._game(split), seed=self._arena.seed)

    def constant(self, split: Split) -> bool:
        """See :class:`Decides`."""
        return keeps_to_one_model(self._play(split, index) for index in range(len(self._grid)))

    def signal(self, split: Split, after: int = 0) -> Signal | None:
        """See :class:`Signals`."""
        if self._observation == ("question",):
            return None if after else query_signal(self._router, self._game(split))
        return step_signal(self._router, self._game(split), after=after)


class Averaged:
    """The mean of several contenders with the same settings: outcomes of a random router, over draws.

    Args:
        draws: the contenders.
    """

    def __init__(self, draws: Sequence[Contender]) -> None:
        self._draws = draws
        self.labels = draws[0].labels

    def points(self, split: Split) -> Points:
        """See :class:`Contender`."""
        drawn = [draw.points(split) for draw in self._draws]
        return Points(
            np.mean([points.right for points in drawn], axis=0), np.mean([points.cost for points in drawn], axis=0)
        )

    def costs(self, split: Split, index: int) -> Costs:
        """See :class:`Contender`."""
        drawn = [draw.costs(split, index) for draw in self._draws]
        return {unit: np.mean([costs[unit] for costs in drawn], axis=0) for unit in drawn[0]}


class Listed:
    """A router for each setting.

    Args:
        arena: where they are played.
        routers: the routers, fitted.
        observation: blocks that they see.
        labels: what the settings are called; the routers' names if None.
        mode: mode that they are played in; the arena's if None.
    """

    def __init__(
        self,
        arena: Arena,
        routers: Sequence[Predicts],
        observation: Sequence[Block],
        labels: Sequence[str] | None = None,
        mode: Mode | None = None,
    ) -> None:
        self._arena, self._routers, self._observation, self._mode = arena, routers, observation, mode
        self.labels = [name_of(router) for router in routers] if labels is None else labels

    def _play(self, split: Split, index: int) -> Evaluation:
        game = self._arena.game(split, self._observation, mode=self._mode)
        return play(self._routers[index], game, seed=self._arena.seed)

    def points(self, split: Split) -> Points:
        """See :class:`Contender`."""
        played = [self._play(split, index) for index in range(len(self._routers))]
        return Points(np.stack([p.right.astype(np.float64) for p in played]), np.stack([p.cost for p in played]))

    def costs(self, split: Split, index: int) -> Costs:
        """See :class:`Contender`."""
        return self._play(split, index).costs

    def constant(self, split: Split) -> bool:
        """See :class:`Decides`."""
        return keeps_to_one_model(self._play(split, index) for index in range(len(self._routers)))


class Mixed:
    """The zero router: for each problem one model for the whole trace, drawn at random between neighbours of the hull.

    The hull is that of the train split; outcomes are expectations, so nothing is sampled.

    Args:
        arena: where it is played.
        steps: settings between two neighbouring models.
    """

    def __init__(self, arena: Arena, steps: int = 20) -> None:
        self._arena = arena
        models = arena.reference("train").models
        costs = [model.mean_cost for model in models]
        corners = [costs.index(cost) for cost in zero_router_hull(costs, [m.accuracy for m in models]).costs]
        mixtures = [
            {first: 1 - share, second: share}
            for first, second in pairwise(corners)
            for share in np.linspace(0, 1, steps, endpoint=False)
        ]
        self._mixtures: list[dict[int, float]] = [*mixtures, {corners[-1]: 1.0}]
        self.labels = [
            " + ".join(f"{share:.0%} model {model}" for model, share in mixture.items() if share > 0)
            for mixture in self._mixtures
        ]

    def points(self, split: Split) -> Points:
        """See :class:`Contender`."""
        models = self._arena.reference(split).models
        right, cost = (
            np.stack([_mean(mixture, figures) for mixture in self._mixtures])
            for figures in ([m.right for m in models], [m.cost for m in models])
        )
        return Points(right, cost)

    def costs(self, split: Split, index: int) -> Costs:
        """See :class:`Contender`."""
        models = self._arena.reference(split).models
        return {unit: _mean(self._mixtures[index], [m.costs[unit] for m in models]) for unit in models[0].costs}


def _mean(mixture: Mapping[int, float], figures: Sequence[NDArray[np.generic]]) -> Floats:
    mean = np.zeros(len(figures[0]))
    for model, share in mixture.items():
        mean += share * np.asarray(figures[model], dtype=np.float64)
    return mean


ROUTERS.register(
    Family(
        name="zero router",
        group="constants and schedules",
        paper="arXiv 2403.12031",
        build=Mixed,
        plays="plain",
        fitted=True,
    )
)
