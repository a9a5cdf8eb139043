"""Actor-critic policy with a second value head for cost, action masks and routing scores."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch as th
from numpy.typing import NDArray
from sb3_contrib.common.maskable.distributions import MaskableCategorical, MaskableDistribution
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from torch import nn

from gym_stepwise_routing.routers.policy_network import tail_probabilities

Masks = NDArray[np.bool_] | th.Tensor


class CostActorCriticPolicy(MaskableActorCriticPolicy):
    """sb3-contrib's maskable actor-critic with a linear cost-value head beside the value head.

    Both heads read the critic's last layer (``net_arch["vf"]``), so a forward pass costs one row of weights more than
    PPO's. Arguments are those of ``MaskableActorCriticPolicy``; the action space must be ``Discrete``.
    """

    cost_value_net: nn.Linear

    def _build(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)
        self.cost_value_net = nn.Linear(self.mlp_extractor.latent_dim_vf, 1)
        if self.ortho_init:
            self.cost_value_net.apply(partial(self.init_weights, gain=1.0))
        # The parent's optimiser was built before this head existed.
        self.optimizer = self.optimizer_class(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)  # type: ignore[call-arg]

    def _latents(self, obs: PyTorchObs) -> tuple[th.Tensor, th.Tensor]:
        features = self.extract_features(obs)
        if isinstance(features, tuple):
            pi_features, vf_features = features
            return self.mlp_extractor.forward_actor(pi_features), self.mlp_extractor.forward_critic(vf_features)
        latent_pi, latent_vf = self.mlp_extractor(features)
        return latent_pi, latent_vf

    def _distribution(self, latent_pi: th.Tensor, action_masks: Masks | None) -> MaskableDistribution:
        distribution = self._get_action_dist_from_latent(latent_pi)
        if action_masks is not None:
            distribution.apply_masking(action_masks)
        return distribution

    def forward(  # type: ignore[override]
        self, obs: PyTorchObs, deterministic: bool = False, action_masks: Masks | None = None
    ) -> tuple[th.Tensor, th.Tensor, th.Tensor, th.Tensor]:
        """Act on a batch of observations.

        Args:
            obs: Observations, [B, ...].
            deterministic: Take the most probable action instead of sampling.
            action_masks: Allowed actions, bool[B, K]; all when None.

        Returns:
            Actions int64[B], values float[B, 1], cost values float[B, 1], log-probabilities float[B].
        """
        latent_pi, latent_vf = self._latents(obs)
        distribution = self._distribution(latent_pi, action_masks)
        actions = distribution.get_actions(deterministic=deterministic)
        return actions, self.value_net(latent_vf), self.cost_value_net(latent_vf), distribution.log_prob(actions)

    def evaluate_actions(  # type: ignore[override]
        self, obs: PyTorchObs, actions: th.Tensor, action_masks: Masks | None = None
    ) -> tuple[th.Tensor, th.Tensor, th.Tensor, th.Tensor]:
        """Return values and cost values, float[B, 1], log-probabilities of ``actions`` and entropy, float[B]."""
        return self.evaluate_with_barrier(obs, actions, action_masks)[:4]

    def evaluate_with_barrier(
        self, obs: PyTorchObs, actions: th.Tensor, action_masks: Masks | None = None
    ) -> tuple[th.Tensor, th.Tensor, th.Tensor, th.Tensor, th.Tensor]:
        """Return what :meth:`evaluate_actions` does and the mean log-probability of the allowed actions, float[B].

        Unlike the entropy's, the gradient of the latter does not vanish as a policy becomes deterministic: it is the
        barrier of Agarwal et al. 2021 (arXiv 1908.00261, section 5), with which a policy comes back from a corner.
        """
        latent_pi, latent_vf = self._latents(obs)
        distribution = self._distribution(latent_pi, action_masks)
        categorical = distribution.distribution
        entropy = distribution.entropy()
        if entropy is None or not isinstance(categorical, MaskableCategorical):
            raise TypeError(f"action_space={self.action_space!r} must be Discrete")
        logs = categorical.logits
        allowed = th.ones_like(logs, dtype=th.bool)
        if action_masks is not None:
            allowed = th.as_tensor(action_masks, device=logs.device).reshape(logs.shape) > 0
        barrier = logs.masked_fill(~allowed, 0.0).sum(dim=1) / allowed.sum(dim=1)
        values, cost_values = self.value_net(latent_vf), self.cost_value_net(latent_vf)
        return values, cost_values, distribution.log_prob(actions), entropy, barrier

    def predict_both_values(self, obs: PyTorchObs) -> tuple[th.Tensor, th.Tensor]:
        """Return values and cost values of a batch of observations, float[B, 1] each."""
        features = self.extract_features(obs)
        latent_vf = self.mlp_extractor.forward_critic(features[1] if isinstance(features, tuple) else features)
        return self.value_net(latent_vf), self.cost_value_net(latent_vf)

    def action_probabilities(
        self, observation: NDArray[np.float32], action_masks: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float64]:
        """Return the probability of each action, float[B, K], rows summing to 1; one observation counts as B = 1."""
        self.set_training_mode(False)
        tensor, _ = self.obs_to_tensor(observation)
        with th.no_grad():
            return np.asarray(self._categorical(tensor, action_masks).probs.cpu().numpy(), dtype=np.float64)

    def _categorical(self, obs: PyTorchObs, action_masks: Masks | None) -> MaskableCategorical:
        categorical = self.get_distribution(obs, action_masks).distribution  # type: ignore[arg-type]
        if not isinstance(categorical, MaskableCategorical):
            raise TypeError(f"action_space={self.action_space!r} must be Discrete")
        return categorical

    def scores(
        self, observation: NDArray[np.float32], action_masks: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float64]:
        """Return how much the policy wants a larger model: column k is P(action > k).

        Taking the number of columns with score >= t gives always-largest at t = 0 and always-smallest above t = 1.

        Args:
            observation: Observations, float[B, ...] or a single one.
            action_masks: Allowed actions, bool[B, K]; all when None.

        Returns:
            Scores in [0, 1], float[B, K - 1], not increasing along a row.
        """
        return tail_probabilities(self.action_probabilities(observation, action_masks))
