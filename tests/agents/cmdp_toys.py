"""Small constrained problems with known answers, as gymnasium and as vectorised environments."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv

N_ACTIONS = 2


class TwoStateEnv(gymnasium.Env):
    """Visits state 0, then state 1, and ends; in each, action 1 costs COST and raises the chance of success by GAIN.

    P(right) = BASE + sum of the gains taken. As a linear programme this is a fractional knapsack: spend the budget
    where gain per cost is highest, so every cost limit but a few has a *stochastic* optimum (see ``optimum``).
    """

    BASE, GAIN, COST = 0.2, (0.5, 0.2), (0.5, 0.5)

    def __init__(self, allowed: tuple[bool, bool] = (True, True), key: str = "cost") -> None:
        self.observation_space = spaces.Box(0.0, 1.0, (2,), np.float32)
        self.action_space = spaces.Discrete(N_ACTIONS)
        self._allowed, self._key = np.array(allowed), key

    def _observe(self) -> np.ndarray:
        return np.eye(2, dtype=np.float32)[self._state]

    def action_masks(self) -> np.ndarray:
        return self._allowed

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self._state, self._chance = 0, self.BASE
        return self._observe(), {}

    def step(self, action):
        cost = self.COST[self._state] * float(action)
        self._chance += self.GAIN[self._state] * float(action)
        ended = self._state == 1
        self._state = 1
        reward = float(ended and self.np_random.random() < self._chance)
        return self._observe(), reward, ended, False, {self._key: cost}


def optimum(limit: float) -> tuple[np.ndarray, float]:
    """Probabilities of action 1 in the two states and the accuracy of the best policy with mean cost <= limit."""
    gains, costs = np.array(TwoStateEnv.GAIN), np.array(TwoStateEnv.COST)
    probabilities, left = np.zeros(2), limit
    for state in np.argsort(-gains / costs):
        probabilities[state] = min(1.0, left / costs[state])
        left -= probabilities[state] * costs[state]
    return probabilities, float(TwoStateEnv.BASE + probabilities @ gains)


def cheapest(floor: float) -> tuple[np.ndarray, float]:
    """Probabilities and mean cost of the cheapest policy with accuracy >= floor."""
    gains, costs = np.array(TwoStateEnv.GAIN), np.array(TwoStateEnv.COST)
    probabilities, missing = np.zeros(2), max(0.0, floor - TwoStateEnv.BASE)
    for state in np.argsort(-gains / costs):
        probabilities[state] = min(1.0, missing / gains[state])
        missing -= probabilities[state] * gains[state]
    return probabilities, float(probabilities @ costs)


class TwoStateVecEnv(VecEnv):
    """``TwoStateEnv`` in numpy, with ``last_costs`` and ``action_masks()`` as the routing adapter has them."""

    render_mode = None

    def __init__(self, n_envs: int) -> None:
        single = TwoStateEnv()
        super().__init__(n_envs, single.observation_space, single.action_space)
        self.last_costs = np.zeros(n_envs, dtype=np.float32)
        self._rng = np.random.default_rng(0)

    def _observe(self) -> np.ndarray:
        return np.eye(2, dtype=np.float32)[self._states]

    def action_masks(self) -> np.ndarray:
        return np.ones((self.num_envs, N_ACTIONS), dtype=bool)

    def seed(self, seed: int | None = None) -> list[int | None]:
        self._rng = np.random.default_rng(seed)
        return [seed] * self.num_envs

    def reset(self) -> np.ndarray:
        self._states = np.zeros(self.num_envs, dtype=int)
        self._chances = np.full(self.num_envs, TwoStateEnv.BASE)
        return self._observe()

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self):
        self.last_costs = (np.array(TwoStateEnv.COST)[self._states] * self._actions).astype(np.float32)
        self._chances += np.array(TwoStateEnv.GAIN)[self._states] * self._actions
        dones = self._states == 1
        rewards = (dones & (self._rng.random(self.num_envs) < self._chances)).astype(np.float32)
        infos = [{"terminal_observation": self._observe()[i]} if dones[i] else {} for i in range(self.num_envs)]
        self._states = np.where(dones, 0, 1)
        self._chances[dones] = TwoStateEnv.BASE
        return self._observe(), rewards, dones, infos

    def close(self) -> None: ...

    def get_attr(self, attr_name, indices=None):
        return [getattr(self, attr_name)] * self.num_envs

    def set_attr(self, attr_name, value, indices=None) -> None:
        setattr(self, attr_name, value)

    def env_method(self, method_name, *method_args, indices=None, **method_kwargs):
        return list(getattr(self, method_name)(*method_args, **method_kwargs))

    def env_is_wrapped(self, wrapper_class, indices=None) -> list[bool]:
        return [False] * self.num_envs


class IdentityEnv(gymnasium.Env):
    """Ten steps an episode: reward 1 for repeating the observed digit, cost 1 for saying the digit ``dear``."""

    LENGTH = 10

    def __init__(self, n: int = 3, dear: int = 2, ends: bool = True) -> None:
        self.observation_space = spaces.Box(0.0, 1.0, (n,), np.float32)
        self.action_space = spaces.Discrete(n)
        self._dear, self._ends = dear, ends

    def _draw(self) -> np.ndarray:
        self._digit = int(self.np_random.integers(self.action_space.n))
        return np.eye(self.action_space.n, dtype=np.float32)[self._digit]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self._steps = 0
        return self._draw(), {}

    def step(self, action):
        self._steps += 1
        reward = float(action == self._digit) / self.LENGTH
        info = {"cost": float(action == self._dear) / self.LENGTH}
        return self._draw(), reward, self._ends and self._steps == self.LENGTH, False, info
