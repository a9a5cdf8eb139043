"""The simulator and a recorded bank, side by side: the same routers, the same measurements, one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.baselines import (
    AlwaysLargest,
    AlwaysSmallest,
    ConfidenceThreshold,
    FirstKLarge,
    LastKLarge,
    RandomMix,
)
from gym_stepwise_routing.costs.ledger import DISCARDED, KEPT
from gym_stepwise_routing.evaluation.evaluate import Evaluation, evaluate
from gym_stepwise_routing.routers.base import Predicts, name_of
from gym_stepwise_routing.sources.recorded import BankSource
from gym_stepwise_routing.sources.simulator.simulator_source import SimulatorSource
from gym_stepwise_routing.types import SPLITS, Mode, Split

__all__ = ["Side", "SideBySide", "compare_with_bank"]


@dataclass(frozen=True, slots=True)
class Side:
    """What a router did on one side; tokens and steps per problem, kept and discarded tokens together.

    Attributes:
        problems: number of problems.
        accuracy: share of right answers.
        error: standard error of the accuracy.
        small_tokens: tokens decoded by the smallest model.
        large_tokens: tokens decoded by the largest model.
        steps: steps of the trace.
    """

    problems: int
    accuracy: float
    error: float
    small_tokens: float
    large_tokens: float
    steps: float


@dataclass(frozen=True, slots=True)
class SideBySide:
    """One router in one mode."""

    router: str
    mode: Mode
    bank: Side
    simulator: Side

    @property
    def sigmas(self) -> float:
        """Difference of the accuracies, simulator minus bank, in standard errors."""
        error = float(np.hypot(self.bank.error, self.simulator.error))
        return (self.simulator.accuracy - self.bank.accuracy) / error if error > 0 else float("nan")


def compare_with_bank(
    source: SimulatorSource, bank: BankSource, *, splits: Sequence[Split] = SPLITS, seed: int = 0
) -> tuple[SideBySide, ...]:
    """Play constants, schedules, a random mix and confidence rules on both.

    Args:
        source: the simulator; its problems of the split ``test`` are played.
        bank: a bank of as many models.
        splits: splits of the bank that are played.
        seed: of the simulator and of random routers.

    Raises:
        ValueError: the bank has another number of models than the simulator.
    """
    if len(bank.pool) != len(source.pool):
        raise ValueError(
            f"bank={bank.name!r} has {len(bank.pool)} models; allowed: {len(source.pool)}, as the simulator"
        )
    horizon = bank.horizon
    schedules: list[Predicts] = [AlwaysSmallest(), AlwaysLargest()]
    schedules += [FirstKLarge(k) for k in range(1, horizon)] + [LastKLarge(k) for k in range(1, horizon)]
    mixes: list[Predicts] = [RandomMix(share, seed=seed) for share in (0.25, 0.5, 0.75)]
    rules: list[Predicts] = [ConfidenceThreshold("p_mean", threshold) for threshold in (0.08, 0.12, 0.16)]
    games: list[tuple[Mode, list[Predicts]]] = [("route", schedules + mixes + rules), ("regenerate", mixes + rules)]
    return tuple(
        SideBySide(
            router=name_of(router) + (f" {router.threshold:g}" if isinstance(router, ConfidenceThreshold) else ""),
            mode=mode,
            bank=_side(
                [evaluate(router, bank, split, mode=mode, normaliser=1.0, seed=seed) for split in splits],
                models=len(bank.pool),
            ),
            simulator=_side(
                [evaluate(router, source, "test", mode=mode, normaliser=1.0, seed=seed)], models=len(source.pool)
            ),
        )
        for mode, routers in games
        for router in routers
    )


def _side(played: Sequence[Evaluation], *, models: int) -> Side:
    """Summary of one side; a verifier, if any, has a row of the ledger after those of the ``models``."""
    right = np.concatenate([part.right for part in played])
    ledger = np.concatenate([part.ledger for part in played])
    steps = np.concatenate([part.steps for part in played])
    decoded: NDArray[np.int64] = ledger[:, :, [KEPT, DISCARDED]].sum(axis=2)
    share = float(right.mean())
    return Side(
        problems=len(right),
        accuracy=share,
        error=float(np.sqrt(share * (1 - share) / len(right))),
        small_tokens=float(decoded[:, 0].mean()),
        large_tokens=float(decoded[:, models - 1].mean()),
        steps=float(steps.mean()),
    )
