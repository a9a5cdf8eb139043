"""A threshold that follows feedback while the router is in use, under drift.

Adaptive conformal inference (Gibbs and Candes, arXiv 2106.00193) in the sign convention of this package, where a higher
threshold is cheaper and riskier: ``kappa <- kappa - eta_t (err_t - alpha)``, so an error lowers the threshold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from gym_stepwise_routing.evaluation.p_values import check_level
from gym_stepwise_routing.routers.base import ALWAYS_SMALLEST

__all__ = ["AdaptiveThreshold"]


@dataclass(kw_only=True)
class AdaptiveThreshold:
    """Threshold that keeps the long-run error rate at ``alpha``, or below it if even always-smallest errs less.

    With a constant step (``decay=0``) and *any* sequence of problems, drifting or adversarial, as long as
    always-largest makes no error (true of relative correctness by definition), after T updates::

        mean(err) - alpha <= (initial + step) / (step * T)

    A larger step follows drift faster and swings more. A decaying step (``decay=0.6`` as in CCPO, arXiv 2511.11828)
    settles on a fixed threshold when problems are exchangeable (Angelopoulos, Barber and Bates, arXiv 2402.01139) and
    stops following drift.

    The internal value may leave [0, ALWAYS_SMALLEST] by at most one step: below, the router plays always-largest until
    the debt of errors is paid off; above, always-smallest. ``threshold`` is that value clipped.

    Attributes:
        alpha: error rate to hold, in (0, 1).
        initial: first threshold, in [0, ALWAYS_SMALLEST]; for example a calibrated one.
        step: eta, the step of the first update, > 0.
        decay: exponent of ``eta_t = step * t ** -decay``, in [0, 1); 0 for a constant step.
        updates: updates so far.
    """

    alpha: float
    initial: float
    step: float = 0.05
    decay: float = 0.0
    updates: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        check_level("alpha", self.alpha)
        if not 0.0 <= self.initial <= ALWAYS_SMALLEST:
            raise ValueError(f"initial={self.initial!r} must lie in [0, {ALWAYS_SMALLEST}]")
        if not (self.step > 0.0 and math.isfinite(self.step)):
            raise ValueError(f"step={self.step!r} must be a finite number above 0")
        if not 0.0 <= self.decay < 1.0:
            raise ValueError(f"decay={self.decay!r} must lie in [0, 1)")
        self._kappa = self.initial

    @property
    def threshold(self) -> float:
        """Threshold for the next problem, in [0, ALWAYS_SMALLEST]."""
        return min(max(self._kappa, 0.0), ALWAYS_SMALLEST)

    def update(self, error: float) -> float:
        """Take in the feedback on one problem that was routed at ``threshold``.

        Args:
            error: the loss, in [0, 1]; 1 for an error. For relative correctness it takes knowing whether always-largest
                would have been right, from an occasional shadow run for example.

        Returns:
            The new threshold.
        """
        if not 0.0 <= error <= 1.0:
            raise ValueError(f"error={error!r} must lie in [0, 1]")
        self.updates += 1
        moved = self._kappa - self.step * self.updates**-self.decay * (error - self.alpha)
        # The bounds are out of reach if always-largest never errs and always-smallest always does. Where they are not
        # like that, no threshold gives alpha, and without bounds the value would run away and be slow to return.
        self._kappa = min(max(moved, -self.step), ALWAYS_SMALLEST + self.step)
        return self.threshold
