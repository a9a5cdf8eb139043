"""Play a router through every problem of a split, once, in one batch."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.costs.units import CostUnit, cost_of, reported_units
from gym_stepwise_routing.game.config import DEFAULT_BANK, GameConfig, PlayArguments, draw_budgets
from gym_stepwise_routing.game.episode_standing import ending
from gym_stepwise_routing.game.episodes import positions
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.game.row_table import project_actions
from gym_stepwise_routing.routers.base import ALWAYS_LARGEST, ALWAYS_SMALLEST, Predicts, Scores, bind, decide, name_of
from gym_stepwise_routing.types import Mode, Split

__all__ = ["Evaluation", "Sweep", "evaluate", "play", "sweep", "threshold_grid"]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What one router did on every problem of a split. ``n`` problems, ``H`` decisions at most, ``K`` models.

    Attributes:
        router: name of the router.
        source: name of the bank, preset or live pool.
        simulated: True if the figures come from a random process instead of language models.
        split: split that was played.
        mode: mode that was played.
        cost_unit: unit of ``cost``.
        problems: ids of the problems.
        right: ``bool[n]`` the final answer is right (and the hard budget, if any, was kept).
        cost: ``float64[n]`` cost, normalised so that always-largest costs 1 on average.
        costs: ``float64[n]`` by unit, not normalised, for every unit that the pool has figures for.
        ledger: ``int64[n, rows, kinds]``.
        steps: ``int64[n]`` decisions taken.
        decisions: ``int8[n, H]`` actions, -1 after the end.
        truncated: ``bool[n]`` the episode was cut off.
        bankrupt: ``bool[n]`` the cost exceeds the budget.
    """

    router: str
    source: str
    simulated: bool
    split: Split
    mode: Mode
    cost_unit: CostUnit
    problems: tuple[str, ...]
    right: NDArray[np.bool_]
    cost: NDArray[np.float64]
    costs: dict[CostUnit, NDArray[np.float64]]
    ledger: NDArray[np.int64]
    steps: NDArray[np.int64]
    decisions: NDArray[np.int8]
    truncated: NDArray[np.bool_]
    bankrupt: NDArray[np.bool_]

    @property
    def accuracy(self) -> float:
        """Share of problems whose answer is right."""
        return float(self.right.mean())

    @property
    def mean_cost(self) -> float:
        """Mean normalised cost."""
        return float(self.cost.mean())

    def __len__(self) -> int:
        return len(self.right)


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """One router at ``T`` thresholds on the ``n`` problems of a split.

    Attributes:
        router: name of the router.
        thresholds: ``float64[T]``, ascending: from the safest (always-largest) to the cheapest.
        right: ``bool[T, n]``.
        cost: ``float64[T, n]`` normalised.
    """

    router: str
    thresholds: NDArray[np.float64]
    right: NDArray[np.bool_]
    cost: NDArray[np.float64]


def evaluate(
    router: Predicts,
    config: object = DEFAULT_BANK,
    split: Split | None = None,
    *,
    seed: int = 0,
    **changes: Unpack[PlayArguments],
) -> Evaluation:
    """Play every problem of a split once.

    Args:
        router: anything with SB3's ``predict``.
        config: a :class:`...game.config.GameConfig`, or the source of one.
        split: split to play; None: the config's, or ``test`` of a source.
        seed: seed of random sources and of drawn budgets.
        **changes: further fields of the config: ``mode``, ``cost_unit``, ... The blocks of the observation must be
            those that the router was trained on.

    Raises:
        ValueError: an argument is out of range.
        NotApplicableError: the router needs something that the game does not have.
    """
    if split is None:
        split = config.split if isinstance(config, GameConfig) else "test"
    return play(router, Game(GameConfig.of(config, split=split, **changes)), seed=seed)


def play(router: Predicts, game: Game, *, seed: int = 0) -> Evaluation:
    """:func:`evaluate` on a game that is ready."""
    spec = game.spec
    bind(router, spec)
    with_masks = "action_masks" in inspect.signature(router.predict).parameters
    run = _Run(game, copies=1, seed=seed)
    state: Any = None
    start = np.ones(len(run.alive), dtype=np.bool_)
    while run.alive.any():
        masks = {"action_masks": run.masks()} if with_masks else {}
        actions, state = router.predict(
            run.observation(), state=state, episode_start=start, deterministic=True, **masks
        )
        run.decide(np.asarray(actions))
        start = np.zeros_like(start)
    stands = run.stands
    ledger = np.asarray(stands.ledger, dtype=np.int64)
    pool = game.source.pool
    return Evaluation(
        router=name_of(router),
        source=spec.source,
        simulated=spec.simulated,
        split=game.split,
        mode=spec.mode,
        cost_unit=spec.cost_unit,
        problems=tuple(game.source.problem_ids(game.problems)),
        right=run.end.right,
        cost=stands.cost,
        costs={unit: cost_of(ledger, unit, pool) for unit in reported_units(pool, game.cost_unit)},
        ledger=ledger,
        steps=(run.decisions >= 0).sum(axis=1),
        decisions=run.decisions,
        truncated=run.end.truncated,
        bankrupt=run.end.over,
    )


def sweep(router: Scores, game: Game, thresholds: Sequence[float] | NDArray[np.float64], *, seed: int = 0) -> Sweep:
    """Play a router with scores at every threshold, all of them in one batch.

    Args:
        router: anything with ``scores``.
        game: the game.
        thresholds: thresholds >= 0; they are sorted. See :func:`threshold_grid`.
        seed: seed of random sources and of drawn budgets; every threshold meets the same budgets.

    Raises:
        ValueError: no thresholds, or negative or NaN ones.
    """
    grid = np.unique(np.asarray(thresholds, dtype=np.float64))
    if len(grid) == 0 or not (grid >= 0).all():
        raise ValueError(f"thresholds={thresholds!r}; allowed: one or more numbers >= 0")
    bind(router, game.spec)
    run = _Run(game, copies=len(grid), seed=seed)
    each = np.repeat(grid, len(game.problems))
    models = len(game.spec.models)
    while run.alive.any():
        run.decide(decide(router.scores(run.observation()), each, models))
    shape = (len(grid), len(game.problems))
    return Sweep(name_of(router), grid, run.end.right.reshape(shape), run.stands.cost.reshape(shape))


def threshold_grid(router: Scores, game: Game, size: int = 101, *, seed: int = 0) -> NDArray[np.float64]:
    """Thresholds at the quantiles of a router's scores, with both constants at the ends.

    Scores are collected along uniformly random allowed decisions. Take the game of the *train* split: a grid must not
    depend on the problems that it is calibrated or tested on.

    Args:
        router: anything with ``scores``.
        game: the game whose observations are scored.
        size: most quantiles; equal ones are merged.
        seed: seed of the decisions.
    """
    if size < 2:
        raise ValueError(f"size={size!r}; allowed: an integer >= 2")
    bind(router, game.spec)
    rng = np.random.default_rng(seed)
    run = _Run(game, copies=4, seed=seed)
    seen = []
    while run.alive.any():
        seen.append(np.asarray(router.scores(run.observation()))[run.alive].ravel())
        masks = run.masks()
        run.decide(np.argmax(np.where(masks, rng.random(masks.shape), -1.0), axis=1))
    quantiles = np.quantile(np.concatenate(seen), np.linspace(0, 1, size))
    return np.unique([ALWAYS_LARGEST, *quantiles, ALWAYS_SMALLEST])


class _Run:
    """Every problem of a split side by side, ``copies`` times over, until all have ended."""

    def __init__(self, game: Game, copies: int, seed: int) -> None:
        problems = len(game.problems)
        self._game = game
        self._rng = np.random.default_rng(seed)
        self._positions = positions(game, copies * problems)
        self._budgets = np.tile(draw_budgets(game.budget, problems, self._rng), copies)
        self._positions.begin(np.arange(copies * problems), np.tile(np.arange(problems), copies), self._rng)
        self.decisions = np.full((copies * problems, game.most_decisions), -1, dtype=np.int8)
        self._step = 0
        self._see()

    def observation(self) -> NDArray[np.float32]:
        return self._game.show_budget(self.stands.observation, self.stands.cost, self._budgets)

    def masks(self) -> NDArray[np.bool_]:
        """Allowed actions; all of them for ended episodes, whose actions are ignored."""
        masks: NDArray[np.bool_] = self.stands.mask | ~self.alive[:, None]
        return masks

    def decide(self, actions: NDArray[np.int64]) -> None:
        """Take one action in every episode that is still going on."""
        masks = self.masks()
        models = masks.shape[1]
        if actions.shape != (len(masks),) or actions.min() < 0 or actions.max() >= models:
            raise ValueError(f"actions={actions!r}; allowed: {len(masks)} integers from 0 to {models - 1}")
        allowed = masks[np.arange(len(masks)), actions]
        if not allowed.all():
            if self._game.masked_action == "error":
                row = int(np.flatnonzero(~allowed)[0])
                raise ValueError(
                    f"action={actions[row]} is masked at step {self._step} of problem {row}; "
                    f"allowed: {np.flatnonzero(masks[row]).tolist()}"
                )
            actions = project_actions(actions, masks)
        self.decisions[self.alive, self._step] = actions[self.alive]
        self._positions.move(actions, self._rng, ~self.alive)
        self._step += 1
        self._see()

    def _see(self) -> None:
        self.stands = self._positions.standing()
        self.end = ending(self.stands, self._budgets, self._game.hard_budget)
        self.alive: NDArray[np.bool_] = ~self.end.ended
