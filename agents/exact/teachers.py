"""A policy taught by several that saw more: products of the inputs that matter most.

A network that is to find products of inputs by itself has to spend units and steps on them, and stops early as its
other units begin to overfit. Teachers are given the products. What they and the plain policy say on average is then
learned by one network of the plain inputs, so that nothing but a network of plain inputs is ever played.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch as th

from gym_stepwise_routing.agents.exact.decision_tree import DecisionTree
from gym_stepwise_routing.agents.exact.folds import Choice, FoldTraining, assign_folds
from gym_stepwise_routing.agents.exact.learners import Candidate, Layers, Networks
from gym_stepwise_routing.agents.scaling import measure

__all__ = ["Opinion", "Schooling", "check_products", "learn_from", "with_products"]

_STUDENT = Candidate(64, 0.01, 0.02)
_LESSONS = 120
"""Steps of AdamW by which a student follows its teachers."""
_LEAST = 0.1
"""Spread of logits, as a share of the greatest of their means, up to which they count as constant."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """The logits of a policy of folds, ``float[K, n]``, those of the smallest model 0.

    Attributes:
        logits: mean over the folds.
        unseen: those of the fold that has not seen the state's problem.
    """

    logits: th.Tensor
    unseen: th.Tensor

    @classmethod
    def of(cls, logits: th.Tensor, training: FoldTraining) -> Opinion:
        """That of policies of folds with logits ``float[N, K, n]``."""
        return cls(logits.mean(dim=0), training.unseen(logits))


@dataclass(frozen=True, slots=True, kw_only=True)
class Schooling:
    """How policies of folds are trained; see :class:`.exact_policy_gradient.ExactPolicyGradient`."""

    candidates: Sequence[Candidate]
    folds: int
    budgets: int
    steps: int
    patience: int

    def opinion(self, tree: DecisionTree, inputs: th.Tensor, seed: int) -> tuple[Opinion, Layers]:
        """The policy that the folds choose among all candidates and steps, and its weights."""
        training = FoldTraining(tree, inputs, assign_folds(tree.problems, self.folds, seed), self.budgets)
        choice = Choice()
        for candidate in self.candidates:
            for progress, learns in training.run(candidate, seed=seed, steps=self.steps, patience=self.patience):
                if choice.offer(progress, learns):
                    layers = learns.together()
        return Opinion.of(choice.logits, training), layers


def check_products(products: int, candidates: Sequence[Candidate], features: int) -> None:
    """Refuse products that no teacher can see.

    Raises:
        ValueError: more products than inputs, or no candidate is linear: its weights choose the inputs.
    """
    if products > features:
        raise ValueError(f"products={products!r}; allowed: 0 to {features}, the number of inputs")
    if products and all(candidate.width for candidate in candidates):
        raise ValueError(
            f"products={products!r} with no linear candidate; allowed: one of width 0, its weights choose the inputs"
        )


def with_products(inputs: th.Tensor, weight: th.Tensor, chosen: Sequence[int]) -> th.Tensor:
    """Inputs ``float[n, features]`` and, on one scale, the squares and products of the ``chosen`` ones.

    Args:
        inputs: what a policy sees.
        weight: ``float[n]`` of each state in mean and spread, >= 0, not all 0.
        chosen: features, each once.
    """
    one, two = np.triu_indices(len(chosen))
    of = inputs[:, list(chosen)]
    products = of[:, one] * of[:, two]
    scale = measure(products.numpy(), np.asarray(weight, dtype=np.float64))
    return th.cat([inputs, th.as_tensor(scale(products.numpy()), dtype=inputs.dtype)], dim=1)


def learn_from(
    schooling: Schooling,
    tree: DecisionTree,
    inputs: th.Tensor,
    plain: Opinion,
    *,
    products: int,
    teachers: int,
    seed: int,
) -> tuple[Layers, Opinion]:
    """A network of the plain inputs that says what the plain policy and the mean of the teachers say.

    Args:
        schooling: how each teacher is trained; :func:`check_products` says of which products.
        tree: the game.
        inputs: ``float[n, features]``.
        plain: the policy of the plain inputs, which counts as much as all teachers.
        products: number of inputs, those with the greatest linear weights, whose products the teachers see, >= 1.
        teachers: number of teachers, each with folds and first weights of its own, >= 1.
        seed: what the teachers' seeds follow from, >= 0.

    Returns:
        The network, and what it was taught. Logits are in units of their spread.
    """
    linear = [candidate for candidate in schooling.candidates if not candidate.width]
    weight = tree.by_coin(1.0 / tree.problems)
    _, weights = replace(schooling, candidates=linear[:1]).opinion(tree, inputs, seed)
    size = weights.output.abs().amax(dim=0)
    more = with_products(inputs, weight, size.argsort(descending=True, stable=True)[:products].tolist())
    plain = _in_units(plain, weight)
    taught = [_in_units(schooling.opinion(tree, more, 100 * seed + i)[0], weight) for i in range(teachers)]
    together = Opinion(
        *(
            0.5 * getattr(plain, part) + 0.5 * th.stack([getattr(one, part) for one in taught]).mean(dim=0)
            for part in ("logits", "unseen")
        )
    )
    return _student(inputs, together.logits, weight, seed), together


def _in_units(of: Opinion, weight: th.Tensor) -> Opinion:
    """The logits divided by their spread, the mean over models; as they are if it is little beside their means.

    The spread of constant logits is what rounding leaves: quotients by it are beyond the reach of any tilt.
    """
    share = weight / weight.sum()
    mean = of.logits @ share
    spread = float(((of.logits - mean[:, None])[1:].square() @ share).mean().sqrt())
    return Opinion(of.logits / spread, of.unseen / spread) if spread > _LEAST * float(mean.abs().max()) else of


def _student(inputs: th.Tensor, target: th.Tensor, weight: th.Tensor, seed: int) -> Layers:
    """The network nearest to logits ``target``, ``float[K, n]``, in mean square; an offset keeps their means."""
    share = weight / weight.sum()
    mean = target @ share
    learns = Networks(_STUDENT, inputs, 1, len(target), seed)
    for _ in range(_LESSONS):
        away = (target - mean[:, None]) - learns.logits()[0]
        learns.climb([2.0 * share * away])
    return learns.together()._replace(offset=mean)
