"""Draws the README's animation: one recorded trace, routed by a rule, as the environment renders it.

python docs/draw_trace.py docs/_static/trace.gif
"""

from __future__ import annotations

import sys

import gymnasium as gym
from PIL import Image

import gym_stepwise_routing  # noqa: F401  # registers the environment

SEED, UNSURE, SECONDS, HEIGHT = 12, 0.3, 1.4, 330


def frames(seed: int) -> tuple[list[Image.Image], float, float]:
    """Pictures of one episode, its reward and its cost."""
    env = gym.make("StepwiseRouting-v0", mode="regenerate", cost_unit="large_tokens", render_mode="rgb_array")
    observation, info = env.reset(seed=seed)
    entropy = env.unwrapped.feature_names.index("entropy_mean")  # type: ignore[attr-defined]
    pictures, ended, reward = [Image.fromarray(env.render())], False, 0.0  # type: ignore[arg-type]
    while not ended:
        observation, step_reward, terminated, truncated, info = env.step(int(observation[entropy] > UNSURE))
        reward, ended = float(step_reward), terminated or truncated
        pictures.append(Image.fromarray(env.render()))  # type: ignore[arg-type]
    return pictures, reward, float(info["spent"])


if __name__ == "__main__":
    drawn, _, _ = frames(SEED)
    small = [picture.crop((0, 0, picture.width, HEIGHT)).quantize(64) for picture in drawn]
    durations = [int(1000 * SECONDS)] * (len(small) - 1) + [4000]
    small[0].save(sys.argv[1], save_all=True, append_images=small[1:], duration=durations, loop=0, optimize=True)
