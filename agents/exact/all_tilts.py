"""One policy at every cost at once: its tilts, their exact multipliers, and the gradient of what they are worth.

A policy with logits f(o) is played at any mean cost by a tilt c of its odds, ``p(k) ~ exp(f_k - c k / (K-1))``
(:func:`gym_stepwise_routing.agents.limits.tilted`). Wanted is the f whose accuracy, averaged over budgets, is highest,
where every budget b has its own tilt c_b, at which the cost is b. As c_b moves with f, the derivative of the accuracy R
is ``dR/df - lambda_b dC/df`` with ``lambda_b = (dR/dc) / (dC/dc)``: the multiplier of the constraint ``cost <= b``
within the tilts, exactly, without an ascent of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch as th

from gym_stepwise_routing.agents.exact.decision_tree import DecisionTree, Worth
from gym_stepwise_routing.agents.limits import MAX_TILT

__all__ = ["Slope", "chances_of", "slope", "solve_tilts"]

_STEP = 1.0
"""Longest move of a tilt in one of Newton's steps."""
_FLATTEST = 1e-4
"""Where a tilt moves the cost by less, no multiplier can be told, and none larger than ``MAX_MULTIPLIER`` is."""
MAX_MULTIPLIER = 10.0


@dataclass(frozen=True, slots=True)
class Slope:
    """What policies are worth and where they should go; ``N`` networks at ``B`` budgets each.

    Attributes:
        right: ``float[N, B]`` accuracy.
        cost: ``float[N, B]`` mean cost.
        multiplier: ``float[N, B]`` accuracy that the last unit of cost buys, >= 0.
        cost_by_tilt: ``float[N, B]`` derivative of the cost, <= 0 but for traps.
        by_logit: ``float[n, K, N]`` derivative of the mean over budgets of ``right`` with respect to each logit, with
            the tilts held to their costs.
        worth: what each policy does problem by problem, ``M = N B``.
    """

    right: th.Tensor
    cost: th.Tensor
    multiplier: th.Tensor
    cost_by_tilt: th.Tensor
    by_logit: th.Tensor
    worth: Worth


def chances_of(logits: th.Tensor, tilt: th.Tensor, mask: th.Tensor) -> th.Tensor:
    """Probabilities ``float[n, K, N B]`` of logits ``[n, K, N]`` at tilts ``[N, B]``; masks ``[n, K]``."""
    n, models, _ = logits.shape
    rank = _ranks(models, logits)
    tilted = logits.unsqueeze(3) - rank[:, None, None] * tilt
    return th.softmax(tilted.masked_fill(~mask[:, :, None, None], -th.inf), dim=1).reshape(n, models, -1)


def slope(tree: DecisionTree, logits: th.Tensor, tilt: th.Tensor, weight: th.Tensor) -> Slope:
    """Accuracy, cost and gradient.

    Args:
        tree: the game.
        logits: ``float[n, K, N]`` of the networks.
        tilt: ``float[N, B]``.
        weight: ``float[P, N]`` of each problem in each network's mean, columns sum to 1.
    """
    networks, budgets = tilt.shape
    shape = (-1, logits.shape[1], networks, budgets)
    chances = chances_of(logits, tilt, tree.mask)
    worth = tree.worth(chances)
    each = weight.repeat_interleave(budgets, dim=1)
    flow = tree.reach(chances, each).unsqueeze(1) * chances
    right = flow * (worth.q_right - (chances * worth.q_right).sum(dim=1, keepdim=True))
    cost = flow * (worth.q_cost - (chances * worth.q_cost).sum(dim=1, keepdim=True))
    rank = _ranks(logits.shape[1], logits)[:, None]
    right_by_tilt, cost_by_tilt = (-(rank * part).sum(dim=(0, 1)).reshape(networks, budgets) for part in (right, cost))
    multiplier = (right_by_tilt / cost_by_tilt.clamp(max=-_FLATTEST)).clamp(0.0, MAX_MULTIPLIER)
    by_logit = right.reshape(shape) - multiplier * cost.reshape(shape)
    return Slope(
        (each * worth.right).sum(dim=0).reshape(networks, budgets),
        (each * worth.cost).sum(dim=0).reshape(networks, budgets),
        multiplier,
        cost_by_tilt,
        by_logit.mean(dim=3),
        worth,
    )


def solve_tilts(
    tree: DecisionTree, logits: th.Tensor, tilt: th.Tensor, weight: th.Tensor, budget: th.Tensor, steps: int
) -> tuple[th.Tensor, Slope]:
    """Tilts ``[N, B]`` at which the mean costs are the budgets ``[N, B]``, by Newton's steps from ``tilt``.

    Returns:
        The tilts, and the slope there.
    """
    found = slope(tree, logits, tilt, weight)
    for _ in range(steps):
        move = (budget - found.cost) / found.cost_by_tilt.clamp(max=-_FLATTEST)
        tilt = (tilt + move.clamp(-_STEP, _STEP)).clamp(-MAX_TILT, MAX_TILT)
        found = slope(tree, logits, tilt, weight)
    return tilt, found


def _ranks(models: int, like: th.Tensor) -> th.Tensor:
    return th.arange(models, dtype=like.dtype) / max(models - 1, 1)
