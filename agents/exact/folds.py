"""Policies learned side by side, each without one fold of the problems, on which it is judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch as th

from gym_stepwise_routing.agents.exact.all_tilts import Slope, solve_tilts
from gym_stepwise_routing.agents.exact.decision_tree import DecisionTree

__all__ = ["Candidate", "Features", "FoldTraining", "Progress", "assign_folds", "natural_step"]

_CLOSE = 3e-3
"""How near the costs have to come to the budgets, in normalised cost, before a gradient is taken."""
_TILT_STEPS = 8
_THRESHOLDS = 40
"""Tilts at which what is learned is judged on the problems left out, besides the constants."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is tried: random units that a policy is linear in (0: in the inputs), and weight decay."""

    width: int
    decay: float


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training is.

    Attributes:
        step: gradient steps so far.
        accuracy: accuracy on the folds that are learned from, mean over budgets and policies.
        held_out: accuracy on the folds that are not, all together, mean over the costs between those of the constants,
            where every decision goes to the model with the greatest tilted logit.
        weight: ``float[N, K-1, units]`` of each policy: logits of the larger models against the smallest.
        tilt: ``float[N, B]`` tilt of each policy to each budget.
        multiplier: ``float[N, B]`` accuracy that the last unit of cost buys there.
    """

    step: int
    accuracy: float
    held_out: float
    weight: th.Tensor
    tilt: th.Tensor
    multiplier: th.Tensor


class Features:
    """What logits are linear in: the inputs, or tanh units with random weights, which are not trained.

    Args:
        features: size of the input.
        width: number of units; 0: the inputs themselves.
        seed: seed of the weights.

    Attributes:
        weight: ``float[width, features]``.
        bias: ``float[width]``.
        scale: what the units are multiplied by, so that a decay means as much as for the inputs.
    """

    def __init__(self, features: int, width: int, seed: int) -> None:
        generator = th.Generator().manual_seed(seed)
        self.weight = th.randn(width, features, generator=generator) * features**-0.5
        self.bias = th.randn(width, generator=generator) * 0.5
        self.scale = (features / width) ** 0.5 if width else 1.0

    def __call__(self, x: th.Tensor) -> th.Tensor:
        """Units ``float[n, units]`` of inputs ``[n, features]``."""
        if not len(self.bias):
            return x
        return th.tanh(x @ self.weight.T.to(x.dtype) + self.bias.to(x.dtype)) * self.scale


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


def natural_step(units: th.Tensor, found: Slope, weight: th.Tensor, rate: float, decay: float) -> th.Tensor:
    """The weights after one step: what is most in ``g d - d F d / (2 rate) - decay |weight + d|^2 / 2``.

    F is the Fisher information of the decisions, mean over the tilts: a step is as long as the policy changes by it,
    whatever the scale of the units. For one step from a constant policy this is a ridge regression of what each
    decision is worth on what is seen.

    Args:
        units: ``float[n, U]`` what the logits are linear in.
        found: the slope at the present weights.
        weight: ``float[K-1, U]``.
        rate: length of the step, > 0.
        decay: of the weights, > 0.
    """
    others, size = weight.shape
    information = units.new_empty(others, size, others, size)
    for one in range(others):
        for two in range(one, others):
            p, q = found.chances[one + 1], found.chances[two + 1]
            flow = (found.reached * p * ((1.0 - q) if one == two else -q)).mean(dim=1)
            block = (units * flow.unsqueeze(1)).T @ units
            information[one, :, two], information[two, :, one] = block, block
    size *= others
    curvature = information.reshape(size, size) / rate + decay * th.eye(size, dtype=units.dtype)
    push = (found.by_logit[1:] @ units - decay * weight).reshape(size)
    return weight + th.linalg.solve(curvature, push).reshape(weight.shape)


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
        coin = tree.mask / tree.mask.sum(dim=0)
        self._coin = tree.reach(coin.to(inputs.dtype).unsqueeze(2), inputs.new_ones(tree.problems, 1))[:, 0]

    def run(
        self, candidate: Candidate, *, seed: int, steps: int, learning_rate: float, patience: int
    ) -> Iterator[tuple[Progress, Features]]:
        """Train; yields how far it is, before the first step and after each.

        Args:
            candidate: what is tried.
            seed: seed of the random units.
            steps: most gradient steps.
            learning_rate: length of a natural gradient step, > 0.
            patience: steps without a new best ``held_out`` after which it ends.
        """
        features = Features(self._inputs.shape[1], candidate.width, seed)
        units = features(self._inputs)
        others, policies = len(self._tree.mask) - 1, self._weight.shape[1]
        weight = units.new_zeros(policies, others, units.shape[1])
        tilt = th.logit(1.0 - self._share).repeat(policies, 1)
        best, waited = -np.inf, 0
        for step in range(steps + 1):
            logits = self._logits(units, weight)
            found = []
            for i in range(policies):
                tilt[i], there = solve_tilts(
                    self._tree, logits[i], tilt[i], self._weight[:, i], self._budget[i], _TILT_STEPS, _CLOSE
                )
                found.append(there)
            held_out = self._held_out(logits)
            best, waited = (held_out, 0) if held_out > best else (best, waited + 1)
            yield self._progress(step, held_out, weight.clone(), tilt.clone(), found), features
            if waited >= patience:
                return
            for i, there in enumerate(found):
                weight[i] = natural_step(units, there, weight[i], learning_rate, candidate.decay)

    def _logits(self, units: th.Tensor, weight: th.Tensor) -> th.Tensor:
        """Logits ``float[N, K, n]``, those of the smallest model 0."""
        larger = weight @ units.T
        return th.cat([th.zeros_like(larger[:, :1]), larger], dim=1)

    def _progress(self, step: int, held_out: float, weight: th.Tensor, tilt: th.Tensor, found: list[Slope]) -> Progress:
        right, cost, multiplier = (
            th.stack([getattr(there, name) for there in found]) for name in ("right", "cost", "multiplier")
        )
        # What the cost is still off its budget by is made good at the multiplier's rate.
        reached = right - multiplier * (cost - self._budget)
        return Progress(step, float(reached.mean()), held_out, weight, tilt, multiplier)

    def _held_out(self, logits: th.Tensor) -> float:
        """Accuracy on the problems that each policy has not seen, mean over costs between those of the constants.

        All in one pass: in every state plays the policy that has not seen its problem, at tilts that are quantiles of
        what this policy would have to be tilted by, in the states that a coin reaches, to change its mind.
        """
        ranks = th.arange(1, len(self._tree.mask), dtype=logits.dtype) / max(len(self._tree.mask) - 1, 1)
        fold = self._fold[self._tree.problem]
        mine = logits[fold, :, th.arange(logits.shape[2])].T  # [K, n]
        share = th.linspace(0, 1, _THRESHOLDS + 2, dtype=logits.dtype)[1:-1]
        tilts = logits.new_empty(len(logits), _THRESHOLDS)
        for i, of_one in enumerate(logits):
            turning = (of_one[1:] / ranks[:, None]).reshape(-1)
            weight = ((fold != i) * self._coin).repeat(len(ranks))
            order = turning.argsort()
            below = weight[order].cumsum(0)
            place = th.searchsorted(below / below[-1], share).clamp(max=len(order) - 1)
            tilts[i] = turning[order][place]
        chances = self._greatest(mine, tilts[fold])
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
