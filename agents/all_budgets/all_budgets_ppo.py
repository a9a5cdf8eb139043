"""LagrangianPPO with a multiplier for every budget, so that one run gives the whole frontier."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
import torch as th
from numpy.typing import NDArray
from stable_baselines3.common.type_aliases import GymEnv
from stable_baselines3.common.vec_env import unwrap_vec_normalize

from gym_stepwise_routing.agents.all_budgets.lessons import Lessons, teach, watch
from gym_stepwise_routing.agents.common.lagrange import LagrangeMultiplier, MultiplierKind, make_multiplier
from gym_stepwise_routing.agents.lagrangian_ppo import LagrangianPPO
from gym_stepwise_routing.agents.lagrangian_ppo.policies import MlpPolicy
from gym_stepwise_routing.game.game import Game

__all__ = ["AllBudgetsPPO"]

Array = NDArray[np.float64]


class AllBudgetsPPO(LagrangianPPO):
    """PPO that meets ``E[cost | budget b] <= b`` for every budget b of a range at once.

    The environment draws a budget for each episode, ``StepwiseRouting-v0(budget=(low, high))``, and shows what is left
    of it. The multiplier is a function of the budget: linear between ``levels`` knots over the range, each moved by the
    mean violation of the episodes around it (weighted by their nearness). Advantages are combined step by step with
    the multiplier of the episode's budget, as in :class:`LagrangianPPO`. Afterwards any budget of the range may be
    shown; what is kept is the mean cost over problems, not the cost of each episode.

    Sources: budgets in the observation as in SeqRoute (arXiv 2605.25424), targets drawn in training and given at run
    time as in PROTEUS (arXiv 2601.19402); a multiplier for each target is what makes them constraints, not hints.

    Args:
        policy: ``"MlpPolicy"`` or a subclass of ``CostActorCriticPolicy``.
        env: a :class:`gym_stepwise_routing.envs.sb3.RoutingVecEnv` with ``budget=(low, high)`` and block ``ledger``.
        levels: number of knots of the multiplier, >= 2.
        multiplier: ``dual_ascent`` or ``pid``, for every knot.
        multiplier_init: every knot's value at the start.
        multiplier_max: upper bound of the multiplier, > 0.
        multiplier_lr: step of the dual ascent.
        pid_gains: gains of the PID control.
        pid_delay: updates between the two violations of its derivative.
        lessons: before the first rollout the planner teaches the policy (:mod:`.lessons`): the fields of
            :class:`.lessons.Lessons`; SIMULATED sources only. None: it learns by itself.
        **kwargs: further arguments of :class:`LagrangianPPO`, except ``limit`` and ``constraint``.

    Raises:
        ValueError: an argument out of range, or an environment that draws or shows no budgets.
    """

    def __init__(
        self,
        policy: str | type[MlpPolicy],
        env: GymEnv | str | None,
        *,
        levels: int = 5,
        multiplier: MultiplierKind = "pid",
        multiplier_init: float = 1.0,
        multiplier_max: float = 10.0,
        multiplier_lr: float = 0.05,
        pid_gains: tuple[float, float, float] = (2.0, 0.3, 0.5),
        pid_delay: int = 10,
        lessons: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if levels < 2:
            raise ValueError(f"levels={levels!r}; allowed: an integer >= 2")
        self.lessons = None if lessons is None else Lessons(**lessons)
        self.taught = False
        for name in ("limit", "constraint"):
            if kwargs.get(name) not in (None, math.inf, "cost_limit"):
                raise ValueError(f"{name}={kwargs[name]!r}; the limits are the budgets that the environment draws")
        self.multipliers: list[LagrangeMultiplier] = [
            make_multiplier(
                multiplier,
                initial=multiplier_init,
                maximum=multiplier_max,
                learning_rate=multiplier_lr,
                pid_gains=pid_gains,
                pid_delay=pid_delay,
            )
            for _ in range(levels)
        ]
        self._finished: list[tuple[float, float]] = []
        # The parent's own constraint is switched off: an infinite limit is never violated.
        super().__init__(policy, env, **{**kwargs, "limit": math.inf, "constraint": "cost_limit"})

    def _setup_model(self) -> None:
        super()._setup_model()
        if self.env is not None:
            self.knots, self._columns = _budgets_of(self.env, len(self.multipliers))

    def learn(self, total_timesteps: int, *args: Any, **kwargs: Any) -> Self:
        """Take the lessons, if there are any and they have not been taken, then see :class:`LagrangianPPO`."""
        if self.lessons is not None and not self.taught:
            game: Game = self.get_env().get_attr("game")[0]  # type: ignore[union-attr]
            seed = self.seed or 0
            teach(self.policy, watch(game, self.lessons, seed), self.lessons, seed)
            self.taught = True
        return super().learn(total_timesteps, *args, **kwargs)

    def multiplier_at(self, budgets: NDArray[np.floating[Any]]) -> Array:
        """The multiplier of each budget, same shape; constant outside the range."""
        values = [multiplier.value for multiplier in self.multipliers]
        return np.asarray(np.interp(budgets, self.knots, values), dtype=np.float64)

    def combined_advantage(self, advantages: th.Tensor, cost_advantages: th.Tensor) -> th.Tensor:
        """The reward advantages, with which :meth:`train` has combined those of the cost already."""
        return advantages

    def train(self) -> None:
        """Move the multipliers, combine the advantages by each step's budget, then update as LagrangianPPO does."""
        self._move_multipliers()
        buffer = self.rollout_buffer
        left, spent = (buffer.observations[..., column] for column in self._columns)
        weight = self.multiplier_at(left + spent).astype(np.float32)
        buffer.advantages = (buffer.advantages - weight * buffer.cost_advantages) / (1.0 + weight)
        super().train()

    def _update_multiplier(self) -> None:
        """Nothing: the multipliers of the knots have moved, and are logged one by one."""

    def _update_info_buffer(self, infos: list[dict[str, Any]], dones: NDArray[np.bool_] | None = None) -> None:
        super()._update_info_buffer(infos, dones)
        left, spent = self._columns
        for info in infos:
            if "episode" in info:
                last = info["terminal_observation"]
                self._finished.append((float(last[left] + last[spent]), float(last[spent])))

    def _move_multipliers(self) -> None:
        if not self._finished:
            return
        budgets, costs = np.array(self._finished).T
        self._finished = []
        nearness = _hats(budgets, self.knots)
        total = nearness.sum(axis=0)
        # Every limit moves from the cost of the first rollout to its budget, as LagrangianPPO's.
        easier = self.limit_now(0.0, start=float(costs.mean())) / max(self._annealed_from or 0.0, 1e-9)
        limits = budgets + np.maximum((self._annealed_from or 0.0) - budgets, 0.0) * easier
        violations = (nearness * (costs - limits)[:, None]).sum(axis=0) / np.maximum(total, 1e-9)
        for multiplier, violation, weight in zip(self.multipliers, violations, total, strict=True):
            if weight > 0:
                multiplier.update(float(violation))
        for i, (multiplier, violation) in enumerate(zip(self.multipliers, violations, strict=True)):
            self.logger.record(f"train/lagrange_multiplier_{i}", multiplier.value)
            self.logger.record(f"train/constraint_violation_{i}", float(violation))


def _hats(budgets: Array, knots: Array) -> Array:
    """Nearness of each budget to each knot, ``[M, levels]``, rows sum to 1: the hat functions of interpolation."""
    return np.stack([np.interp(budgets, knots, row) for row in np.eye(len(knots))], axis=1)


def _budgets_of(env: Any, levels: int) -> tuple[Array, tuple[int, int]]:
    """Knots over the range of budgets, and the columns that show what is left of the budget and what was spent."""
    try:
        game = env.get_attr("game")[0]
    except AttributeError:
        raise ValueError(f"env={env!r} plays no routing game; allowed: a RoutingVecEnv") from None
    names = game.spec.feature_names
    if not isinstance(game.budget, tuple) or game.budget[0] == game.budget[1]:
        raise ValueError(f"env with budget={game.budget!r}; allowed: a range (low, high), low < high")
    if unwrap_vec_normalize(env) is not None:
        raise ValueError(f"env={env!r} scales observations or rewards, budgets among them; allowed: no VecNormalize")
    if game.budget_columns is None:
        raise ValueError(f"env with observation={game.rules.blocks!r}; allowed: one with the block 'ledger'")
    low, high = game.budget
    return np.linspace(low, high, levels), (game.budget_columns[0], names.index("spent"))
