"""Conformal constrained policy optimisation: a reconstruction."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import torch as th
from gymnasium import spaces
from numpy.typing import NDArray
from sb3_contrib.common.utils import conjugate_gradient_solver, flat_grad
from sb3_contrib.trpo import TRPO
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, Schedule
from stable_baselines3.common.utils import explained_variance
from torch.nn import functional

from gym_stepwise_routing.agents.ccpo.action_sets import Selection
from gym_stepwise_routing.agents.ccpo.conformal import OnlineThreshold, kappa_threshold
from gym_stepwise_routing.agents.ccpo.policies import MlpPolicy, ThresholdPolicy
from gym_stepwise_routing.agents.ccpo.surrogate import Surrogate, line_search
from gym_stepwise_routing.agents.ccpo.trust_region import solve_step
from gym_stepwise_routing.agents.ccpo.vtrace import vtrace
from gym_stepwise_routing.agents.common.buffers import CostRolloutBuffer, CostRolloutBufferSamples
from gym_stepwise_routing.agents.common.cost_signal import EpisodeTotals
from gym_stepwise_routing.agents.common.on_policy import ConstrainedOnPolicyAlgorithm, ConstraintKind


class CCPO(ConstrainedOnPolicyAlgorithm, TRPO):  # type: ignore[misc]
    """Trains a score policy and its threshold jointly under one constraint.

    A reconstruction after the abstract of arXiv 2605.06116 and the authors' earlier CCPO (arXiv 2511.11828), not a
    reproduction: state, network, action set and tables of the former are not public to us.

    Scores pi(a|o) and a threshold kappa define the threshold policy, which picks an action from
    C(o) = {a : pi(a|o) >= kappa}; S is its softened form (:mod:`.selection`). Per rollout,

    1. V-trace with ratio min(1, S / pi) estimates values and advantages of reward and cost under S;
    2. a constrained trust-region step (:mod:`.trust_region`) on S moves the scores;
    3. both critics regress on the V-trace targets;
    4. an online conformal step moves kappa: too many misses lower it (with a cost limit: too high a cost raises it).

    Without a finished episode in the rollout the violation is unknown, and neither scores nor kappa move.

    After training, :func:`.fit.fit_to_game` fixes kappa on held-out problems. Choices of ours where the sources leave
    room: a share of the environments samples pi, so that every action keeps being tried, and the rest sample S;
    violation and conformal step are taken per rollout, from the finished episodes of the latter;
    ``selection="largest"`` is offered because uniform choice from a larger set need not be more accurate in routing,
    while the largest admitted model makes kappa = 0 the always-largest router.

    **Not for tight cost limits where problems look alike.** One threshold is played and nothing is drawn, so that the
    mean cost moves in jumps, one for each group of states with the same score. Where every problem looks the same
    before the first step, as in the simulator's presets, that is one jump from next to nothing to half of the budget:
    below it the limit is kept by spending almost nothing. Take ``lagrangian_ppo`` or ``all_budgets``, which draw.

    Records: ``train/kappa``, ``train/limit``, ``train/constraint_violation`` and ``rollout/ep_cost`` (both of S),
    ``train/kl_divergence``, ``train/step_accepted``, ``train/recovery_step``, losses and explained variances of both
    critics. ``rollout/ep_rew_mean`` averages over S and pi.

    Args:
        policy: ``"MlpPolicy"`` or a subclass of :class:`ThresholdPolicy`.
        env: Environment, vectorised environment, or registered id; action space ``Discrete``.
        limit: Lowest mean episode reward (in [0, 1]) or highest mean episode cost (>= 0, ``math.inf`` for none).
        constraint: Which of the two is constrained; the other is optimised.
        selection: ``uniform`` among the admitted actions (as in CCPO) or the ``largest`` of them.
        softness: Width of the sigmoid in place of the indicator pi >= kappa, > 0.
        kappa_init: Threshold at the start; 1 / K when None. In [0, 1], or [0, 1 / K] with ``uniform``, so that C(o) is
            never empty.
        kappa_step_size: First conformal step per unit of violation, >= 0; 0 keeps kappa where it starts.
        kappa_decay: Exponent of the decay of that step, in (0.5, 1).
        explore: Share of the environments that sample the score policy pi, in [0, 1); the rest sample S.
        learning_rate: Adam's step size for the critics, > 0, or a schedule of the progress remaining (1 to 0).
        n_steps: Steps per environment and rollout, >= 1; with the number of environments a few hundred episodes.
        batch_size: Minibatch of the critics, >= 1.
        n_critic_updates: Passes of the critics over a rollout, >= 1.
        target_kl: Radius of the trust region, mean KL divergence of S, > 0.
        cg_max_steps: Iterations of the conjugate gradient method, >= 1.
        cg_damping: Multiple of the identity added to the Fisher matrix, >= 0.
        line_search_shrinking_factor: Factor between two trials of the line search, in (0, 1).
        line_search_max_iter: Trials of the line search, >= 1.
        gamma: Discount of the reward, in [0, 1].
        gae_lambda: Trace decay of the reward's V-trace, in [0, 1]; 1 is V-trace as published.
        cost_gamma: Discount of the cost, in [0, 1].
        cost_gae_lambda: Trace decay of the cost's V-trace, in [0, 1].
        normalize_advantage: Scale the objective's advantage to mean 0 and standard deviation 1.
        stats_window_size: Episodes averaged in the ``rollout/`` records, >= 1.
        tensorboard_log: TensorBoard folder; None for none.
        policy_kwargs: Further keyword arguments of the policy, such as ``net_arch``.
        verbose: 0 silent, 1 information, 2 debugging.
        seed: Seed of networks, sampling and environments.
        device: PyTorch device.
        _init_setup_model: Build networks and buffer at once; ``load`` does so later.

    Raises:
        ValueError: If an argument is out of its range, or the observation space is a ``Dict``.
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"MlpPolicy": MlpPolicy}
    policy: ThresholdPolicy  # type: ignore[assignment]
    rollout_buffer: CostRolloutBuffer
    threshold: OnlineThreshold

    def __init__(
        self,
        policy: str | type[ThresholdPolicy],
        env: GymEnv | str | None,
        *,
        limit: float | None = None,
        constraint: ConstraintKind = "accuracy_floor",
        selection: Selection = "uniform",
        softness: float = 0.01,
        kappa_init: float | None = None,
        kappa_step_size: float = 0.05,
        kappa_decay: float = 0.6,
        explore: float = 0.5,
        learning_rate: float | Schedule = 1e-3,
        n_steps: int = 16,
        batch_size: int = 128,
        n_critic_updates: int = 5,
        target_kl: float = 0.01,
        cg_max_steps: int = 10,
        cg_damping: float = 0.1,
        line_search_shrinking_factor: float = 0.7,
        line_search_max_iter: int = 10,
        gamma: float = 1.0,
        gae_lambda: float = 1.0,
        cost_gamma: float = 1.0,
        cost_gae_lambda: float = 1.0,
        normalize_advantage: bool = True,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: th.device | str = "cpu",
        _init_setup_model: bool = True,
    ) -> None:
        self.limit = limit
        self.constraint = constraint
        self.cost_gamma = cost_gamma
        self.cost_gae_lambda = cost_gae_lambda
        self.selection = selection
        self.softness = softness
        self.kappa_init = kappa_init
        self.kappa_step_size = kappa_step_size
        self.kappa_decay = kappa_decay
        self.explore = explore
        self._violation: float | None = None
        self._steps_per_episode = 1.0
        super().__init__(
            policy,  # type: ignore[arg-type]
            env,  # type: ignore[arg-type]
            learning_rate=learning_rate,
            n_steps=n_steps,
            batch_size=batch_size,
            gamma=gamma,
            cg_max_steps=cg_max_steps,
            cg_damping=cg_damping,
            line_search_shrinking_factor=line_search_shrinking_factor,
            line_search_max_iter=line_search_max_iter,
            n_critic_updates=n_critic_updates,
            gae_lambda=gae_lambda,
            normalize_advantage=normalize_advantage,
            target_kl=target_kl,
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            policy_kwargs=policy_kwargs,
            verbose=verbose,
            seed=seed,
            device=device,
            _init_setup_model=_init_setup_model,
        )

    def _setup_model(self) -> None:
        if not isinstance(self.action_space, spaces.Discrete):
            raise ValueError(f"action_space={self.action_space!r} must be Discrete")
        if "threshold" not in self.__dict__:  # a loaded agent brings its own
            uniform = 1.0 / float(self.action_space.n)
            self.threshold = kappa_threshold(
                uniform if self.kappa_init is None else self.kappa_init,
                uniform if self.selection == "uniform" else 1.0,
                step_size=self.kappa_step_size,
                decay=self.kappa_decay,
            )
        if not 0.0 <= self.explore < 1.0:
            raise ValueError(f"explore={self.explore!r} must lie in [0, 1)")
        self.policy_kwargs = {
            **self.policy_kwargs,
            "kappa": self.threshold.value,
            "softness": self.softness,
            "selection": self.selection,
        }
        super()._setup_model()
        self.policy.n_explorers = min(round(self.explore * self.n_envs), self.n_envs - 1)

    @property
    def kappa(self) -> float:
        """The threshold now."""
        return float(self.policy.kappa)

    def set_kappa(self, kappa: float) -> None:
        """Set the threshold, in [0, 1], or [0, 1 / K] with ``selection="uniform"``; training goes on from there."""
        if not 0.0 <= kappa <= self.threshold.maximum:
            raise ValueError(f"kappa={kappa!r} must lie in [0, {self.threshold.maximum:g}]")
        self.threshold.value = kappa
        self.policy.kappa.fill_(kappa)

    def _finish_rollout(
        self,
        buffer: CostRolloutBuffer,
        last_values: th.Tensor,
        last_cost_values: th.Tensor,
        dones: NDArray[np.bool_],
    ) -> None:
        """Fill the buffer with V-trace targets and advantages under S."""
        ratios = self._target_ratios(buffer)
        buffer.returns, buffer.advantages = vtrace(
            buffer.rewards,
            buffer.values,
            ratios,
            buffer.episode_starts,
            last_values.cpu().numpy().flatten(),
            dones,
            gamma=self.gamma,
            trace_decay=self.gae_lambda,
        )
        buffer.cost_returns, buffer.cost_advantages = vtrace(
            buffer.costs,
            buffer.cost_values,
            ratios,
            buffer.episode_starts,
            last_cost_values.cpu().numpy().flatten(),
            dones,
            gamma=self.cost_gamma,
            trace_decay=self.cost_gae_lambda,
        )
        self._steps_per_episode = buffer.episode_starts.size / max(buffer.episode_starts.sum(), 1.0)

    def _new_episode_totals(self) -> EpisodeTotals:
        return EpisodeTotals(self.n_envs, skip=self.policy.n_explorers)

    def _target_ratios(self, buffer: CostRolloutBuffer) -> NDArray[np.float32]:
        """Return the probability under S over that under the acting policy of the actions taken, float[T, N]."""
        shape = buffer.log_probs.shape
        observations = th.as_tensor(buffer.observations.reshape(-1, *buffer.obs_shape), device=self.device)
        actions = th.as_tensor(buffer.actions.reshape(-1, 1), device=self.device).long()
        masks = th.as_tensor(buffer.action_masks.reshape(-1, buffer.mask_dims), device=self.device)
        with th.no_grad():
            target = self.policy.target_log_probabilities(observations, masks).gather(1, actions)
        return np.asarray(np.exp(target.cpu().numpy().reshape(shape) - buffer.log_probs), dtype=np.float32)

    def train(self) -> None:
        """Take one constrained trust-region step, fit the critics and move kappa."""
        self._violation = self.take_violation()
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        if self._violation is not None or self.unlimited:
            self._update_scores(next(self.rollout_buffer.get(batch_size=None)))
        self._update_critics()
        if self._violation is not None:
            misses = self._violation if self.constraint == "accuracy_floor" else -self._violation
            self.set_kappa(self.threshold.update(misses))
            self.logger.record("train/constraint_violation", self._violation)
        self.logger.record("train/kappa", self.kappa)
        self._n_updates += 1
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")

    def _update_scores(self, samples: CostRolloutBufferSamples) -> None:
        """Move the score network by the constrained trust-region step on S, as far as the line search accepts it."""
        reward, cost = samples.advantages, samples.cost_advantages
        objective, constraint = (reward, cost) if self.constraint == "cost_limit" else (-cost, -reward)
        if self.normalize_advantage:
            objective = (objective - objective.mean()) / (objective.std() + 1e-8)
        surrogate = Surrogate(
            self.policy, samples, objective=objective, constraint=self._steps_per_episode * constraint
        )
        estimates = surrogate()
        parameters, gradient, grad_kl, _ = self._compute_actor_grad(estimates.divergence, estimates.objective)
        constraint_gradient = flat_grad(estimates.constraint, parameters, retain_graph=True)

        def fisher(vector: th.Tensor) -> th.Tensor:
            return self.hessian_vector_product(parameters, grad_kl, vector)

        along_objective = conjugate_gradient_solver(fisher, gradient, max_iter=self.cg_max_steps)
        along_constraint = conjugate_gradient_solver(fisher, constraint_gradient, max_iter=self.cg_max_steps)
        constrained = self._violation is not None
        violation = self._violation or 0.0
        step = solve_step(
            q=max(float(gradient @ along_objective), 0.0),
            r=float(gradient @ along_constraint),
            s=max(float(constraint_gradient @ along_constraint), 0.0) if constrained else 0.0,
            violation=violation,
            radius=self.target_kl,
        )
        divergence = line_search(
            surrogate,
            parameters,
            step.objective * along_objective - step.constraint * along_constraint,
            radius=self.target_kl,
            slack=max(-violation, 0.0) if constrained else math.inf,
            must_improve=violation <= 0.0,
            shrink=self.line_search_shrinking_factor,
            trials=self.line_search_max_iter,
        )
        self.logger.record("train/kl_divergence", divergence or 0.0)
        self.logger.record("train/step_accepted", float(divergence is not None))
        self.logger.record("train/recovery_step", float(step.kind == "recovery"))

    def _update_critics(self) -> None:
        """Regress both critics on the V-trace targets."""
        losses = []
        for _ in range(self.n_critic_updates):
            for samples in self.rollout_buffer.get(self.batch_size):
                values, cost_values = self.policy.predict_both_values(samples.observations)
                value_loss = functional.mse_loss(values.flatten(), samples.returns)
                cost_value_loss = functional.mse_loss(cost_values.flatten(), samples.cost_returns)
                self.policy.optimizer.zero_grad()
                (value_loss + cost_value_loss).backward()  # type: ignore[no-untyped-call]
                self.policy.optimizer.step()
                losses.append((value_loss.item(), cost_value_loss.item()))
        value_loss_mean, cost_value_loss_mean = np.mean(losses, axis=0)
        buffer = self.rollout_buffer
        self.logger.record("train/value_loss", value_loss_mean)
        self.logger.record("train/cost_value_loss", cost_value_loss_mean)
        self.logger.record(
            "train/explained_variance", explained_variance(buffer.values.flatten(), buffer.returns.flatten())
        )
        self.logger.record(
            "train/cost_explained_variance",
            explained_variance(buffer.cost_values.flatten(), buffer.cost_returns.flatten()),
        )
