"""A calibrated router and its certificate: what its threshold promises, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gym_stepwise_routing.evaluation.p_values import MOST_ITEMS, check_level, p_value
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

    def check(self, game: GameDescription) -> None:
        """Refuse a certificate that does not agree with itself: one that was edited, or taken from elsewhere.

        What it says of the game is compared with the game. A promise is tested again, from its risks, counts and
        levels, by the test that issued it; where a cost is promised, the bound of that test is not written down, and
        the risk must lie below its limit.

        Args:
            game: the game that it was made on.

        Raises:
            ValueError: a field that cannot be; the message names it, its value and what is allowed.
        """
        for name in ("source", "source_hash", "split_hash", "mode", "cost_unit", "simulated"):
            if getattr(self, name) != getattr(game, name):
                raise ValueError(f"{name}={getattr(self, name)!r}; allowed: {getattr(game, name)!r}, as in the game")
        if self.threshold < 0:
            raise ValueError(f"threshold={self.threshold!r}; allowed: a number >= 0")
        if not len(self.risk) == len(self.alpha) == len(self.n) > 0:
            raise ValueError(f"risk={self.risk!r}, alpha={self.alpha!r}, n={self.n!r}; allowed: one of each a target")
        if (self.delta is not None) != (self.method in ("exact", "ltt")):
            raise ValueError(
                f"delta={self.delta!r} with method={self.method!r}; allowed: a level with exact and ltt only"
            )
        if self.delta is not None:
            check_level("delta", self.delta)
        if self.certified and self.method == "empirical":
            raise ValueError("certified=True with method='empirical', which promises nothing; allowed: False")
        for target, risk, alpha, n in zip(self.target.split(" and "), self.risk, self.alpha, self.n, strict=True):
            self._check_target(target, risk, alpha, n, 0 if self.split_hash == "" else min(game.problems, MOST_ITEMS))

    def _check_target(self, target: str, risk: float, alpha: float, n: int, most: int) -> None:
        errors = target.startswith("accuracy")
        if not 1 <= n <= (most or MOST_ITEMS):
            what = ", the problems of the split" if most else ""
            raise ValueError(f"n={n!r}; allowed: 1 to {most or MOST_ITEMS}{what}")
        if risk < 0 or (errors and (risk > 1 or abs(risk * n - round(risk * n)) > 1e-6)):
            raise ValueError(f"risk={risk!r} with n={n}; allowed: a share of {n} items")
        if alpha <= 0 or (errors and alpha >= 1) or f"= {1 - alpha if errors else alpha:g} " not in target + " ":
            raise ValueError(f"alpha={alpha!r} with target={target!r}; allowed: what the target says")
        if not self.certified:
            return
        if not errors or self.method == "crc":
            bound, value = alpha, risk if not errors else (n * risk + 1) / (n + 1)
        else:
            bound, value = self.delta or 0.0, float(p_value(round(risk * n), n, alpha, method=self.method))  # type: ignore[arg-type]
        if value > bound * (1 + 1e-9):
            raise ValueError(
                f"certified=True with risk={risk:g}, alpha={alpha:g}, n={n}, delta={self.delta}; allowed: False, since "
                f"{self.method} finds {value:.3g}, above {bound:g}"
            )


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
