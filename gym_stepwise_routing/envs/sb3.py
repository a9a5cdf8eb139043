"""Stable-Baselines3 on arrays: the vector environment as a ``VecEnv``, without a Python environment an episode."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Unpack

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from gym_stepwise_routing.envs.stepwise_routing_vector import StepwiseRoutingVectorEnv
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.game.config import DEFAULT_BANK, GameArguments, GameConfig

try:
    from stable_baselines3.common.vec_env import VecEnv
    from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn
except ImportError as error:
    raise ImportError(
        "gym_stepwise_routing.envs.sb3 needs Stable-Baselines3: pip install 'gym-stepwise-routing[agents]'"
    ) from error

__all__ = ["RoutingVecEnv"]

_OPTIONS = {"problem": "problems", "budget": "budgets"}
"""Reset options of the scalar environment, and what the vector environment calls them."""


class RoutingVecEnv(VecEnv):
    """:class:`StepwiseRoutingVectorEnv` as a Stable-Baselines3 ``VecEnv``.

    Episodes restart in the step that ends them; ``infos[i]["terminal_observation"]`` is how they ended, and
    ``infos[i]["episode"]`` holds return, length and time as ``Monitor`` gives them, and the episode's cost as ``c``.
    ``TimeLimit.truncated`` stays False: horizon and budget are part of the task and observed, so there is nothing
    beyond them for a critic to bootstrap from.

    Args:
        num_envs: number of episodes played side by side.
        penalty: the reward is ``reward - penalty * cost``, for algorithms without a constraint; 0 leaves it alone.
        seed: seed of the first reset; None draws one.
        source: and further arguments of the game, see :class:`...game.config.GameConfig`. SB3's own algorithms know no
            masks, so masked actions are projected by default; ``masked_action="error"`` is for algorithms that do, such
            as ``MaskablePPO``, and shows that they keep to them.

    Attributes:
        last_costs: ``float32[num_envs]`` costs of the last step, as in ``infos[i]["cost"]``.
        reset_infos: what each episode began with: ``problem``, ``source``, ``simulated``, ``action_mask`` and
            ``budget`` of the environment's info.
    """

    def __init__(
        self,
        num_envs: int = 256,
        source: object = DEFAULT_BANK,
        *,
        penalty: float = 0.0,
        seed: int | None = None,
        **game: Unpack[GameArguments],
    ) -> None:
        if not (math.isfinite(penalty) and penalty >= 0):
            raise ValueError(f"penalty={penalty!r}; allowed: a finite number >= 0")
        config = GameConfig.of(source, **game)
        self.env = StepwiseRoutingVectorEnv(
            num_envs,
            replace(config, masked_action=config.masked_action or "project"),
            autoreset_mode=AutoresetMode.SAME_STEP,
        )
        self.penalty = penalty
        super().__init__(num_envs, self.env.single_observation_space, self.env.single_action_space)
        self.last_costs = np.zeros(num_envs, dtype=np.float32)
        self._actions = np.zeros(num_envs, dtype=np.int64)
        self._returns = np.zeros(num_envs)
        self._spent = np.zeros(num_envs)
        self._lengths = np.zeros(num_envs, dtype=np.int64)
        self._began = time.time()
        self.seed(seed)

    @property
    def reset_infos(self) -> list[dict[str, Any]]:
        """What each episode began with: five of the environment's infos."""
        return [_began(info, row) for row, info in enumerate(self._begun)]

    @reset_infos.setter
    def reset_infos(self, infos: list[dict[str, Any]]) -> None:
        self._begun = infos

    def action_masks(self) -> NDArray[np.bool_]:
        """Allowed actions, ``bool[num_envs, K]``."""
        return self.env.action_masks()

    def reset(self) -> NDArray[np.float32]:
        """Start every episode, with the seed last given to :meth:`seed` and the options of :meth:`set_options`."""
        observation, info = self.env.reset(seed=self._seeds[0], options=_columns(self._options))
        self._begun = [info] * self.num_envs
        self._returns[:] = self._spent[:] = self._lengths[:] = 0
        self._reset_seeds()
        self._reset_options()
        return observation

    def step_async(self, actions: NDArray[np.int64]) -> None:
        """Keep the actions for :meth:`step_wait`."""
        self._actions = np.asarray(actions)

    def step_wait(self) -> VecEnvStepReturn:
        """One decision in every episode."""
        observation, reward, terminated, truncated, info = self.env.step(self._actions)
        costs = info["cost"]
        reward = (reward - self.penalty * costs).astype(np.float32)
        self.last_costs = costs.astype(np.float32)
        self._returns += reward
        self._spent += costs
        self._lengths += 1
        done = terminated | truncated
        infos: list[dict[str, Any]] = [{"cost": cost} for cost in costs.tolist()]
        rows = np.flatnonzero(done)
        if len(rows):
            elapsed = round(time.time() - self._began, 6)
            totals = (figure[rows].tolist() for figure in (self._returns, self._lengths, self._spent))
            for row, last, r, l, c in zip(rows.tolist(), info["final_obs"][rows], *totals, strict=True):  # noqa: E741
                own = infos[row]
                own["terminal_observation"] = last
                own["TimeLimit.truncated"] = False
                own["episode"] = {"r": r, "l": l, "c": c, "t": elapsed}
                self._begun[row] = info
            self._returns[rows] = self._spent[rows] = self._lengths[rows] = 0
        return observation, reward, done, infos

    def set_options(self, options: list[dict[str, Any]] | dict[str, Any] | None = None) -> None:
        """Options of the next reset, as of the scalar environment: ``problem`` and ``budget``.

        Args:
            options: one dictionary for all episodes, or one an episode, all with the same keys.

        Raises:
            ValueError: an unknown option, another number of dictionaries, or different keys in them.
        """
        each = [options or {}] * self.num_envs if options is None or isinstance(options, dict) else options
        if len(each) != self.num_envs:
            raise ValueError(f"options: {len(each)} dictionaries; allowed: one for all, or {self.num_envs}")
        for one in each:
            for key in one:
                check_choice("reset option", key, _OPTIONS)
            if set(one) != set(each[0]):
                raise ValueError(f"options with {sorted(each[0])} and {sorted(one)}; allowed: the same keys for all")
        super().set_options(each)

    def close(self) -> None:
        """Close the vector environment."""
        self.env.close()

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seed the next reset; one generator serves all episodes."""
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        self._seeds = [seed] * self.num_envs
        return self._seeds

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Attribute of the vector environment, once for each index."""
        return [getattr(self.env, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of the vector environment; there is one for all episodes."""
        if len(list(self._get_indices(indices))) != self.num_envs:
            raise ValueError(f"indices={indices!r}; allowed: None, since all episodes share one environment")
        setattr(self.env, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Result of a method of the vector environment; arrays are handed out row by row."""
        rows = list(self._get_indices(indices))
        result = getattr(self.env, method_name)(*method_args, **method_kwargs)
        if isinstance(result, np.ndarray) and len(result) == self.num_envs:
            return [result[row] for row in rows]
        return [result] * len(rows)

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> list[bool]:
        """True for ``Monitor``, whose episode statistics are built in; False otherwise."""
        from stable_baselines3.common.monitor import Monitor

        wrapped = issubclass(Monitor, wrapper_class)
        return [wrapped] * len(list(self._get_indices(indices)))

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """No images: render the scalar environment."""
        return [None] * self.num_envs


def _columns(options: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Options of every episode as those of the vector environment, None for none."""
    return {_OPTIONS[key]: [one[key] for one in options] for key in options[0]} or None


def _began(info: dict[str, Any], row: int) -> dict[str, Any]:
    """What an episode began with, from the infos of all; nothing before the first reset."""
    return info and {name: info[name][row] for name in ("problem", "source", "simulated", "action_mask", "budget")}
