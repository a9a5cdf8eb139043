"""The threshold of CCPO: moved online by conformal steps, fixed at the end on held-out items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.evaluation.online_threshold import OnlineThreshold
from gym_stepwise_routing.evaluation.risk_control import expected_loss_bounds

__all__ = [
    "ConformalFit",
    "OnlineThreshold",
    "conformal_fit",
    "kappa_threshold",
]  # saved agents name OnlineThreshold here


def kappa_threshold(kappa_init: float, maximum: float, *, step_size: float, decay: float) -> OnlineThreshold:
    """CCPO's threshold, which moves by decaying steps and stays within [0, ``maximum``].

    Args:
        kappa_init: Threshold at the start, in [0, maximum].
        maximum: Its upper bound, in (0, 1].
        step_size: First step per unit of miss rate above alpha, >= 0; 0 keeps kappa where it is.
        decay: Exponent of the decaying step, in (0.5, 1) for convergence.

    Raises:
        ValueError: If an argument is out of its range.
    """
    if not 0.0 <= kappa_init <= maximum:
        raise ValueError(f"kappa_init={kappa_init!r} must lie in [0, {maximum:g}]")
    if not step_size >= 0.0:
        raise ValueError(f"kappa_step_size={step_size!r} must be >= 0")
    if not 0.5 < decay < 1.0:
        raise ValueError(f"kappa_decay={decay!r} must lie in (0.5, 1)")
    return OnlineThreshold(kappa_init, maximum=maximum, step_size=step_size, decay=decay)


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
