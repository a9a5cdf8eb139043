"""A calibrated router and its certificate: what its threshold promises, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gym_stepwise_routing.game.config import RoutingSpec
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.base import Scores, ThresholdRouter
from gym_stepwise_routing.routers.provenance import GameDescription

__all__ = ["CalibratedRouter", "CalibrationMethod", "Certificate"]

CalibrationMethod = Literal["exact", "ltt", "crc", "empirical"]


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a threshold promises, and on what grounds.

    Attributes:
        target: what was asked for, in words.
        promise: what is guaranteed, in one sentence; or why nothing is.
        certified: whether there is a guarantee.
        method: ``exact``, ``ltt``, ``crc`` or ``empirical``.
        threshold: the chosen threshold.
        risk: empirical risk of each target at the threshold.
        alpha: highest tolerated risk of each target.
        delta: highest probability that the promise is wrong; None where the promise is in expectation, or none.
        n: items that count for each target.
        items_needed: items that would have been needed, if it could not be certified and some number would do.
        router: name of the router.
        source: name of the bank or preset.
        source_hash: content hash of the bank, '' for a source without one.
        split_hash: hash of the calibration split, '' for a source without one.
        mode: mode of the game.
        cost_unit: cost unit of the game.
        simulated: True if the items are simulated.
    """

    target: str
    promise: str
    certified: bool
    method: CalibrationMethod
    threshold: float
    risk: tuple[float, ...]
    alpha: tuple[float, ...]
    delta: float | None
    n: tuple[int, ...]
    items_needed: int | None
    router: str
    source: str
    source_hash: str
    split_hash: str
    mode: str
    cost_unit: str
    simulated: bool

    @property
    def k(self) -> tuple[float, ...]:
        """Sum of each target's losses at the threshold: the number of errors among ``n`` where losses are 0 and 1."""
        return tuple(round(risk * n, 9) for risk, n in zip(self.risk, self.n, strict=True))


class CalibratedRouter(ThresholdRouter):
    """A router at its calibrated threshold, with the certificate.

    Args:
        base: the router whose scores are thresholded.
        certificate: what the threshold promises.
        game: the game that it was calibrated on.
        trained_on: the game that ``base`` was trained or fitted on; None for rules, and where nobody knows.
    """

    def __init__(
        self, base: Scores, certificate: Certificate, game: GameDescription, trained_on: GameDescription | None = None
    ) -> None:
        super().__init__(base, certificate.threshold)
        self.certificate = certificate
        self.game = game
        self.trained_on = trained_on

    def bind(self, spec: RoutingSpec) -> None:
        """Check that observations, actions, cost and budget mean what they meant in calibration.

        Raises:
            ValueError: another mode, cost unit, pool, observation or budget.
        """
        self.game.check_spec(spec, self._called)
        self.game.check_budget(spec, self._called)
        super().bind(spec)

    def check_game(self, game: Game) -> None:
        """Refuse another bank than that of the calibration, of whose problems the certificate speaks.

        Raises:
            ValueError: the bank's content differs, or as :meth:`bind`.
        """
        self.game.check_game(game, self._called)
        self.game.check_budget(game.spec, self._called)

    @property
    def _called(self) -> str:
        return f"calibrated router {self.name!r}"
