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

from gym_stepwise_routing.agents.exact.decision_tree import DecisionTree
from gym_stepwise_routing.agents.limits import MAX_TILT

__all__ = ["Slope", "chances_of", "slope", "solve_tilts"]

_LONGEST = 1.0
"""Longest move of a tilt in one of Newton's steps."""
_FLATTEST = 1e-4
"""Where a tilt moves the cost by less, no multiplier can be told, and none larger than ``MAX_MULTIPLIER`` is."""
MAX_MULTIPLIER = 10.0


@dataclass(frozen=True, slots=True)
class Slope:
    """What one policy is worth at ``B`` tilts, and where it should go.

    Attributes:
        right: ``float[B]`` accuracy.
        cost: ``float[B]`` mean cost.
        multiplier: ``float[B]`` accuracy that the last unit of cost buys, >= 0.
        cost_by_tilt: ``float[B]`` derivative of the cost, <= 0 but for traps.
        by_logit: ``float[K, n]`` derivative of the mean over budgets of ``right`` with respect to each logit, with the
            tilts held to their costs.
        chances: ``float[K, n, B]`` probability of each action.
        reached: ``float[n, B]`` how often each state is decided in.
    """

    right: th.Tensor
    cost: th.Tensor
    multiplier: th.Tensor
    cost_by_tilt: th.Tensor
    by_logit: th.Tensor
    chances: th.Tensor
    reached: th.Tensor


def chances_of(logits: th.Tensor, tilt: th.Tensor, mask: th.Tensor) -> th.Tensor:
    """Probabilities ``float[K, n, B]`` of logits ``[K, n]`` at tilts ``[B]`` or ``[n, B]``; masks ``bool[K, n]``."""
    if len(logits) == 2:
        larger = th.sigmoid((logits[1] - logits[0]).unsqueeze(1) - tilt)
        chances = th.stack([1.0 - larger, larger])
        forced = ~mask.all(dim=0)
        if bool(forced.any()):
            chances[:, forced] = mask[:, forced].to(chances.dtype).unsqueeze(2)
        return chances
    tilted = logits.unsqueeze(2) - _ranks(len(logits), logits)[:, None, None] * tilt
    return th.softmax(tilted.masked_fill(~mask.unsqueeze(2), -th.inf), dim=0)


def slope(tree: DecisionTree, logits: th.Tensor, tilt: th.Tensor, weight: th.Tensor) -> Slope:
    """Accuracy, cost and gradient.

    Args:
        tree: the game.
        logits: ``float[K, n]`` of the policy.
        tilt: ``float[B]``.
        weight: ``float[P]`` of each problem in the means, sum 1.
    """
    actions, n = logits.shape
    budgets = len(tilt)
    chances = chances_of(logits, tilt, tree.mask)
    worth = tree.worth(chances)
    reached = tree.reach(chances, weight.unsqueeze(1).expand(-1, budgets))
    ranks = _ranks(actions, logits)
    by_tilt = logits.new_zeros(2 * budgets)
    moves = []
    for action in range(1, actions):  # the derivatives by the logits of one state add up to 0
        flow = (reached * chances[action]).unsqueeze(1)
        move = (worth.after[action] - worth.value).mul_(flow).reshape(n, 2 * budgets)
        by_tilt -= ranks[action] * move.sum(dim=0)
        moves.append(move)
    right_by_tilt, cost_by_tilt = by_tilt.reshape(2, budgets)
    multiplier = (right_by_tilt / cost_by_tilt.clamp(max=-_FLATTEST)).clamp(0.0, MAX_MULTIPLIER)
    share = th.cat([th.ones_like(multiplier), -multiplier]) / budgets
    others = th.stack([move @ share for move in moves])
    by_logit = th.cat([-others.sum(dim=0, keepdim=True), others])
    return Slope(weight @ worth.right, weight @ worth.cost, multiplier, cost_by_tilt, by_logit, chances, reached)


def solve_tilts(
    tree: DecisionTree,
    logits: th.Tensor,
    tilt: th.Tensor,
    weight: th.Tensor,
    budget: th.Tensor,
    steps: int,
    close: float = 0.0,
) -> tuple[th.Tensor, Slope]:
    """Tilts ``[B]`` at which the mean costs are the budgets ``[B]``, by Newton's steps from ``tilt``.

    Args:
        tree: the game.
        logits: ``float[K, n]`` of the policy.
        tilt: ``float[B]`` where to begin.
        weight: ``float[P]`` of each problem in the means, sum 1.
        budget: ``float[B]`` wanted costs.
        steps: most steps.
        close: the steps end where no cost is further from its budget.

    Returns:
        The tilts, and the slope there.
    """
    found = slope(tree, logits, tilt, weight)
    for _ in range(steps):
        if float((budget - found.cost).abs().max()) < close:
            break
        move = (budget - found.cost) / found.cost_by_tilt.clamp(max=-_FLATTEST)
        tilt = (tilt + move.clamp(-_LONGEST, _LONGEST)).clamp(-MAX_TILT, MAX_TILT)
        found = slope(tree, logits, tilt, weight)
    return tilt, found


def _ranks(models: int, like: th.Tensor) -> th.Tensor:
    return th.arange(models, dtype=like.dtype) / max(models - 1, 1)
