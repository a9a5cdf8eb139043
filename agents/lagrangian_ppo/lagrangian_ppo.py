"""Proximal policy optimisation under one constraint, with a Lagrange multiplier."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, ClassVar

import numpy as np
import torch as th
from sb3_contrib.ppo_mask import MaskablePPO
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, Schedule
from stable_baselines3.common.utils import explained_variance
from torch.nn import functional

from gym_stepwise_routing.agents.common.buffers import CostRolloutBuffer, CostRolloutBufferSamples
from gym_stepwise_routing.agents.common.lagrange import LagrangeMultiplier, MultiplierKind, make_multiplier
from gym_stepwise_routing.agents.common.on_policy import ConstrainedOnPolicyAlgorithm, ConstraintKind
from gym_stepwise_routing.agents.common.policies import CostActorCriticPolicy
from gym_stepwise_routing.agents.lagrangian_ppo.policies import MlpPolicy


class LagrangianPPO(ConstrainedOnPolicyAlgorithm, MaskablePPO):
    """PPO (clipped, with action masks) that meets a constraint on mean episode cost or on mean episode reward.

    The cost of a step is ``info["cost"]`` (or ``env.last_costs`` of a vectorised environment that has it). Per rollout,
    the episodes that finished in it give the violation v of the constraint, the multiplier lambda moves with v, and
    PPO ascends one advantage:

    - ``constraint="cost_limit"``: maximise reward subject to mean episode cost <= ``limit``;
      v = J_C - limit, advantage (A_r - lambda A_c) / (1 + lambda);
    - ``constraint="accuracy_floor"``: minimise cost subject to mean episode reward >= ``limit``;
      v = limit - J_R, advantage (lambda A_r - A_c) / (1 + lambda).

    Dividing by 1 + lambda keeps the step size when lambda grows (Stooke et al. 2020, arXiv 2007.03964). A rollout in
    which no episode finished leaves lambda alone. Besides PPO's records it logs ``rollout/ep_cost``,
    ``train/lagrange_multiplier``, ``train/lagrange_saturated`` (1 while lambda stands at its upper bound: the limit may
    be out of reach), ``train/limit`` (of the moment, see ``limit_anneal``), ``train/constraint_violation`` (of that
    limit), ``train/cost_value_loss`` and ``train/cost_explained_variance``.

    Args:
        policy: ``"MlpPolicy"`` or a subclass of :class:`CostActorCriticPolicy`.
        env: Environment, vectorised environment, or registered id; action space ``Discrete``.
        limit: Highest mean episode cost (>= 0; ``math.inf`` trains without a constraint), or lowest mean episode
            reward (in [0, 1]). An absolute number in the environment's units; has to be given.
        constraint: Which of the two is constrained.
        multiplier: ``"dual_ascent"`` (projected ascent) or ``"pid"`` (damps the oscillation of the former).
        multiplier_init: Multiplier at the start, in [0, ``multiplier_max``]. At 0 the objective alone rules the first
            updates, and a policy that has become deterministic by then comes back slowly.
        multiplier_max: Upper bound of the multiplier, > 0.
        multiplier_lr: Dual ascent's step per unit of violation, > 0.
        pid_gains: Proportional, integral and derivative gain, each >= 0. The paper's (0.1, 0.01, 0.01) suit violations
            of ten and more; the defaults suit costs and accuracies of about 1 an episode.
        pid_delay: Updates between the two violations of the derivative, >= 1.
        limit_anneal: Share of the training in [0, 1] over which the limit moves linearly to ``limit``: from the
            first rollout's mean cost (or accuracy) where that is above it. 0 asks for the limit at once, which
            collapses where the cheapest policy is a trap: a late call of a larger model has to read everything.
        barrier_coef: Weight of a log barrier against certainty, >= 0: the mean log-probability of the allowed actions
            is added to the objective, weighted by this times the progress remaining (so 0 in the end).
        learning_rate: Adam's step size, > 0, or a schedule of the progress remaining (1 to 0). A constant one keeps the
            last policy swinging about the limit; a decaying one lets it settle there.
        n_steps: Steps per environment and rollout, >= 1. Choose it with the number of environments so that a few
            hundred episodes finish in a rollout: they estimate the violation.
        batch_size: Minibatch size, >= 2; None takes the whole rollout.
        n_epochs: Passes over each rollout, >= 1.
        gamma: Discount of the reward, in [0, 1]; 1 because episodes are short and end by themselves.
        gae_lambda: Trace decay of the reward advantage, in [0, 1].
        cost_gamma: Discount of the cost, in [0, 1]; the constraint itself is on undiscounted episodes.
        cost_gae_lambda: Trace decay of the cost advantage, in [0, 1].
        clip_range: PPO's clipping of the probability ratio, > 0, or a schedule.
        clip_range_vf: Clipping of both critics' change, > 0, or a schedule; None for none.
        normalize_advantage: Scale the combined advantage to mean 0 and standard deviation 1 per minibatch.
        ent_coef: Weight of the entropy bonus, >= 0.
        vf_coef: Weight of the reward critic's loss, >= 0.
        cost_vf_coef: Weight of the cost critic's loss, >= 0.
        max_grad_norm: Norm the gradient is clipped to, > 0.
        target_kl: Stops an update's passes once the approximate KL divergence exceeds 1.5 times this; None for never.
        stats_window_size: Episodes averaged in the ``rollout/`` records, >= 1.
        tensorboard_log: TensorBoard folder; None for none.
        policy_kwargs: Keyword arguments of the policy, such as ``net_arch``.
        verbose: 0 silent, 1 information, 2 debugging.
        seed: Seed of networks, sampling and environments.
        device: PyTorch device; the networks are small, the CPU is fastest.
        _init_setup_model: Build networks and buffer at once; ``load`` does so later.

    Raises:
        ValueError: If an argument is out of its range, or the observation space is a ``Dict``.
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"MlpPolicy": MlpPolicy}
    policy: CostActorCriticPolicy
    rollout_buffer: CostRolloutBuffer

    def __init__(
        self,
        policy: str | type[CostActorCriticPolicy],
        env: GymEnv | str | None,
        *,
        limit: float | None = None,
        constraint: ConstraintKind = "cost_limit",
        multiplier: MultiplierKind = "pid",
        multiplier_init: float = 1.0,
        multiplier_max: float = 10.0,
        multiplier_lr: float = 0.05,
        pid_gains: tuple[float, float, float] = (2.0, 0.3, 0.5),
        pid_delay: int = 10,
        limit_anneal: float = 0.0,
        barrier_coef: float = 0.0,
        learning_rate: float | Schedule = 3e-3,
        n_steps: int = 16,
        batch_size: int | None = 512,
        n_epochs: int = 4,
        gamma: float = 1.0,
        gae_lambda: float = 0.95,
        cost_gamma: float = 1.0,
        cost_gae_lambda: float = 0.95,
        clip_range: float | Schedule = 0.2,
        clip_range_vf: float | Schedule | None = None,
        normalize_advantage: bool = True,
        ent_coef: float = 0.02,
        vf_coef: float = 0.5,
        cost_vf_coef: float = 0.5,
        max_grad_norm: float = 0.5,
        target_kl: float | None = None,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: th.device | str = "cpu",
        _init_setup_model: bool = True,
    ) -> None:
        self.constraint = constraint
        self.limit = limit
        self.cost_gamma = cost_gamma
        self.cost_gae_lambda = cost_gae_lambda
        self.cost_vf_coef = cost_vf_coef
        self.limit_anneal = limit_anneal
        if not barrier_coef >= 0.0:
            raise ValueError(f"barrier_coef={barrier_coef!r} must be >= 0")
        self.barrier_coef = barrier_coef
        self.lagrange: LagrangeMultiplier = make_multiplier(
            multiplier,
            initial=multiplier_init,
            maximum=multiplier_max,
            learning_rate=multiplier_lr,
            pid_gains=pid_gains,
            pid_delay=pid_delay,
        )
        super().__init__(
            policy,
            env,  # type: ignore[arg-type]
            learning_rate=learning_rate,
            n_steps=n_steps,
            batch_size=batch_size,
            n_epochs=n_epochs,
            gamma=gamma,
            gae_lambda=gae_lambda,
            clip_range=clip_range,
            clip_range_vf=clip_range_vf,
            normalize_advantage=normalize_advantage,
            ent_coef=ent_coef,
            vf_coef=vf_coef,
            max_grad_norm=max_grad_norm,
            target_kl=target_kl,
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            policy_kwargs=policy_kwargs,
            verbose=verbose,
            seed=seed,
            device=device,
            _init_setup_model=_init_setup_model,
        )

    @property
    def lagrange_multiplier(self) -> float:
        """The multiplier now, in [0, ``multiplier_max``]; 0 where the limit is infinite."""
        return 0.0 if self.unlimited else self.lagrange.value

    def combined_advantage(self, advantages: th.Tensor, cost_advantages: th.Tensor) -> th.Tensor:
        """Weigh reward and cost advantages, float[B] each, by the multiplier into the one PPO ascends, float[B]."""
        weight = self.lagrange_multiplier
        if self.constraint == "cost_limit":
            return (advantages - weight * cost_advantages) / (1.0 + weight)
        return (weight * advantages - cost_advantages) / (1.0 + weight)

    def train(self) -> None:
        """Move the multiplier by the rollout's violation, then update the policy and both critics on the rollout."""
        self._update_multiplier()
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        clip_range = self.clip_range(self._current_progress_remaining)  # type: ignore[operator]
        clip_range_vf = self.clip_range_vf and self.clip_range_vf(self._current_progress_remaining)  # type: ignore[operator]

        records: defaultdict[str, list[float]] = defaultdict(list)
        within_trust_region = True
        for _ in range(self.n_epochs):
            for samples in self.rollout_buffer.get(self.batch_size):
                loss, losses = self._loss(samples, clip_range, clip_range_vf)
                for name, value in losses.items():
                    records[name].append(value)
                if self.target_kl is not None and losses["approx_kl"] > 1.5 * self.target_kl:
                    within_trust_region = False
                    break
                self.policy.optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                th.nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
                self.policy.optimizer.step()
            self._n_updates += 1
            if not within_trust_region:
                break

        buffer = self.rollout_buffer
        for name, values in records.items():
            self.logger.record(f"train/{name}", np.mean(values))
        self.logger.record(
            "train/explained_variance", explained_variance(buffer.values.flatten(), buffer.returns.flatten())
        )
        self.logger.record(
            "train/cost_explained_variance",
            explained_variance(buffer.cost_values.flatten(), buffer.cost_returns.flatten()),
        )
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/clip_range", clip_range)
        if clip_range_vf is not None:
            self.logger.record("train/clip_range_vf", clip_range_vf)

    def _update_multiplier(self) -> None:
        violation = self.take_violation()
        if violation is not None:
            self.lagrange.update(violation)
            self.logger.record("train/constraint_violation", violation)
        self.logger.record("train/lagrange_multiplier", self.lagrange_multiplier)
        self.logger.record("train/lagrange_saturated", float(self.lagrange.saturated))

    def _loss(
        self, samples: CostRolloutBufferSamples, clip_range: float, clip_range_vf: float | None
    ) -> tuple[th.Tensor, dict[str, float]]:
        """Return the loss of one minibatch and what to log about it."""
        values, cost_values, log_prob, entropy, barrier = self.policy.evaluate_with_barrier(
            samples.observations, samples.actions.long().flatten(), action_masks=samples.action_masks
        )
        advantages = self.combined_advantage(samples.advantages, samples.cost_advantages)
        if self.normalize_advantage and len(advantages) > 1:
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)

        log_ratio = log_prob - samples.old_log_prob
        ratio = th.exp(log_ratio)
        clipped_ratio = th.clamp(ratio, 1.0 - clip_range, 1.0 + clip_range)
        policy_loss = -th.min(advantages * ratio, advantages * clipped_ratio).mean()
        value_loss = _critic_loss(values, samples.old_values, samples.returns, clip_range_vf)
        cost_value_loss = _critic_loss(cost_values, samples.old_cost_values, samples.cost_returns, clip_range_vf)
        entropy_loss = -entropy.mean()
        barrier_loss = -barrier.mean()
        loss = (
            policy_loss
            + self.ent_coef * entropy_loss
            + self.barrier_coef * self._current_progress_remaining * barrier_loss
            + self.vf_coef * value_loss
            + self.cost_vf_coef * cost_value_loss
        )
        with th.no_grad():
            # Schulman's estimator, http://joschu.net/blog/kl-approx.html
            approx_kl = (ratio - 1.0 - log_ratio).mean().item()
            clip_fraction = ((ratio - 1.0).abs() > clip_range).float().mean().item()
        return loss, {
            "policy_gradient_loss": policy_loss.item(),
            "value_loss": value_loss.item(),
            "cost_value_loss": cost_value_loss.item(),
            "entropy_loss": entropy_loss.item(),
            "barrier_loss": barrier_loss.item(),
            "approx_kl": approx_kl,
            "clip_fraction": clip_fraction,
            "loss": loss.item(),
        }


def _critic_loss(values: th.Tensor, old_values: th.Tensor, returns: th.Tensor, clip_range: float | None) -> th.Tensor:
    """Return the mean squared error of a critic whose change is clipped to ``clip_range`` unless that is None."""
    predicted = values.flatten()
    if clip_range is not None:
        predicted = old_values + th.clamp(predicted - old_values, -clip_range, clip_range)
    return functional.mse_loss(predicted, returns)
