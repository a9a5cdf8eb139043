"""What a router saves against always-largest on a split, with intervals, and what that rests on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.calibration.certificate import CalibratedRouter, Certificate
from gym_stepwise_routing.calibration.targets import CostLimit, RelativeAccuracy, Target
from gym_stepwise_routing.costs.units import cost_of, reported_units
from gym_stepwise_routing.evaluation.bootstrap import (
    Interval,
    bootstrap_difference,
    bootstrap_mean,
    percentile_interval,
    resampled_means,
)
from gym_stepwise_routing.evaluation.evaluate import Evaluation, play, sweep
from gym_stepwise_routing.evaluation.p_values import required_n
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.game.transitions import Rules
from gym_stepwise_routing.routers.base import ALWAYS_SMALLEST, Predicts

__all__ = ["Saving", "constant_model", "items_for_saving", "measure_saving"]

RESAMPLES = 10_000
_LEVEL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """A router beside always-largest on the same problems. Costs are in units of always-largest's mean cost.

    Attributes:
        router: name of the router.
        source: name of the bank or preset.
        simulated: True if the figures come from a random process instead of language models.
        split: split that was played.
        mode: mode of the game.
        cost_unit: cost unit of the game.
        n: number of problems.
        accuracy: accuracy.
        cost: mean cost.
        largest_accuracy: accuracy of always-largest.
        accuracy_difference: accuracy minus always-largest's, paired by problem.
        saving: ``1 - cost / cost of always-largest``, paired by problem.
        savings: the same in every unit that the pool has figures for, by unit; that of the game among them.
        share: share of the steps that each model wrote (*regenerate*: the smallest keeps its drafts), by name.
        constant: the model that takes every decision, '' if the decisions differ.
        certificate: what the threshold promises; None for a router that was not calibrated.
        items_for_saving: calibration problems that would do for a cheaper threshold (:func:`items_for_saving`), where
            that was asked and some number would do.
    """

    router: str
    source: str
    simulated: bool
    split: str
    mode: str
    cost_unit: str
    n: int
    accuracy: Interval
    cost: Interval
    largest_accuracy: Interval
    accuracy_difference: Interval
    saving: Interval
    savings: dict[str, Interval]
    share: dict[str, float]
    constant: str
    certificate: Certificate | None
    items_for_saving: int | None = None

    @property
    def warnings(self) -> list[str]:
        """What a reader of these figures must know, in plain sentences."""
        found = []
        certificate = self.certificate
        if certificate is not None and not certificate.certified:
            found.append(f"the target ({certificate.target}) is not promised: {certificate.promise}")
        if self.constant:
            largest = self.constant == list(self.share)[-1]
            means = "keeps every accuracy target and saves nothing" if largest else "is no routing"
            found.append(f"{self.constant} takes every decision: that {means}; to do better: {self._needed()}")
        elif self.saving.low <= 0:
            found.append(f"the interval of the saving reaches 0: on {self.n} problems it may be nothing")
        return found

    def _needed(self) -> str:
        items = self.items_for_saving
        if items is None and self.certificate is not None:
            items = self.certificate.items_needed
        router = "a router whose scores tell better where the larger model is needed"
        if items is None:
            return f"{router}, or a looser target"
        counted = self.certificate.n[0] if self.certificate is not None else 0
        return f"{items} calibration problems that count (there are {counted}), {router}, or a looser target"


def measure_saving(router: Predicts, game: Game, *, seed: int = 0, resamples: int = RESAMPLES) -> Saving:
    """Play a router and always-largest on every problem of a game's split.

    Always-largest writes everything by itself, without drafts or probes, as in the normaliser of costs.

    Args:
        router: the router.
        game: the game.
        seed: seed of random sources and of the bootstrap.
        resamples: resamples of the paired bootstrap over problems, at least 100.

    Raises:
        ValueError: the router does not fit the game, or a parameter is out of range.
    """
    result = play(router, game, seed=seed)
    right, largest = _largest_alone(game, seed)
    cost = largest[game.cost_unit] / game.normaliser
    options = {"resamples": resamples, "level": _LEVEL, "rng": seed}
    paid = {unit: (spent, largest[unit]) for unit, spent in result.costs.items() if unit != game.cost_unit}
    paid[game.cost_unit] = (result.cost, cost)
    savings = {unit: _saved(np.stack(rows), resamples, seed) for unit, rows in paid.items() if rows[1].mean() > 0}
    chosen = result.decisions[result.decisions >= 0]
    names = game.spec.models
    return Saving(
        router=result.router,
        source=result.source,
        simulated=result.simulated,
        split=result.split,
        mode=result.mode,
        cost_unit=result.cost_unit,
        n=len(result),
        accuracy=bootstrap_mean(result.right, **options),  # type: ignore[arg-type]
        cost=bootstrap_mean(result.cost, **options),  # type: ignore[arg-type]
        largest_accuracy=bootstrap_mean(right, **options),  # type: ignore[arg-type]
        accuracy_difference=bootstrap_difference(result.right, right, **options),  # type: ignore[arg-type]
        saving=savings[game.cost_unit],
        savings=savings,
        share={name: float((chosen == k).mean()) for k, name in enumerate(names)},
        constant=constant_model(result, names),
        certificate=router.certificate if isinstance(router, CalibratedRouter) else None,
    )


def items_for_saving(router: CalibratedRouter, game: Game, target: Target, *, seed: int = 0) -> int | None:
    """How many calibration problems that count would certify a threshold that costs less than always-largest.

    It is assumed that the risks stay what they are on the problems at hand, by the exact binomial test.

    Args:
        router: the calibrated router.
        game: the game that it was calibrated on.
        target: the accuracy that it is to keep.
        seed: seed of random sources.

    Returns:
        None where no cheaper threshold keeps the target on the problems at hand: no number of them would do.
    """
    if isinstance(target, CostLimit) or (delta := router.certificate.delta) is None:
        return None
    outcome = sweep(router.base, game, np.append(np.linspace(0, 1, 201), ALWAYS_SMALLEST), seed=seed)
    counts = outcome.right[0] if isinstance(target, RelativeAccuracy) else np.ones(len(game.problems), dtype=np.bool_)
    risks = (~outcome.right[:, counts]).mean(axis=1)
    cheaper = outcome.cost.mean(axis=1) < outcome.cost[0].mean()
    answers = [required_n(target.alpha, delta, risk=float(risk)) for risk in risks[cheaper & (risks < target.alpha)]]
    return min((answer for answer in answers if answer is not None), default=None)


def constant_model(result: Evaluation, names: tuple[str, ...]) -> str:
    """The model that takes every decision, '' if the decisions differ.

    Args:
        result: what a router did.
        names: the models of the game.
    """
    taken = np.unique(result.decisions[result.decisions >= 0])
    return names[int(taken[0])] if len(taken) == 1 else ""


def _saved(rows: NDArray[np.float64], resamples: int, seed: int) -> Interval:
    """One minus the ratio of two mean costs, ``float64[2, n]``, paired by problem."""
    means = resampled_means(rows, resamples, np.random.default_rng(seed))
    estimate = float(1 - rows[0].mean() / rows[1].mean())
    return percentile_interval(1 - means[0] / means[1], estimate, rows.shape[1], _LEVEL)


def _largest_alone(game: Game, seed: int) -> tuple[NDArray[np.bool_], dict[str, NDArray[np.float64]]]:
    """Whether always-largest is right, ``bool[n]``, and its cost by unit, not normalised, ``float64[n]``."""
    # every recorded mode holds this path, whatever else it leaves out
    rules = Rules(game.source, mode="route", observation=("progress",), cost_unit=game.cost_unit)
    rng = np.random.default_rng(seed)
    plays = rules.start(game.problems, rng)
    while True:
        masks = rules.masks(plays)
        rows = np.flatnonzero(masks.any(axis=1))
        if len(rows) == 0:
            pool, ledger = game.source.pool, plays.account.ledger
            costs = {unit: cost_of(ledger, unit, pool) for unit in reported_units(pool, game.cost_unit)}
            return plays.trace.terminal & plays.trace.correct, costs
        largest = masks.shape[1] - 1 - np.argmax(masks[rows][:, ::-1], axis=1)
        plays = plays.put(rows, rules.step(plays.take(rows), largest, rng))
