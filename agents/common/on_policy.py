"""Rollouts with costs for Stable-Baselines3's on-policy algorithms: what the constrained agents share."""

from __future__ import annotations

import math
from collections import deque
from typing import Any, Literal, Self

import numpy as np
import torch as th
from gymnasium import spaces
from numpy.typing import NDArray
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.type_aliases import MaybeCallback
from stable_baselines3.common.utils import obs_as_tensor, safe_mean
from stable_baselines3.common.vec_env import VecEnv

from gym_stepwise_routing.agents.common.buffers import CostRolloutBuffer
from gym_stepwise_routing.agents.common.cost_signal import EpisodeTotals, step_costs
from gym_stepwise_routing.agents.common.policies import CostActorCriticPolicy
from gym_stepwise_routing.errors import check_choice

ConstraintKind = Literal["cost_limit", "accuracy_floor"]
CONSTRAINTS: tuple[ConstraintKind, ...] = ("cost_limit", "accuracy_floor")


class ConstrainedOnPolicyAlgorithm(OnPolicyAlgorithm):
    """Mixin that comes before an SB3 on-policy algorithm in a class's bases and gives it costs and a constraint.

    It collects costs beside rewards, bootstraps both critics where an episode is cut short, adds both up per episode
    and turns the episodes that finished in a rollout into the violation of the constraint.
    """

    policy: CostActorCriticPolicy  # type: ignore[assignment]
    rollout_buffer: CostRolloutBuffer

    constraint: ConstraintKind
    limit: float | None
    limit_anneal: float = 0.0
    _annealed_from: float | None = None
    cost_gamma: float
    cost_gae_lambda: float

    def _setup_model(self) -> None:
        check_choice("constraint", self.constraint, CONSTRAINTS)
        check_limit(self.constraint, self.limit)
        if not 0.0 <= self.limit_anneal <= 1.0:
            raise ValueError(f"limit_anneal={self.limit_anneal!r} must lie in [0, 1]")
        for name in ("gamma", "gae_lambda", "cost_gamma", "cost_gae_lambda"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name}={getattr(self, name)!r} must lie in [0, 1]")
        if isinstance(self.observation_space, spaces.Dict):
            raise ValueError(
                f"observation_space={self.observation_space!r} is not supported; flatten it into a Box first "
                "(gymnasium.wrappers.FlattenObservation)"
            )
        self.rollout_buffer_class = CostRolloutBuffer
        self.rollout_buffer_kwargs = {"cost_gamma": self.cost_gamma, "cost_gae_lambda": self.cost_gae_lambda}
        super()._setup_model()
        if not isinstance(self.policy, CostActorCriticPolicy):
            raise ValueError(f"policy={self.policy_class.__name__} must subclass CostActorCriticPolicy")
        self.use_masking = True

    def _excluded_save_params(self) -> list[str]:
        # Half-finished episodes belong to environments, which are not saved either.
        return [*super()._excluded_save_params(), "episode_totals"]

    def _setup_learn(self, total_timesteps: int, *args: Any, **kwargs: Any) -> tuple[int, BaseCallback]:
        reset_num_timesteps = args[1] if len(args) > 1 else kwargs.get("reset_num_timesteps", True)
        if reset_num_timesteps or self._last_obs is None:
            self.episode_totals = self._new_episode_totals()
            self.ep_cost_buffer: deque[float] = deque(maxlen=self._stats_window_size)
        return super()._setup_learn(total_timesteps, *args, **kwargs)

    def _new_episode_totals(self) -> EpisodeTotals:
        return EpisodeTotals(self.n_envs)

    def learn(  # type: ignore[override]
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 1,
        tb_log_name: str | None = None,
        reset_num_timesteps: bool = True,
        use_masking: bool = True,
        progress_bar: bool = False,
    ) -> Self:
        """Train for at least ``total_timesteps`` steps, counted over all environments.

        Args:
            total_timesteps: Environment steps to train on, >= 1.
            callback: Callback(s) called at every step.
            log_interval: Rollouts between two log records.
            tb_log_name: Name of the TensorBoard run; the class's name when None.
            reset_num_timesteps: Start counting (and the environments) afresh; False continues a run.
            use_masking: Take allowed actions from the environment's ``action_masks()``.
            progress_bar: Show a progress bar (needs tqdm and rich).

        Raises:
            ValueError: If ``use_masking`` is set and the environment has no ``action_masks()``, or an environment
                reports no ``info["cost"]``.
        """
        self.use_masking = use_masking
        OnPolicyAlgorithm.learn(
            self,
            total_timesteps,
            callback,
            log_interval,
            tb_log_name or type(self).__name__,
            reset_num_timesteps,
            progress_bar,
        )
        return self

    def collect_rollouts(
        self,
        env: VecEnv,
        callback: BaseCallback,
        rollout_buffer: RolloutBuffer,
        n_rollout_steps: int,
        use_masking: bool | None = None,
    ) -> bool:
        """Fill the buffer with ``n_rollout_steps`` steps of every environment; return False if a callback stopped it.

        ``use_masking`` overrides what ``learn`` was told; None keeps it.
        """
        masked = self.use_masking if use_masking is None else use_masking
        if not isinstance(rollout_buffer, CostRolloutBuffer):
            raise TypeError(f"rollout_buffer={type(rollout_buffer).__name__} must be a CostRolloutBuffer")
        if self._last_obs is None:
            raise RuntimeError("collect_rollouts needs the observation that learn() takes from the environment's reset")
        self.policy.set_training_mode(False)
        rollout_buffer.reset()
        callback.on_rollout_start()
        dones = np.zeros(env.num_envs, dtype=bool)

        for _ in range(n_rollout_steps):
            action_masks = allowed_actions(env) if masked else None
            with th.no_grad():
                observations = obs_as_tensor(self._last_obs, self.device)  # type: ignore[arg-type]
                actions, values, cost_values, log_probs = self.policy(observations, action_masks=action_masks)
            numpy_actions = actions.cpu().numpy()
            new_obs, rewards, dones, infos = env.step(numpy_actions)
            costs = step_costs(env, infos)
            self.num_timesteps += env.num_envs

            callback.update_locals(locals())
            if not callback.on_step():
                return False

            self._update_info_buffer(infos, dones)
            normaliser = self._vec_normalize_env
            raw_rewards = rewards if normaliser is None else normaliser.get_original_reward()
            self.ep_cost_buffer.extend(self.episode_totals.add(costs, raw_rewards, dones)[0].tolist())
            rewards, costs = self._bootstrap_truncated(rewards, costs, dones, infos)
            rollout_buffer.add(
                self._last_obs,
                numpy_actions,
                rewards,
                self._last_episode_starts,
                values,
                log_probs,
                action_masks=action_masks,
                costs=costs,
                cost_values=cost_values,
            )
            self._last_obs = new_obs  # type: ignore[assignment]
            self._last_episode_starts = dones

        with th.no_grad():
            last_values, last_cost_values = self.policy.predict_both_values(obs_as_tensor(self._last_obs, self.device))  # type: ignore[arg-type]
        self._finish_rollout(rollout_buffer, last_values, last_cost_values, dones)

        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def _bootstrap_truncated(
        self,
        rewards: NDArray[np.float32],
        costs: NDArray[np.float32],
        dones: NDArray[np.bool_],
        infos: list[dict[str, Any]],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Add both critics' value of the last observation where a time limit, not the task, ended the episode."""
        truncated = [index for index in np.flatnonzero(dones) if infos[index].get("TimeLimit.truncated", False)]
        if not truncated:
            return rewards, costs
        last_observations = np.stack([infos[index]["terminal_observation"] for index in truncated])
        with th.no_grad():
            values, cost_values = self.policy.predict_both_values(self.policy.obs_to_tensor(last_observations)[0])
        # The vectorised environment may own these arrays.
        rewards, costs = rewards.copy(), costs.copy()
        rewards[truncated] += self.gamma * values.cpu().numpy().flatten()
        costs[truncated] += self.cost_gamma * cost_values.cpu().numpy().flatten()
        return rewards, costs

    def _finish_rollout(
        self, buffer: CostRolloutBuffer, last_values: th.Tensor, last_cost_values: th.Tensor, dones: NDArray[np.bool_]
    ) -> None:
        """Fill the buffer with returns and advantages of reward and cost."""
        buffer.compute_returns_and_advantage(last_values=last_values, dones=dones)
        buffer.compute_cost_returns_and_advantage(last_cost_values=last_cost_values, dones=dones)

    @property
    def unlimited(self) -> bool:
        """Whether the limit is infinite, so that nothing is constrained."""
        return self.limit is not None and math.isinf(self.limit)

    def take_violation(self) -> float | None:
        """Return the mean violation of the constraint over the episodes that finished since the last call.

        Positive means violated. None when no episode finished, or when the limit is infinite: nothing is constrained.
        Logs ``train/limit``, the limit of the moment, which the violation is measured against.
        """
        costs, rewards = self.episode_totals.drain()
        if len(costs) == 0 or self.limit is None or self.unlimited:
            return None
        achieved = float((costs if self.constraint == "cost_limit" else rewards).mean())
        limit = self.limit_now(self.limit, start=max(achieved, self.limit))
        self.logger.record("train/limit", limit)
        return achieved - limit if self.constraint == "cost_limit" else limit - achieved

    def limit_now(self, limit: float, *, start: float) -> float:
        """The limit at this point of the training, from that of the first rollout to the one that was asked for.

        Started at a tight limit, a policy gives up the larger model before its critics know what that is worth, and
        where a late change of the model costs much it stays there.

        Args:
            limit: The limit that was asked for.
            start: Where to begin, used at the first call only.
        """
        if self._annealed_from is None:
            self._annealed_from = start
        if self.limit_anneal == 0.0:
            return limit
        done = min((1.0 - self._current_progress_remaining) / self.limit_anneal, 1.0)
        return limit + (max(self._annealed_from, limit) - limit) * (1.0 - done)

    def dump_logs(self, iteration: int = 0) -> None:
        """Write the log records, ``rollout/ep_cost`` among them."""
        if len(self.ep_cost_buffer):
            self.logger.record("rollout/ep_cost", safe_mean(self.ep_cost_buffer))
        super().dump_logs(iteration)

    def predict(
        self,
        observation: NDArray[Any] | dict[str, NDArray[Any]],
        state: tuple[NDArray[Any], ...] | None = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
        action_masks: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[Any], tuple[NDArray[Any], ...] | None]:
        """Choose actions with SB3's signature and, optionally, masks.

        Args:
            observation: Observations, float[B, ...] or a single one.
            state: Handed back unchanged.
            episode_start: Not used; the policy has no memory.
            deterministic: Take the most probable action. The optimum of a constrained problem is in general
                stochastic: its cost and accuracy hold for sampled actions only.
            action_masks: Allowed actions, bool[B, K]; all when None.

        Returns:
            Actions, int64[B] (a 0-d array for a single observation), and ``state``.
        """
        return self.policy.predict(observation, state, episode_start, deterministic, action_masks=action_masks)

    def scores(
        self, observation: NDArray[np.float32], action_masks: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float64]:
        """Return P(action > k) in column k, float[B, K - 1]; see :meth:`CostActorCriticPolicy.scores`."""
        return self.policy.scores(observation, action_masks)


def allowed_actions(env: VecEnv) -> NDArray[np.bool_]:
    """Return the environment's action masks, bool[n_envs, K].

    Raises:
        ValueError: If the environment has no ``action_masks()``.
    """
    vectorised = getattr(env, "action_masks", None)
    if vectorised is not None:
        return np.asarray(vectorised(), dtype=bool)
    if not is_masking_supported(env):
        raise ValueError(
            "use_masking=True needs an environment with action_masks() -> bool[K]; add it "
            "(sb3_contrib.common.wrappers.ActionMasker) or pass use_masking=False to learn()"
        )
    return np.asarray(get_action_masks(env), dtype=bool)


def check_limit(constraint: ConstraintKind, limit: float | None) -> None:
    """Raise ``ValueError`` unless ``limit`` is a cost >= 0 (or infinite), or an accuracy floor in [0, 1]."""
    if limit is None:
        raise ValueError(
            "limit=None: give the highest mean episode cost for constraint='cost_limit', "
            "or the lowest accuracy for constraint='accuracy_floor'"
        )
    if constraint == "cost_limit" and not limit >= 0.0:
        raise ValueError(f"limit={limit!r} must be a cost >= 0 (math.inf for no limit) with constraint='cost_limit'")
    if constraint == "accuracy_floor" and not 0.0 <= limit <= 1.0:
        raise ValueError(f"limit={limit!r} must be an accuracy in [0, 1] with constraint='accuracy_floor'")
