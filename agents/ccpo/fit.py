"""The end of a CCPO run: its threshold fixed on held-out problems by a batch conformal fit."""

from __future__ import annotations

import numpy as np

from gym_stepwise_routing.agents.ccpo.ccpo import CCPO
from gym_stepwise_routing.agents.ccpo.conformal import ConformalFit, conformal_fit
from gym_stepwise_routing.agents.scores import scored
from gym_stepwise_routing.evaluation.evaluate import sweep, threshold_grid
from gym_stepwise_routing.game.game import Game

__all__ = ["CANDIDATES", "fit_to_game"]

CANDIDATES = 101
"""Values of kappa that are tried, evenly spread; as many more are quantiles of the scores that were trained on."""


def fit_to_game(model: CCPO, game: Game, *, practice: Game | None = None, seed: int = 0) -> ConformalFit:
    """Fix kappa by a bound of the expected loss on held-out problems; see :func:`conformal_fit`.

    With a cost limit the loss of a problem is its cost, and the smallest kappa that keeps the limit is taken. The
    theorem asks for a bound of the loss, for which the dearest episode that was seen stands, and for a candidate that
    never exceeds the limit, for which the highest kappa stands: the limit is kept in expectation as far as they do.

    With an accuracy floor the loss is 1 if the routed answer is wrong, and the largest kappa that keeps it is taken.
    **This comes with no guarantee**, in expectation either: the theorem needs a candidate that loses no more than
    alpha on any problem, and always-largest is wrong on some. A single candidate that errs with probability 0.55 passes
    for one that errs at most half of the time in a fifth of the draws of 50 problems. For a promise use
    :func:`gym_stepwise_routing.calibration.calibrate`, which refuses ``crc`` here.

    Args:
        model: the agent; its kappa is changed if some candidate keeps the constraint, and left alone if none does.
        game: held-out problems, none of which chose anything in the training. Those of a random source are drawn anew
            for each candidate.
        practice: the game of the training, whose scores propose candidates: trained scores lie close together, so that
            evenly spread candidates alone leave gaps in the cost. None: no more than those.
        seed: seed of random sources.

    Returns:
        The fit; ``alpha`` and ``bound`` are in units of accuracy lost, or of cost, and ``bound`` is one as far
        as the above says so.

    Raises:
        ValueError: a limit that leaves nothing to fit: infinite or 0, or a floor of 0 or 1.
    """
    limit = model.limit
    if limit is None or not 0 < limit < np.inf or (model.constraint == "accuracy_floor" and limit == 1):
        raise ValueError(f"limit={limit!r}; allowed: a finite cost above 0, or a floor in (0, 1)")
    kappas = np.linspace(0.0, model.threshold.maximum, CANDIDATES)
    if practice is not None:
        proposed = threshold_grid(scored(model), practice, CANDIDATES, seed=seed)
        kappas = np.union1d(kappas, proposed[proposed <= kappas[-1]])
    played = sweep(scored(model), game, kappas, seed=seed)
    redrawn = not game.source.deterministic
    if model.constraint == "accuracy_floor":
        fit = conformal_fit((~played.right).astype(np.float64).T, kappas, alpha=1.0 - limit, redrawn=redrawn)
    else:
        fit = _dearest_first(played.cost, kappas, limit, redrawn=redrawn)
    if fit.kappa is not None:
        model.set_kappa(fit.kappa)
    return fit


def _dearest_first(cost: np.ndarray, kappas: np.ndarray, limit: float, *, redrawn: bool) -> ConformalFit:
    """The smallest kappa that keeps a cost limit: the fit of the mirrored candidates, since large ones are safe."""
    upper = float(max(cost.max(), limit * (1.0 + 1e-9)))
    mirrored = conformal_fit(cost[::-1].T / upper, (kappas[-1] - kappas)[::-1], alpha=limit / upper, redrawn=redrawn)
    kappa = None if mirrored.kappa is None else float(kappas[-1] - mirrored.kappa)
    return ConformalFit(kappa, mirrored.bound * upper, mirrored.n_items, limit)
