"""The threshold of CCPO: moved online by conformal steps, fixed at the end on held-out items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.evaluation.risk_control import expected_loss_bounds


@dataclass
class OnlineThreshold:
    """A threshold kappa in [0, ``maximum``] that follows the misses of a stream (adaptive conformal inference).

    kappa <- clip(kappa - eta_t * (miss rate - alpha), 0, maximum), eta_t = step_size * t^-decay. A miss *lowers* kappa:
    more actions pass it, larger models among them. Decaying steps are those of Angelopoulos, Barber and Bates 2024
    (arXiv 2402.01139).

    Attributes:
        value: Kappa now; the initial one when constructed. Within [0, maximum].
        maximum: Upper bound of kappa, in (0, 1].
        step_size: First step per unit of miss rate above alpha, >= 0; 0 keeps kappa where it is.
        decay: Exponent of the decaying step, in (0.5, 1) for convergence.
        updates: Steps taken so far.
    """

    value: float
    maximum: float = 1.0
    step_size: float = 0.05
    decay: float = 0.6
    updates: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.maximum <= 1.0:
            raise ValueError(f"maximum={self.maximum!r} must lie in (0, 1]")
        if not 0.0 <= self.value <= self.maximum:
            raise ValueError(f"kappa_init={self.value!r} must lie in [0, {self.maximum:g}]")
        if not self.step_size >= 0.0:
            raise ValueError(f"kappa_step_size={self.step_size!r} must be >= 0")
        if not 0.5 < self.decay < 1.0:
            raise ValueError(f"kappa_decay={self.decay!r} must lie in (0.5, 1)")

    def update(self, excess_miss_rate: float) -> float:
        """Take one step on miss rate - alpha (positive: too many misses) and return the new kappa."""
        self.updates += 1
        step = self.step_size * self.updates**-self.decay
        self.value = min(max(self.value - step * excess_miss_rate, 0.0), self.maximum)
        return self.value


@dataclass(frozen=True)
class ConformalFit:
    """What a batch conformal fit found.

    Attributes:
        kappa: The threshold, or None where no candidate passes.
        bound: Upper bound of the expected loss at ``kappa`` (at the safest candidate where ``kappa`` is None), given
            what :func:`conformal_fit` needs.
        n_items: Held-out items, n.
        alpha: The loss that was asked for.
    """

    kappa: float | None
    bound: float
    n_items: int
    alpha: float


def conformal_fit(
    losses: NDArray[np.float64], kappas: NDArray[np.float64], *, alpha: float, redrawn: bool = False
) -> ConformalFit:
    """Choose the largest kappa whose expected loss on a new item is at most ``alpha``.

    Conformal risk control, for losses bounded by 1; small kappas are safe. The bound
    (:func:`gym_stepwise_routing.evaluation.risk_control.expected_loss_bounds`) holds in expectation over the draw
    of the held-out items, not with high probability, and with ``redrawn`` for many items only. It needs a safest
    candidate whose loss never exceeds ``alpha``, on any item, as always-largest's relative loss is 0; this is not
    checked, and without it nothing is guaranteed.

    Args:
        losses: Loss of each item at each candidate, float[n, m] in [0, 1].
        kappas: Candidates, float[m], strictly increasing.
        alpha: Largest expected loss allowed, in (0, 1).
        redrawn: The losses of an item at two candidates are two random draws.

    Raises:
        ValueError: If an argument is out of its range.
    """
    if losses.ndim != 2 or losses.shape[0] == 0 or losses.shape[1] != len(kappas) or len(kappas) == 0:
        raise ValueError(f"losses of shape {losses.shape} must be [n, m] with n > 0 items and m = {len(kappas)} kappas")
    if not ((losses >= 0.0) & (losses <= 1.0)).all():
        raise ValueError("losses must lie in [0, 1]")
    if not (np.diff(kappas) > 0.0).all():
        raise ValueError(f"kappas={kappas!r} must be strictly increasing")
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha={alpha!r} must lie in (0, 1)")
    n_items = len(losses)
    bounds = expected_loss_bounds(losses.T, redrawn=redrawn)
    passing = np.flatnonzero(bounds <= alpha)
    if len(passing) == 0:
        return ConformalFit(kappa=None, bound=float(bounds[0]), n_items=n_items, alpha=alpha)
    return ConformalFit(float(kappas[passing[-1]]), float(bounds[passing[-1]]), n_items, alpha)
