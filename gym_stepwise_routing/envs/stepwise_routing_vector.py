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
from gym_stepwise_routing.envs.vector_info import BeganInfo, StepInfo
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.game.config import DEFAULT_BANK, GameArguments, check_budget, draw_budgets
from gym_stepwise_routing.game.episode_standing import PlayStanding, RowStanding, ending
from gym_stepwise_routing.game.episodes import positions
from gym_stepwise_routing.game.row_table import project_actions

__all__ = ["StepwiseRoutingVectorEnv"]

_AHEAD = 4096
"""Problems that are drawn at a time, where they are all that is drawn; the numbers are those of single draws."""


class StepwiseRoutingVectorEnv(VectorEnv[NDArray[np.float32], NDArray[np.int64], NDArray[Any]]):
    """``num_envs`` episodes of the same game on arrays; rules, arguments and observations as in the scalar environment.

    Infos are the scalar environment's, as arrays with one row an episode; beside each ``NAME`` stands Gymnasium's mask
    ``_NAME``, here True for all. An array of an info is made when it is read. ``reset(options=...)`` takes ``problems``
    and ``budgets``, one an episode.

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
        self._heeds_masks = self._positions.heeds_masks
        self._standing: RowStanding | PlayStanding | None = None
        self._ended = np.zeros(num_envs, dtype=np.bool_)
        self._budgets = np.full(num_envs, np.inf)
        self._budgeted = self._limited = self.game.budget is not None  # some episode has a budget; all have
        self._everyone = np.arange(num_envs)
        self._draws_ahead = self.game.table is not None and not isinstance(self.game.budget, tuple)
        self._drawn_by: np.random.Generator | None = None
        self._ahead = np.zeros(0, dtype=np.int64)

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
        begun = self._drawn(
            self._everyone,
            None if problems is None else np.array(problems),
            None if budgets is None else np.concatenate([draw_budgets(b, 1, self.np_random) for b in budgets]),
        )
        self._positions.begin(self._everyone, begun, self.np_random)
        stands = self._standing = self._positions.standing()
        self._ended = np.zeros(self.num_envs, dtype=np.bool_)
        return self._observation(stands), BeganInfo(self.game, stands, self._budgets, np.zeros(self.num_envs))

    def step(
        self, actions: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], Info]:
        """One decision in every episode; see :meth:`StepwiseRoutingEnv.step`."""
        before = self._stands()
        (resets,) = self._ended.nonzero()
        models = self._allowed(np.asarray(actions), before)
        self._positions.turn(models, self.np_random, resets, self._drawn)
        stands = self._standing = self._positions.standing()
        end = ending(stands, self._budgets, self.game.hard_budget)
        ended, truncated = end.ended, end.truncated
        info: Info = StepInfo(self.game, before, stands, resets, end, ended)
        if self._limit is not None:
            self._elapsed += 1
            self._elapsed[resets] = 0
            truncated = truncated | (self._elapsed >= self._limit)
            ended = ended | truncated
        observation = self._observation(stands)
        self._ended = ended
        if self._same_step and ended.any():
            observation, info = self._restart(ended.nonzero()[0], observation, info)
        return observation, end.right.astype(np.float64), end.terminated, truncated, info

    def _restart(
        self, rows: NDArray[np.int64], observation: NDArray[np.float32], info: Info
    ) -> tuple[NDArray[np.float32], Info]:
        """SAME_STEP: begin the ended episodes anew and keep how they ended."""
        final = {"final_obs": observation, "final_info": info, "_final_obs": self._ended, "_final_info": self._ended}
        self._positions.begin(rows, self._drawn(rows), self.np_random)
        stands = self._standing = self._positions.standing()
        self._ended = np.zeros(self.num_envs, dtype=np.bool_)
        return self._observation(stands), BeganInfo(self.game, stands, self._budgets, info, final)

    def _drawn(
        self,
        rows: NDArray[np.int64],
        problems: NDArray[np.int64] | None = None,
        budgets: NDArray[np.float64] | None = None,
    ) -> NDArray[np.int64]:
        """Problems of episodes that begin, as positions in the split; their budgets are kept."""
        if problems is None:
            problems = self._next_problems(len(rows))
        if self._limit is not None:
            self._elapsed[rows] = 0
        if self._budgeted or budgets is not None:
            drawn = draw_budgets(self.game.budget, len(rows), self.np_random) if budgets is None else budgets
            self._budgets = self._budgets.copy()  # infos may be read later
            self._budgets[rows] = drawn
            if budgets is not None:
                self._budgeted, self._limited = True, False
        return problems

    def _next_problems(self, count: int) -> NDArray[np.int64]:
        """So many drawn problems. A draw costs as much as a step: where none stands between two, many are one draw."""
        rng, problems = self.np_random, len(self.game.problems)
        if not self._draws_ahead:
            return rng.integers(problems, size=count)
        if rng is not self._drawn_by:  # seeded anew
            self._drawn_by, self._ahead = rng, np.zeros(0, dtype=np.int64)
        if len(self._ahead) < count:
            more = rng.integers(problems, size=max(count, _AHEAD))
            self._ahead = np.concatenate([self._ahead, more])
        drawn, self._ahead = self._ahead[:count], self._ahead[count:]
        return drawn

    def _stands(self) -> RowStanding | PlayStanding:
        if self._standing is None:
            raise ResetNeeded("no episode was started; allowed: reset() first")
        return self._standing

    def _allowed(self, actions: NDArray[np.int64], stands: RowStanding | PlayStanding) -> NDArray[np.int64]:
        models = len(self.routing_spec.models)
        if actions.shape != self._everyone.shape or actions.dtype.kind not in "iu":
            given = f"actions of shape {actions.shape} and type {actions.dtype}"
            raise ValueError(f"{given}; allowed: integers of shape ({self.num_envs},)")
        # all bits together are negative or too large if one number is, and found fastest
        if not 0 <= np.bitwise_or.reduce(actions) < models and (actions.min() < 0 or actions.max() >= models):
            row = int(np.flatnonzero((actions < 0) | (actions >= models))[0])
            raise ValueError(f"action={actions[row]} of episode {row}; allowed: an integer from 0 to {models - 1}")
        if not self._heeds_masks:
            return actions
        masks = stands.mask
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

    def _observation(self, stands: RowStanding | PlayStanding) -> NDArray[np.float32]:
        observation: NDArray[np.float32] = stands.observation
        if not self._budgeted:
            return observation
        return self.game.show_budget(observation, stands.cost, self._budgets, limited=self._limited)


def _check_count(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name}={value!r}; allowed: an integer >= 1")
