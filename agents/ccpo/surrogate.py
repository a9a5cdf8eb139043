"""What a trust-region step on the threshold policy is judged by, and the search along it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch as th
from torch import nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from gym_stepwise_routing.agents.ccpo.policies import ThresholdPolicy
from gym_stepwise_routing.agents.common.buffers import CostRolloutBufferSamples


@dataclass(frozen=True)
class Estimates:
    """Estimates at the policy's current parameters, scalars that carry gradients.

    Attributes:
        objective: Surrogate of the objective; only its changes mean something.
        constraint: Surrogate of the constraint, in its units an episode; only its changes mean something.
        divergence: Mean KL divergence of S from what it was when the :class:`Surrogate` was built.
    """

    objective: th.Tensor
    constraint: th.Tensor
    divergence: th.Tensor


class Surrogate:
    """Importance-weighted estimates of objective and constraint of the threshold policy S on one rollout.

    The weight of a step is S / max(S_old, acting), which is V-trace's min(1, S_old / acting) at the old parameters,
    normalised by its mean there.

    Args:
        policy: The policy; its parameters at this moment are the old ones.
        samples: The whole rollout, B steps.
        objective: Advantage to raise, float[B].
        constraint: Advantage to keep down, float[B], times the mean number of steps an episode.
    """

    def __init__(
        self,
        policy: ThresholdPolicy,
        samples: CostRolloutBufferSamples,
        *,
        objective: th.Tensor,
        constraint: th.Tensor,
    ) -> None:
        self._policy, self._samples = policy, samples
        self._objective, self._constraint = objective, constraint
        self._actions = samples.actions.long().reshape(-1, 1)
        with th.no_grad():
            self._old = policy.target_log_probabilities(samples.observations, samples.action_masks)
            taken = self._old.gather(1, self._actions).squeeze(1)
            self._larger = th.maximum(taken, samples.old_log_prob)
            self._mean_weight = th.exp(taken - self._larger).mean()

    def __call__(self) -> Estimates:
        """Return the estimates at the policy's current parameters."""
        log_target = self._policy.target_log_probabilities(self._samples.observations, self._samples.action_masks)
        weights = th.exp(log_target.gather(1, self._actions).squeeze(1) - self._larger) / self._mean_weight
        return Estimates(
            objective=(weights * self._objective).mean(),
            constraint=(weights * self._constraint).mean(),
            divergence=(self._old.exp() * (self._old - log_target)).sum(dim=1).mean(),
        )


@th.no_grad()
def line_search(
    surrogate: Surrogate,
    parameters: Sequence[nn.Parameter],
    direction: th.Tensor,
    *,
    radius: float,
    slack: float,
    must_improve: bool,
    shrink: float,
    trials: int,
) -> float | None:
    """Move the parameters along a direction, shrinking the step until it is acceptable; leave them if none is.

    Args:
        surrogate: Judges the parameters; they are at its old ones.
        parameters: What moves.
        direction: The full step, flattened.
        radius: Largest divergence.
        slack: Largest rise of the constraint, >= 0.
        must_improve: Whether the objective has to rise.
        shrink: Factor between two trials, in (0, 1).
        trials: Number of trials.

    Returns:
        The divergence of the accepted step, or None.
    """
    old = surrogate()
    start = parameters_to_vector(parameters).clone()
    for trial in range(trials):
        vector_to_parameters(start + shrink**trial * direction, parameters)
        new = surrogate()
        if (
            new.divergence <= radius
            and new.constraint - old.constraint <= slack
            and (not must_improve or new.objective > old.objective)
        ):
            return float(new.divergence)
    vector_to_parameters(start, parameters)
    return None
