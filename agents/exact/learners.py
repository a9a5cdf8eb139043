"""What is learned: linear logits by natural gradients, or small networks by AdamW; one policy a fold, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch as th

from gym_stepwise_routing.agents.exact.all_tilts import Slope

__all__ = ["Candidate", "Layers", "Learner", "Linear", "Networks", "learner", "natural_step"]

_NETWORK_STEPS = 5
"""Steps of AdamW from one look at the held-out folds to the next."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is tried.

    Attributes:
        width: hidden units of a network, >= 1, or 0: logits linear in the inputs.
        decay: of the weights, in natural gradient steps > 0; AdamW's of networks, >= 0.
        rate: length of a natural gradient step, or AdamW's learning rate, > 0.

    Raises:
        ValueError: a number out of range.
    """

    width: int
    decay: float
    rate: float

    def __post_init__(self) -> None:
        if not isinstance(self.width, int) or self.width < 0:
            raise ValueError(f"candidates: width={self.width!r}; allowed: an integer >= 0")
        for name in ("decay", "rate"):
            value = getattr(self, name)
            if not (0 < value < float("inf") or (value == 0 and name == "decay" and self.width)):
                raise ValueError(f"candidates: {name}={value!r}; allowed: a finite number > 0")


class Layers(NamedTuple):
    """One policy: ``hidden`` and ``bias`` of its tanh units (None: it has none), and the weights of its logits.

    Attributes:
        hidden: ``float[units, features]``.
        bias: ``float[units]``.
        output: ``float[K, units or features]``, the first row 0.
        offset: ``float[K]`` added to the logits, the first 0; None: nothing is.
    """

    hidden: th.Tensor | None
    bias: th.Tensor | None
    output: th.Tensor
    offset: th.Tensor | None = None


class Learner(Protocol):
    """``N`` policies that learn side by side."""

    every: int
    """Steps from one look at the held-out folds to the next."""

    def logits(self) -> th.Tensor:
        """``float[N, K, n]``, those of the smallest model 0."""
        ...

    def step(self, found: Sequence[Slope]) -> None:
        """One step of every policy along its slope at the logits that were asked for last."""
        ...

    def together(self) -> Layers:
        """The mean of the policies' logits as one policy."""
        ...


def learner(candidate: Candidate, inputs: th.Tensor, policies: int, models: int, seed: int) -> Learner:
    """``policies`` beginners that see ``inputs``, ``float[n, features]``, and choose among ``models``."""
    kind = Networks if candidate.width else Linear
    return kind(candidate, inputs, policies, models, seed)


class Linear:
    """Logits linear in the inputs; they begin at 0."""

    every = 1

    def __init__(self, candidate: Candidate, inputs: th.Tensor, policies: int, models: int, seed: int) -> None:
        self._candidate, self._inputs = candidate, inputs
        self.weight = inputs.new_zeros(policies, models - 1, inputs.shape[1])

    def logits(self) -> th.Tensor:
        """See :class:`Learner`."""
        return _with_smallest(self.weight @ self._inputs.T)

    def step(self, found: Sequence[Slope]) -> None:
        """See :class:`Learner`."""
        rate, decay = self._candidate.rate, self._candidate.decay
        for i, there in enumerate(found):
            self.weight[i] = natural_step(self._inputs, there, self.weight[i], rate, decay)

    def together(self) -> Layers:
        """See :class:`Learner`."""
        return Layers(None, None, _with_smallest(self.weight.mean(dim=0, keepdim=True))[0])


class Networks:
    """Networks with one layer of tanh units; the output layer begins near 0: the first policies are constant.

    Their gradients are two matrix products, written out: one policy after the other, so that its units stay in the
    cache.
    """

    every = _NETWORK_STEPS

    def __init__(self, candidate: Candidate, inputs: th.Tensor, policies: int, models: int, seed: int) -> None:
        generator = th.Generator().manual_seed(seed)
        features, width = inputs.shape[1], candidate.width

        def normal(*shape: int, scale: float) -> th.Tensor:
            return (th.randn(shape, generator=generator) * scale).to(inputs.dtype)

        self._inputs, self._seen = inputs, inputs.T.contiguous()
        self.hidden = normal(policies, width, features, scale=features**-0.5)
        self.bias = inputs.new_zeros(policies, width, 1)
        self.output = normal(policies, models - 1, width, scale=0.1 * width**-0.5)
        self._weights = [self.hidden, self.bias, self.output]
        self._units: list[th.Tensor] = []
        self._optimiser = th.optim.AdamW(
            self._weights, lr=candidate.rate, weight_decay=candidate.decay, betas=(0.9, 0.99)
        )

    def logits(self) -> th.Tensor:
        """See :class:`Learner`."""
        layers = zip(self.hidden, self.bias, strict=True)
        self._units = [th.addmm(bias, hidden, self._seen).tanh_() for hidden, bias in layers]
        larger = [output @ units for output, units in zip(self.output, self._units, strict=True)]
        return _with_smallest(th.stack(larger))

    def step(self, found: Sequence[Slope]) -> None:
        """See :class:`Learner`; the slopes are those at the logits that were asked for last."""
        self.climb([there.by_logit for there in found])

    def climb(self, by_logit: Sequence[th.Tensor]) -> None:
        """One step of AdamW that raises whatever has these derivatives, ``float[K, n]`` a policy, by its logits."""
        for weight in self._weights:
            weight.grad = th.empty_like(weight)
        hidden, bias, output = (weight.grad for weight in self._weights)
        assert hidden is not None
        assert bias is not None
        assert output is not None
        for i, (slopes, units) in enumerate(zip(by_logit, self._units, strict=True)):
            gain = -slopes[1:]
            output[i] = gain @ units.T
            before = (self.output[i].T @ gain).mul_(units.square_().neg_().add_(1.0))
            hidden[i] = before @ self._inputs
            bias[i, :, 0] = before.sum(dim=1)
        self._optimiser.step()

    def together(self) -> Layers:
        """See :class:`Learner`."""
        policies, width, features = self.hidden.shape
        output = self.output.permute(1, 0, 2).reshape(1, -1, policies * width) / policies
        hidden = self.hidden.reshape(policies * width, features).clone()
        return Layers(hidden, self.bias.reshape(-1).clone(), _with_smallest(output)[0])


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
    after: th.Tensor = weight + th.linalg.solve(curvature, push).reshape(weight.shape)
    return after


def _with_smallest(larger: th.Tensor) -> th.Tensor:
    """Logits, or their weights, ``[N, K-1, ...]`` of the larger models with zeros for the smallest."""
    return th.cat([th.zeros_like(larger[:, :1]), larger], dim=1)
