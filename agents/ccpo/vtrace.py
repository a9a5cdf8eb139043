"""V-trace: values of a target policy from steps that another policy took."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def vtrace(
    signal: NDArray[np.float32],
    values: NDArray[np.float32],
    ratios: NDArray[np.float32],
    episode_starts: NDArray[np.float32],
    last_values: NDArray[np.float32],
    last_dones: NDArray[np.bool_],
    *,
    gamma: float,
    trace_decay: float = 1.0,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return V-trace targets and advantages (Espeholt et al. 2018, arXiv 1802.01561).

    With rho = min(1, ratio) (both clips at 1) and delta_t = rho_t (x_t + gamma V_{t+1} - V_t), the targets are
    v_t = V_t + delta_t + gamma * trace_decay * rho_t * (v_{t+1} - V_{t+1}), the advantages x_t + gamma v_{t+1} - V_t.
    The values are those of the policy proportional to min(acting, target), which lies between the two.

    Args:
        signal: Per-step reward or cost x, float[T, N]; truncated steps already hold their bootstrap value.
        values: Critic's estimates V at the same steps, float[T, N].
        ratios: Probability of the step's action under the target policy over that under the acting one, float[T, N].
        episode_starts: 1 where the step is the first of its episode, float[T, N].
        last_values: Critic's estimates after the last step, float[N].
        last_dones: Whether the last step ended its episode, bool[N].
        gamma: Discount in [0, 1].
        trace_decay: Lambda in [0, 1]; 1 is V-trace as published.

    Returns:
        Targets and advantages, float32[T, N] each.
    """
    continues = np.concatenate([1.0 - episode_starts[1:], 1.0 - last_dones[None].astype(np.float32)])
    next_values = np.concatenate([values[1:], last_values[None]])
    clipped = np.minimum(ratios, 1.0)
    deltas = clipped * (signal + gamma * next_values * continues - values)
    traces = gamma * trace_decay * clipped * continues
    corrections = np.zeros_like(values)
    running = np.zeros_like(last_values)
    for step in reversed(range(len(values))):
        running = deltas[step] + traces[step] * running
        corrections[step] = running
    targets = values + corrections
    next_targets = np.concatenate([targets[1:], last_values[None]])
    return targets, signal + gamma * next_targets * continues - values
