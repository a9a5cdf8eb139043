"""The cost signal of vectorised environments: read it per step, add it up per episode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

COST_KEY = "cost"


def step_costs(env: VecEnv, infos: Sequence[dict[str, Any]]) -> NDArray[np.float32]:
    """Return the cost of the step just taken, float32[n_envs].

    Uses ``env.last_costs`` where the vectorised environment has one (no Python loop), else ``info["cost"]``.

    Raises:
        ValueError: If an environment reports no cost, or one that is not finite.
    """
    vectorised = getattr(env, "last_costs", None)
    if vectorised is not None:
        costs = np.array(vectorised, dtype=np.float32)
    else:
        try:
            costs = np.array([info[COST_KEY] for info in infos], dtype=np.float32)
        except KeyError:
            missing = next(index for index, info in enumerate(infos) if COST_KEY not in info)
            raise ValueError(
                f"environment {missing} returned no info[{COST_KEY!r}]; a constrained agent needs the cost of every "
                f"step there (found keys: {', '.join(sorted(map(str, infos[missing]))) or 'none'})"
            ) from None
    if not np.isfinite(costs).all():
        raise ValueError(f"info[{COST_KEY!r}] must be finite, got {costs[~np.isfinite(costs)][0]}")
    return costs


class EpisodeTotals:
    """Adds up cost and reward of each environment's episode and keeps those of the finished ones until drained.

    Args:
        n_envs: Number of environments.
        skip: The first ``skip`` environments are left out, 0 <= skip < n_envs.
    """

    def __init__(self, n_envs: int, *, skip: int = 0) -> None:
        self._running = np.zeros((2, n_envs - skip))
        self._skip = skip
        self._finished: list[NDArray[np.float64]] = []

    def add(self, costs: NDArray[Any], rewards: NDArray[Any], dones: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Add one step (arrays of length n_envs); return cost and reward of the episodes it ended, float[2, M]."""
        self._running[0] += costs[self._skip :]
        self._running[1] += rewards[self._skip :]
        dones = dones[self._skip :]
        ended = self._running[:, dones]
        if ended.shape[1]:
            self._finished.append(ended)
            self._running[:, dones] = 0.0
        return ended

    def drain(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return costs and rewards of the episodes finished since the last call, float[M] each; M may be 0."""
        finished = np.concatenate(self._finished, axis=1) if self._finished else np.empty((2, 0))
        self._finished = []
        return finished[0], finished[1]
