"""From scores to actions: the set C(o) = {a : pi(a|o) >= kappa} and the choice within it, hard and softened."""

from __future__ import annotations

from typing import Literal

import torch as th
from torch.nn import functional

Selection = Literal["largest", "uniform"]
SELECTIONS: tuple[Selection, ...] = ("largest", "uniform")
IMPOSSIBLE = -1e8


def soft_log_probabilities(
    scores: th.Tensor, allowed: th.Tensor, kappa: th.Tensor, *, softness: float, selection: Selection
) -> th.Tensor:
    """Return log-probabilities of the softened choice, differentiable in the scores.

    Action a is admitted with probability sigmoid((pi(a|o) - kappa) / softness). ``uniform`` shares the choice among
    actions in proportion to that; ``largest`` takes the largest admitted action, and the smallest allowed one where
    none is. Both tend to :func:`hard_choice` as ``softness`` tends to 0.

    Args:
        scores: The score policy pi, float[B, K].
        allowed: Action masks, bool[B, K], at least one True a row.
        kappa: The threshold, a scalar tensor.
        softness: Width of the sigmoid, > 0.
        selection: How an action is chosen from the set.

    Returns:
        Log-probabilities, float[B, K]; about ``IMPOSSIBLE`` where not allowed.
    """
    margins = (scores - kappa) / softness
    log_in = functional.logsigmoid(margins).masked_fill(~allowed, IMPOSSIBLE)
    if selection == "uniform":
        return functional.log_softmax(log_in, dim=1)
    log_out = functional.logsigmoid(-margins).masked_fill(~allowed, 0.0)
    smallest = functional.one_hot(allowed.int().argmax(dim=1), allowed.shape[1]).bool()
    # Sum of log_out over the actions larger than each one.
    larger_out = log_out.flip(1).cumsum(1).flip(1) - log_out
    return log_in.masked_fill(smallest, 0.0) + larger_out


def hard_choice(
    scores: th.Tensor, allowed: th.Tensor, kappa: th.Tensor, *, selection: Selection, deterministic: bool
) -> th.Tensor:
    """Return an action of C(o) for each observation, int64[B].

    ``largest``, and ``uniform`` if ``deterministic``, take the largest admitted action. Where none is admitted,
    ``largest`` takes the smallest allowed action and ``uniform`` the one with the highest score. The arguments are
    those of :func:`soft_log_probabilities`.
    """
    admitted = (scores >= kappa) & allowed
    preference = allowed.float() if selection == "largest" else scores.masked_fill(~allowed, -1.0)
    fallback = preference.argmax(dim=1)
    empty = ~admitted.any(dim=1)
    admitted[empty, fallback[empty]] = True
    if selection == "uniform" and not deterministic:
        return th.multinomial(admitted.float(), 1).squeeze(1)
    return admitted.shape[1] - 1 - admitted.flip(1).int().argmax(dim=1)
