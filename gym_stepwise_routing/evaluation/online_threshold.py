"""A threshold that follows feedback while the router is in use, or in training.

Adaptive conformal inference (Gibbs and Candes, arXiv 2106.00193) in the sign convention of this package, where a higher
threshold is cheaper and riskier: ``kappa <- kappa - eta_t (err_t - alpha)``, so an error lowers the threshold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gym_stepwise_routing.routers.base import ALWAYS_SMALLEST

__all__ = ["OnlineThreshold"]


@dataclass
class OnlineThreshold:
    """A threshold that keeps the long-run error rate at alpha, or below it if even always-smallest errs less.

    With a constant step (``decay=0``), ``slack`` of one step and *any* sequence of problems, drifting or adversarial,
    as long as always-largest makes no error (true of relative correctness by definition), after T updates::

        mean(err) - alpha <= (first value + step_size) / (step_size * T)

    A larger step follows drift faster and swings more. A decaying step (``decay=0.6`` as in CCPO, arXiv 2511.11828)
    settles on a fixed threshold when problems are exchangeable (Angelopoulos, Barber and Bates, arXiv 2402.01139) and
    stops following drift.

    The value may leave [0, ``maximum``] by ``slack``: below, the router plays always-largest until the debt of errors
    is paid off; above, always-smallest. :attr:`threshold` is the value clipped to that range.

    Attributes:
        value: kappa now; the first one when constructed, in [0, maximum].
        maximum: largest threshold, in (0, ALWAYS_SMALLEST].
        step_size: eta, the step of the first update per unit of error rate above alpha, finite and >= 0.
        decay: exponent of ``eta_t = step_size * t ** -decay``, in [0, 1); 0 for a constant step.
        slack: how far the value may leave its range, >= 0; without slack debts are forgotten, and the bound with them.
        updates: updates so far.
    """

    value: float
    maximum: float = ALWAYS_SMALLEST
    step_size: float = 0.05
    decay: float = 0.0
    slack: float = 0.0
    updates: int = 0

    def __post_init__(self) -> None:
        for name, allowed, holds in (
            ("maximum", f"in (0, {ALWAYS_SMALLEST}]", 0.0 < self.maximum <= ALWAYS_SMALLEST),
            ("value", f"in [0, {self.maximum:g}]", 0.0 <= self.value <= self.maximum),
            ("step_size", "a finite number >= 0", 0.0 <= self.step_size < math.inf),
            ("decay", "in [0, 1)", 0.0 <= self.decay < 1.0),
            ("slack", "a number >= 0", self.slack >= 0.0),
        ):
            if not holds:
                raise ValueError(f"{name}={getattr(self, name)!r}; allowed: {allowed}")

    @property
    def threshold(self) -> float:
        """Threshold for the next problem, in [0, maximum]."""
        return min(max(self.value, 0.0), self.maximum)

    def update(self, excess: float) -> float:
        """Take in the feedback on what was routed at :attr:`threshold`.

        Args:
            excess: error, or error rate, minus alpha; positive lowers the threshold. For relative correctness the error
                takes knowing whether always-largest would have been right, from an occasional shadow run for example.

        Returns:
            The new threshold.

        Raises:
            ValueError: it is no finite number.
        """
        if not math.isfinite(excess):
            raise ValueError(f"excess={excess!r}; allowed: a finite number")
        self.updates += 1
        moved = self.value - self.step_size * self.updates**-self.decay * excess
        # The bounds are out of reach if always-largest never errs and always-smallest always does. Where they are not
        # like that, no threshold gives alpha, and without bounds the value would run away and be slow to return.
        self.value = min(max(moved, -self.slack), self.maximum + self.slack)
        return self.threshold
