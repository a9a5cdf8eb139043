"""``StepwiseRouting-v0`` on arrays: many episodes of the same game side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from gym_stepwise_routing.envs.stepwise_routing import (
    OR_PROJECT,
    Info,
    check_options,
    environment_game,
    observation_space,
)
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.game.config import DEFAULT_BANK, GameArguments, check_budget, draw_budgets
from gym_stepwise_routing.game.episodes import Standing, ending, positions, project_actions, truncation_numbers
from gym_stepwise_routing.types import SOURCES

__all__ = ["StepwiseRoutingVectorEnv"]


class StepwiseRoutingVectorEnv(VectorEnv[NDArray[np.float32], NDArray[np.int64], NDArray[Any]]):
    """``num_envs`` episodes of the same game on arrays; rules, arguments and observations as in the scalar environment.

    Infos are the scalar environment's, as arrays with one row an episode; beside each ``NAME`` stands Gymnasium's mask
    ``_NAME``, here True for all. ``reset(options=...)`` takes ``problems`` and
    ``budgets``, one an episode.

    Args:
        num_envs: number of episodes played side by side.
        autoreset_mode: ``NEXT_STEP`` (Gymnasium's default: the step after the last one resets and ignores its action)
            or ``SAME_STEP`` (the last step resets; ``info["final_obs"]`` holds the last observations of all episodes
            that ended, and ``info["final_info"]`` their infos; ``cost`` and ``raw_cost`` stay those of the step); or
            their values, ``"NextStep"`` and ``"SameStep"``.
        max_episode_steps: an episode of so many steps is truncated, as Gymnasium's ``TimeLimit`` truncates the scalar
            environment: from outside, so that its info says nothing of it. None: no limit but the horizon.
        source: and all further arguments, see :class:`StepwiseRoutingEnv`.
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(
        self,
        num_envs: int = 1,
        source: object = DEFAULT_BANK,
        *,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        **game: Unpack[GameArguments],
    ) -> None:
        check_choice("render_mode", render_mode, [None])
        modes = {mode.value: mode for mode in (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP)}
        given = getattr(autoreset_mode, "value", autoreset_mode)
        check_choice("autoreset_mode", given, modes)
        _check_count("num_envs", num_envs)
        if max_episode_steps is not None:
            _check_count("max_episode_steps", max_episode_steps)
        self.game = environment_game(source, game)
        self.routing_spec = self.game.spec
        self.num_envs = int(num_envs)
        self.autoreset_mode = modes[given]  # where TorchRL looks, as SyncVectorEnv has it
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self.render_mode = render_mode
        self.single_action_space = spaces.Discrete(len(self.routing_spec.models))
        self.single_observation_space = observation_space(self.routing_spec)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._same_step = self.autoreset_mode == AutoresetMode.SAME_STEP
        self._limit = max_episode_steps
        self._elapsed = np.zeros(num_envs, dtype=np.int64)
        self._positions = positions(self.game, num_envs)
        self._standing: Standing | None = None
        self._ended = np.zeros(num_envs, dtype=np.bool_)
        self._budgets = np.full(num_envs, np.inf)
        self._problems = np.zeros(num_envs, dtype=np.int64)
        self._everyone = np.arange(num_envs)
        self._source = np.full(num_envs, SOURCES.index(self.game.source.kind), dtype=np.uint8)
        self._simulated = np.full(num_envs, self.game.source.simulated, dtype=np.uint8)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the observation's components, in order."""
        return self.routing_spec.feature_names

    def action_masks(self) -> NDArray[np.bool_]:
        """Allowed actions, ``bool[num_envs, K]``; all True for an ended episode, whose next action is ignored."""
        masks: NDArray[np.bool_] = self._stands().mask | self._ended[:, None]
        return masks

    @property
    def failed_reason(self) -> tuple[str, ...]:
        """Which live model did not deliver in the last step of each episode, and why; see the scalar environment."""
        return tuple(map(str, self._stands().reason))

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[NDArray[np.float32], Info]:
        """Start every episode; see :meth:`StepwiseRoutingEnv.reset`. Options: ``problems`` and ``budgets``."""
        super().reset(seed=seed)
        chosen = check_options(options, ("problems", "budgets"))
        for key, values in chosen.items():
            array = isinstance(values, np.ndarray) and values.ndim == 1
            if not array and (isinstance(values, str) or not isinstance(values, Sequence)):
                raise ValueError(
                    f"reset option {key}={values!r}; allowed: a sequence of {self.num_envs}, one an episode"
                )
            if len(values) != self.num_envs:
                raise ValueError(f"reset option {key!r} has {len(values)} entries; allowed: {self.num_envs}")
        problems = [self.game.position_of(problem) for problem in chosen["problems"]] if "problems" in chosen else None
        budgets = [check_budget(budget) for budget in chosen["budgets"]] if "budgets" in chosen else None
        self._begin(
            self._everyone,
            None if problems is None else np.array(problems),
            None if budgets is None else np.concatenate([draw_budgets(b, 1, self.np_random) for b in budgets]),
        )
        stands = self._standing = self._positions.standing()
        self._ended = np.zeros(self.num_envs, dtype=np.bool_)
        nothing = np.zeros(self.num_envs)
        return self._observation(stands), self._info(stands, nothing, nothing)

    def step(
        self, actions: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], Info]:
        """One decision in every episode; see :meth:`StepwiseRoutingEnv.step`."""
        before = self._stands()
        resets = np.flatnonzero(self._ended)
        models = self._allowed(np.asarray(actions), before)
        self._positions.move(models, self.np_random, self._ended)
        before_cost, before_raw_cost = before.cost, before.raw_cost
        if len(resets):
            self._begin(resets)
        stands = self._positions.standing()
        if len(resets):
            before_cost, before_raw_cost = before_cost.copy(), before_raw_cost.copy()
            before_cost[resets], before_raw_cost[resets] = stands.cost[resets], stands.raw_cost[resets]
        end = ending(stands, self._budgets, self.game.hard_budget)
        ended, truncated = end.ended, end.truncated
        reward = end.right.astype(np.float64)
        info = self._info(stands, stands.cost - before_cost, stands.raw_cost - before_raw_cost)
        info["bankrupt"] = (end.over & ended).astype(np.uint8)
        if end.truncated.any():
            info["truncated_by"] = truncation_numbers(stands, end, self.game.hard_budget)
        if self._limit is not None:
            self._elapsed += 1
            self._elapsed[resets] = 0
            truncated = truncated | (self._elapsed >= self._limit)
            ended = ended | truncated
        observation = self._observation(stands)
        self._standing = stands
        self._ended = ended
        if self._same_step and ended.any():
            observation, info = self._restart(np.flatnonzero(ended), observation, info)
        return observation, reward, end.terminated, truncated, info

    def _restart(
        self, rows: NDArray[np.int64], observation: NDArray[np.float32], info: Info
    ) -> tuple[NDArray[np.float32], Info]:
        """SAME_STEP: begin the ended episodes anew and keep how they ended."""
        final = {"final_obs": observation, "final_info": info, "_final_obs": self._ended, "_final_info": self._ended}
        self._begin(rows)
        stands = self._standing = self._positions.standing()
        self._ended = np.zeros(self.num_envs, dtype=np.bool_)
        return self._observation(stands), info | self._info(stands, info["cost"], info["raw_cost"]) | final

    def _begin(
        self,
        rows: NDArray[np.int64],
        problems: NDArray[np.int64] | None = None,
        budgets: NDArray[np.float64] | None = None,
    ) -> None:
        if problems is None:
            problems = self.np_random.integers(len(self.game.problems), size=len(rows))
        self._problems[rows] = problems
        self._elapsed[rows] = 0
        self._budgets[rows] = draw_budgets(self.game.budget, len(rows), self.np_random) if budgets is None else budgets
        self._positions.begin(rows, problems, self.np_random)

    def _stands(self) -> Standing:
        if self._standing is None:
            raise ResetNeeded("no episode was started; allowed: reset() first")
        return self._standing

    def _allowed(self, actions: NDArray[np.int64], stands: Standing) -> NDArray[np.int64]:
        masks, models = stands.mask, stands.mask.shape[1]
        if actions.shape != (self.num_envs,) or not np.issubdtype(actions.dtype, np.integer):
            given = f"actions of shape {actions.shape} and type {actions.dtype}"
            raise ValueError(f"{given}; allowed: integers of shape ({self.num_envs},)")
        if actions.min() < 0 or actions.max() >= models:
            row = int(np.flatnonzero((actions < 0) | (actions >= models))[0])
            raise ValueError(f"action={actions[row]} of episode {row}; allowed: an integer from 0 to {models - 1}")
        allowed = masks.ravel().take(self._everyone * models + actions) | stands.stuck | self._ended
        if allowed.all():
            return actions
        if self.game.masked_action == "project":
            return np.where(allowed, actions, project_actions(actions, masks))
        row = int(np.flatnonzero(~allowed)[0])
        raise ValueError(
            f"action={actions[row]} of episode {row} is masked here; allowed: {np.flatnonzero(masks[row]).tolist()}"
            f"{OR_PROJECT}"
        )

    def _observation(self, stands: Standing) -> NDArray[np.float32]:
        return self.game.show_budget(stands.observation, stands.cost, self._budgets)

    def _info(self, stands: Standing, cost: NDArray[np.float64], raw_cost: NDArray[np.float64]) -> Info:
        failed = stands.failed if self.game.table is not None else stands.failed | (stands.reason != "")
        info = {
            "cost": cost,
            "raw_cost": raw_cost,
            "spent": stands.cost.copy(),  # the next step compares with cost and mask
            "budget": self._budgets.copy(),
            "bankrupt": np.zeros(self.num_envs, dtype=np.uint8),
            "ledger": stands.ledger.astype(np.int64, copy=False),
            "action_mask": stands.mask.copy(),
            "problem": self.game.problems[self._problems],
            "source": self._source.copy(),
            "simulated": self._simulated.copy(),
            "failed": failed.astype(np.uint8),
            "truncated_by": np.zeros(self.num_envs, dtype=np.uint8),
        }
        return info | dict.fromkeys([f"_{name}" for name in info], np.ones(self.num_envs, dtype=np.bool_))


def _check_count(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name}={value!r}; allowed: an integer >= 1")
