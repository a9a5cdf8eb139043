"""Generalised advantage estimation over a rollout of vectorised environments."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def generalised_advantages(
    signal: NDArray[np.float32],
    values: NDArray[np.float32],
    episode_starts: NDArray[np.float32],
    last_values: NDArray[np.float32],
    last_dones: NDArray[np.bool_],
    *,
    gamma: float,
    gae_lambda: float,
) -> NDArray[np.float32]:
    """Return GAE(lambda) advantages of any per-step signal: reward or cost (Schulman et al. 2016, arXiv 1506.02438).

    Args:
        signal: Per-step reward or cost, float[T, N]; truncated steps already hold their bootstrap value.
        values: Critic's estimates at the same steps, float[T, N].
        episode_starts: 1 where the step is the first of its episode, float[T, N].
        last_values: Critic's estimates after the last step, float[N].
        last_dones: Whether the last step ended its episode, bool[N].
        gamma: Discount in [0, 1].
        gae_lambda: Trace decay in [0, 1].

    Returns:
        Advantages, float32[T, N]; adding ``values`` gives the TD(lambda) returns.
    """
    continues = np.concatenate([1.0 - episode_starts[1:], 1.0 - last_dones[None].astype(np.float32)])
    next_values = np.concatenate([values[1:], last_values[None]])
    deltas = signal + gamma * next_values * continues - values
    advantages = np.zeros_like(values)
    running = np.zeros_like(last_values)
    for step in reversed(range(len(values))):
        running = deltas[step] + gamma * gae_lambda * continues[step] * running
        advantages[step] = running
    return advantages
