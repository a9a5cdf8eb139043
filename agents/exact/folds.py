"""Networks trained side by side, each without one fold of the problems, on which it is judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch as th
from torch import nn

from gym_stepwise_routing.agents.exact.all_tilts import Slope, solve_tilts
from gym_stepwise_routing.agents.exact.decision_tree import DecisionTree

__all__ = ["Candidate", "FoldTraining", "Members", "Progress", "assign_folds"]

_FIRST_STEPS = 12
"""Newton's steps at the start of the training, from the tilts of a constant policy."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Regularisation that is tried: units of the hidden layer, and weight decay (of AdamW)."""

    width: int
    decay: float


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training is.

    Attributes:
        step: gradient steps so far.
        accuracy: accuracy on the folds that are trained on, mean over budgets and networks.
        held_out: the same on the folds that are not, all together, at the cost of the budgets.
        tilt: ``float[N, B]`` tilt of each network to each budget.
        slope: of the training, there.
    """

    step: int
    accuracy: float
    held_out: float
    tilt: th.Tensor
    slope: Slope


class Members(nn.Module):
    """``N`` networks with one hidden layer of tanh units.

    Args:
        networks: N.
        features: size of the input.
        width: hidden units of each.
        models: K, outputs of each.
        seed: seed of the weights; the output layer begins near 0, so that the first policies are constant.
    """

    def __init__(self, networks: int, features: int, width: int, models: int, seed: int) -> None:
        super().__init__()
        generator = th.Generator().manual_seed(seed)

        def normal(*shape: int, scale: float) -> nn.Parameter:
            return nn.Parameter(th.randn(shape, generator=generator) * scale)

        self.hidden = normal(networks, features, width, scale=features**-0.5)
        self.bias = nn.Parameter(th.zeros(networks, 1, width))
        self.output = normal(networks, width, models, scale=0.1 * width**-0.5)

    def forward(self, x: th.Tensor) -> th.Tensor:
        """Logits ``float[n, K, N]`` for inputs ``[n, features]``."""
        return (th.tanh(x @ self.hidden + self.bias) @ self.output).permute(1, 2, 0)

    def together(self) -> tuple[th.Tensor, th.Tensor, th.Tensor]:
        """The mean of the networks as one network.

        Returns:
            Weight ``[N width, features]`` and bias of its hidden layer, and weight ``[K, N width]`` of its output.
        """
        networks, features, width = self.hidden.shape
        weight = self.hidden.detach().permute(0, 2, 1).reshape(networks * width, features)
        output = self.output.detach().reshape(networks * width, -1).T / networks
        return weight, self.bias.detach().reshape(-1), output


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

    A network none of whose problems has a right answer stays as it began, a constant policy: it moves no decision of
    the mean.

    Args:
        tree: the game.
        inputs: ``float[n, features]`` what the networks see of each state.
        fold: ``int64[P]`` fold of each problem.
        budgets: number of costs between those of the constants.

    Raises:
        ValueError: no answer is right, so that nothing can be learned, or always-largest costs no more than
            always-smallest.
    """

    def __init__(self, tree: DecisionTree, inputs: th.Tensor, fold: th.Tensor, budgets: int) -> None:
        self._tree, self._inputs = tree, inputs
        held = fold[:, None] == th.arange(int(fold.max()) + 1)
        self._held = held.repeat_interleave(budgets, dim=1)
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

    def run(
        self, candidate: Candidate, *, seed: int, steps: int, learning_rate: float, every: int, patience: int
    ) -> Iterator[tuple[Progress, Members]]:
        """Train; yields how far it is, and the networks (the same object, which goes on), every so many steps.

        Args:
            candidate: the regularisation.
            seed: seed of the weights.
            steps: most gradient steps.
            learning_rate: AdamW's, > 0.
            every: gradient steps from one yield to the next, the first before any.
            patience: yields without a new best ``held_out`` after which it ends.
        """
        folds, features = self._weight.shape[1], self._inputs.shape[1]
        models = self._tree.mask.shape[1]
        nets = Members(folds, features, candidate.width, models, seed).to(self._inputs.dtype)
        optimiser = th.optim.AdamW(nets.parameters(), lr=learning_rate, weight_decay=candidate.decay, betas=(0.9, 0.99))
        tilt = (th.logit(1.0 - self._share) * (models > 1)).repeat(folds, 1)
        best, waited = -np.inf, 0
        for step in range(steps + 1):
            logits = nets(self._inputs)
            with th.no_grad():
                moves = _FIRST_STEPS if step == 0 else 1
                tilt, found = solve_tilts(self._tree, logits, tilt, self._weight, self._budget, moves)
            if step % every == 0 or step == steps:
                held_out = self._held_out(found)
                best, waited = (held_out, 0) if held_out > best else (best, waited + 1)
                # What the cost is still off its budget by is made good at the multiplier's rate.
                reached = found.right - found.multiplier * (found.cost - self._budget)
                yield Progress(step, float(reached.mean()), held_out, tilt, found), nets
                if waited >= patience:
                    return
            optimiser.zero_grad()
            (-(found.by_logit * logits).sum()).backward()  # type: ignore[no-untyped-call]
            optimiser.step()

    def _held_out(self, found: Slope) -> float:
        """Accuracy on the problems that each network has not seen, mean over costs between those of the constants."""
        shape = (len(self._held), self._weight.shape[1], -1)
        right, cost = (
            np.asarray(th.where(self._held, part, 0.0).reshape(shape).sum(dim=1).mean(dim=0), dtype=np.float64)
            for part in (found.worth.right, found.worth.cost)
        )
        (low, worst), (high, best) = self._ends
        order = np.argsort(cost)
        costs, rights = [low, *cost[order], high], [worst, *right[order], best]
        grid = np.linspace(low, high, 201)
        return float(np.interp(grid, costs, rights).mean())
