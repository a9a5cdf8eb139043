"""Rollout buffer that keeps costs beside rewards."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple

import numpy as np
import torch as th
from gymnasium import spaces
from numpy.typing import NDArray
from sb3_contrib.common.maskable.buffers import MaskableRolloutBuffer
from stable_baselines3.common.vec_env import VecNormalize

from gym_stepwise_routing.agents.common.advantage import generalised_advantages


class CostRolloutBufferSamples(NamedTuple):
    """A minibatch of B steps; every tensor but observations, actions and masks is float[B]."""

    observations: th.Tensor
    actions: th.Tensor
    old_values: th.Tensor
    old_log_prob: th.Tensor
    advantages: th.Tensor
    returns: th.Tensor
    old_cost_values: th.Tensor
    cost_advantages: th.Tensor
    cost_returns: th.Tensor
    action_masks: th.Tensor


class CostRolloutBuffer(MaskableRolloutBuffer):
    """Maskable rollout buffer that also stores costs, cost values, cost advantages and cost returns, float[T, N].

    Args:
        buffer_size: Steps per environment, T.
        observation_space: Observation space.
        action_space: Action space.
        device: PyTorch device of the samples.
        gae_lambda: Trace decay of the reward advantage, in [0, 1].
        gamma: Discount of the reward, in [0, 1].
        n_envs: Number of environments, N.
        cost_gae_lambda: Trace decay of the cost advantage, in [0, 1].
        cost_gamma: Discount of the cost, in [0, 1].
    """

    _FLATTENED = ("costs", "cost_values", "cost_advantages", "cost_returns")

    costs: NDArray[np.float32]
    cost_values: NDArray[np.float32]
    cost_advantages: NDArray[np.float32]
    cost_returns: NDArray[np.float32]

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        device: th.device | str = "auto",
        gae_lambda: float = 1.0,
        gamma: float = 0.99,
        n_envs: int = 1,
        cost_gae_lambda: float = 1.0,
        cost_gamma: float = 0.99,
    ) -> None:
        self.cost_gae_lambda = cost_gae_lambda
        self.cost_gamma = cost_gamma
        super().__init__(buffer_size, observation_space, action_space, device, gae_lambda, gamma, n_envs)

    def reset(self) -> None:
        """Forget everything stored."""
        for name in self._FLATTENED:
            setattr(self, name, np.zeros((self.buffer_size, self.n_envs), dtype=np.float32))
        super().reset()

    def add(  # type: ignore[override]
        self, *args: Any, costs: NDArray[np.float32], cost_values: th.Tensor, **kwargs: Any
    ) -> None:
        """Store one step of every environment.

        Args:
            args: What ``MaskableRolloutBuffer.add`` takes.
            costs: Costs of the step, float[N].
            cost_values: The cost critic's estimates before the step, float[N, 1].
            kwargs: What ``MaskableRolloutBuffer.add`` takes, ``action_masks`` among them.
        """
        self.costs[self.pos] = costs
        self.cost_values[self.pos] = cost_values.detach().cpu().numpy().flatten()
        super().add(*args, **kwargs)

    def compute_cost_returns_and_advantage(self, last_cost_values: th.Tensor, dones: NDArray[np.bool_]) -> None:
        """Fill cost advantages and returns; the arguments are those of ``compute_returns_and_advantage``."""
        self.cost_advantages = generalised_advantages(
            self.costs,
            self.cost_values,
            self.episode_starts,
            last_cost_values.detach().cpu().numpy().flatten(),
            dones,
            gamma=self.cost_gamma,
            gae_lambda=self.cost_gae_lambda,
        )
        self.cost_returns = self.cost_advantages + self.cost_values

    def get(self, batch_size: int | None = None) -> Generator[CostRolloutBufferSamples, None, None]:  # type: ignore[override]
        """Yield shuffled minibatches of ``batch_size`` steps; all steps at once when None."""
        if not self.generator_ready:
            for name in self._FLATTENED:
                setattr(self, name, self.swap_and_flatten(getattr(self, name)))
        yield from super().get(batch_size)  # type: ignore[misc]

    def _get_samples(self, batch_inds: NDArray[np.int64], env: VecNormalize | None = None) -> CostRolloutBufferSamples:  # type: ignore[override]
        common = super()._get_samples(batch_inds, env)
        return CostRolloutBufferSamples(
            **{name: value for name, value in common._asdict().items() if name != "action_masks"},
            old_cost_values=self.to_torch(self.cost_values[batch_inds].flatten()),
            cost_advantages=self.to_torch(self.cost_advantages[batch_inds].flatten()),
            cost_returns=self.to_torch(self.cost_returns[batch_inds].flatten()),
            action_masks=common.action_masks,
        )
