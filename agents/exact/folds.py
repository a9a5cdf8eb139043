"""Policies learned side by side, each without one fold of the problems, on which it is judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch as th

from gym_stepwise_routing.agents.exact.all_tilts import Slope, chances_of, solve_tilts
from gym_stepwise_routing.agents.exact.decision_tree import DecisionTree
from gym_stepwise_routing.agents.exact.learners import Candidate, Learner, learner
from gym_stepwise_routing.agents.limits import MAX_TILT

__all__ = ["Choice", "FoldTraining", "Progress", "assign_folds"]

_CLOSE = 3e-3
"""How near the costs have to come to the budgets, in normalised cost, before a gradient is taken."""
_TILT_STEPS = 8
_THRESHOLDS = 40
"""Tilts at which what is learned is judged on the problems left out, besides the constants."""
_FACTORS = 12
_SHARPEST = 0.5 * MAX_TILT
"""Largest logit after sharpening: tilts have to reach beyond it."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training is.

    Attributes:
        step: gradient steps so far.
        accuracy: accuracy on the folds that are learned from, mean over budgets and policies.
        held_out: accuracy on the folds that are not, all together, mean over the costs between those of the constants,
            where every decision goes to the model with the greatest tilted logit.
        tilt: ``float[N, B]`` tilt of each policy to each budget.
        multiplier: ``float[N, B]`` accuracy that the last unit of cost buys there.
    """

    step: int
    accuracy: float
    held_out: float
    tilt: th.Tensor
    multiplier: th.Tensor


class Choice:
    """What the folds choose: the best policy on the problems not seen, of all that are offered.

    Attributes:
        held_out: its accuracy there, -inf before the first.
        logits: ``float[N, K, n]`` of its policies.
    """

    def __init__(self) -> None:
        self.held_out = -np.inf
        self.logits = th.empty(0)

    def offer(self, progress: Progress, learns: Learner) -> bool:
        """Take it if it is better than all before; whether it is."""
        if not progress.held_out > self.held_out:
            return False
        self.held_out, self.logits = progress.held_out, learns.logits()
        return True


def assign_folds(problems: int, folds: int, seed: int) -> th.Tensor:
    """Fold of each problem, ``int64[P]``, at random and of equal sizes.

    Raises:
        ValueError: fewer than 2 folds or problems. With fewer problems than folds each is a fold.
    """
    if folds < 2:
        raise ValueError(f"folds={folds!r}; allowed: an integer >= 2")
    if problems < 2:
        raise ValueError(f"{problems} train problem; allowed: at least 2, one to learn from and one to judge by")
    order = np.random.default_rng(seed).permutation(problems)
    return th.as_tensor(order % min(folds, problems))


class FoldTraining:
    """Exact policy gradient on every fold but one, for every fold, at all budgets; judged on the folds left out.

    A policy none of whose problems has a right answer stays as it began, constant: it moves no decision of the mean.

    Args:
        tree: the game.
        inputs: ``float[n, features]`` what the policies see of each state.
        fold: ``int64[P]`` fold of each problem.
        budgets: number of costs between those of the constants.

    Raises:
        ValueError: no answer is right, so that nothing can be learned, or always-largest costs no more than
            always-smallest.
    """

    def __init__(self, tree: DecisionTree, inputs: th.Tensor, fold: th.Tensor, budgets: int) -> None:
        self._tree, self._inputs, self._fold = tree, inputs, fold
        held = fold[:, None] == th.arange(int(fold.max()) + 1)
        self._weight = (~held).to(inputs.dtype) / (~held).sum(dim=0)
        if not tree.solvable:
            raise ValueError(
                "no recorded answer is right: nothing can be learned; allowed: problems some of which are solved"
            )
        small, large = (tree.worth(tree.constant(model).to(inputs.dtype)) for model in (0, -1))
        low, high = ((self._weight * end.cost).sum(dim=0) for end in (small, large))
        if not bool((high > low).all()):
            raise ValueError(
                f"always-largest costs {float(high.min()):.3f} and always-smallest {float(low.max()):.3f}; allowed: a "
                "cost unit in which the largest model costs more"
            )
        self._share = (th.arange(budgets, dtype=inputs.dtype) + 0.5) / budgets
        self._budget = low[:, None] + (high - low)[:, None] * self._share
        self._ends = [(float(end.cost.mean()), float(end.right.mean())) for end in (small, large)]
        self._coin = tree.by_coin()

    def run(self, candidate: Candidate, *, seed: int, steps: int, patience: int) -> Iterator[tuple[Progress, Learner]]:
        """Train; yields how far it is, and who learns: the same object, which goes on.

        The first time before the first step, and then as often as the learner says.

        Args:
            candidate: what is tried.
            seed: seed of first weights.
            steps: most gradient steps.
            patience: looks without a new best ``held_out`` after which it ends.
        """
        policies = self._weight.shape[1]
        learns = learner(candidate, self._inputs, policies, len(self._tree.mask), seed)
        tilt = th.logit(1.0 - self._share).repeat(policies, 1)
        best, waited = -np.inf, 0
        for step in range(steps + 1):
            logits = learns.logits()
            found = []
            for i, own in enumerate(logits):
                tilt[i], there = solve_tilts(
                    self._tree, own, tilt[i], self._weight[:, i], self._budget[i], _TILT_STEPS, _CLOSE
                )
                found.append(there)
            if step % learns.every == 0 or step == steps:
                held_out = self._held_out(logits)
                best, waited = (held_out, 0) if held_out > best else (best, waited + 1)
                yield self._progress(step, held_out, tilt.clone(), found), learns
                if waited >= patience:
                    return
            learns.step(found)

    def _progress(self, step: int, held_out: float, tilt: th.Tensor, found: list[Slope]) -> Progress:
        right, cost, multiplier = (
            th.stack([getattr(there, name) for there in found]) for name in ("right", "cost", "multiplier")
        )
        # What the cost is still off its budget by is made good at the multiplier's rate.
        reached = right - multiplier * (cost - self._budget)
        return Progress(step, float(reached.mean()), held_out, tilt, multiplier)

    @property
    def policies(self) -> int:
        """Number of policies, one a fold."""
        return self._weight.shape[1]

    @property
    def middle_cost(self) -> float:
        """Mean cost in the middle of those of the constants."""
        (low, _), (high, _) = self._ends
        return 0.5 * (low + high)

    def unseen(self, logits: th.Tensor) -> th.Tensor:
        """Of logits ``float[N, K, n]`` those of the policy that has not seen the state's problem, ``float[K, n]``."""
        return logits[self._fold[self._tree.problem], :, th.arange(logits.shape[2])].T

    def middle(self, logits: th.Tensor) -> float:
        """Tilt at which logits ``float[K, n]`` cost, on all problems, the middle one of the budgets."""
        everyone = self._weight.mean(dim=1)
        budget = self._budget[:, len(self._share) // 2].mean().reshape(1)
        tilt = th.zeros_like(budget)
        return float(solve_tilts(self._tree, logits, tilt, everyone, budget, 4 * _TILT_STEPS, _CLOSE)[0])

    def sharpness(self, logits: th.Tensor, middle: float) -> float:
        """By what the logits are multiplied so that drawn actions do best on the problems left out, >= 1.

        What is learned and judged is the order of the states. How often a drawn action departs from it is chosen
        here, among powers of two: the best at a cost is often a threshold, drawn only where one state meets it.

        Args:
            logits: ``float[N, K, n]`` of the policies.
            middle: tilt that they are played at.
        """
        ranks = th.arange(logits.shape[1], dtype=logits.dtype) / max(logits.shape[1] - 1, 1)
        largest = float((logits.mean(dim=0) - middle * ranks[:, None]).abs().max())
        factors = [1.0]
        while 2 * factors[-1] * largest <= _SHARPEST and len(factors) < _FACTORS:
            factors.append(2 * factors[-1])
        found = [self._held_out(logits, factor) for factor in factors]
        return factors[int(np.argmax(found))]

    def _held_out(self, logits: th.Tensor, sharpness: float | None = None) -> float:
        """Accuracy on the problems that each policy has not seen, mean over costs between those of the constants.

        All in one pass: in every state plays the policy that has not seen its problem, at tilts that are quantiles of
        what this policy would have to be tilted by, in the states that a coin reaches, to change its mind. The
        greatest logit is taken, or actions are drawn by logits that are multiplied by ``sharpness``.
        """
        ranks = th.arange(1, len(self._tree.mask), dtype=logits.dtype) / max(len(self._tree.mask) - 1, 1)
        fold = self._fold[self._tree.problem]
        mine = self.unseen(logits)
        share = th.linspace(0, 1, _THRESHOLDS + 2, dtype=logits.dtype)[1:-1]
        tilts = logits.new_empty(len(logits), _THRESHOLDS)
        for i, of_one in enumerate(logits):
            turning = (of_one[1:] / ranks[:, None]).reshape(-1)
            weight = ((fold != i) * self._coin).repeat(len(ranks))
            order = turning.argsort()
            below = weight[order].cumsum(0)
            place = th.searchsorted(below / below[-1], share).clamp(max=len(order) - 1)
            tilts[i] = turning[order][place]
        if sharpness is None:
            chances = self._greatest(mine, tilts[fold])
        else:
            chances = chances_of(sharpness * mine, sharpness * tilts[fold], self._tree.mask)
        worth = self._tree.worth(chances)
        right, cost = (np.asarray(part.mean(dim=0), dtype=np.float64) for part in (worth.right, worth.cost))
        (low, worst), (high, top) = self._ends
        order = np.argsort(cost)
        costs, rights = [low, *cost[order], high], [worst, *right[order], top]
        return float(np.interp(np.linspace(low, high, 201), costs, rights).mean())

    def _greatest(self, logits: th.Tensor, tilt: th.Tensor) -> th.Tensor:
        """Chances ``float[K, n, T]``, 0 or 1, of the greatest of logits ``[K, n]`` at tilts ``[n, T]``."""
        mask, rank = self._tree.mask, 1.0 / max(len(logits) - 1, 1)
        top = th.where(mask[0], logits[0], -th.inf).unsqueeze(1).expand_as(tilt)
        taken = []
        for action in range(1, len(logits)):
            tilted = th.where(mask[action], logits[action], -th.inf).unsqueeze(1) - action * rank * tilt
            taken.append(tilted > top)
            top = th.maximum(top, tilted)
        chances, free = tilt.new_empty(len(logits), *tilt.shape), th.ones_like(tilt)
        for action in range(len(logits) - 1, 0, -1):
            chances[action] = free * taken[action - 1]
            free -= chances[action]
        chances[0] = free
        return chances
