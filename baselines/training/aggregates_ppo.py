"""PPO on the five aggregates of TRIM-Agg: the paper's network and hyperparameters, on this package's environment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.game.game import Game

try:
    import torch
    from gymnasium.spaces import Box
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
    from stable_baselines3.common.vec_env import VecEnvWrapper
    from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

    from gym_stepwise_routing.envs.sb3 import RoutingVecEnv
except ImportError as error:
    raise ImportError("TRIM-Agg needs Stable-Baselines3: pip install 'gym-stepwise-routing[agents]'") from error

__all__ = ["HYPERPARAMETERS", "train_on_aggregates"]

Aggregates = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""``float32[B, F]`` of an observation to its five features."""

HYPERPARAMETERS: dict[str, Any] = {
    "learning_rate": 3e-4,
    "gamma": 1.0,
    "gae_lambda": 0.95,
    "clip_range": 0.2,
    "vf_coef": 0.5,
    "ent_coef": 0.01,
    "n_epochs": 3,
    "batch_size": 64,
}
LAST_ENTROPY = 0.001
ENVIRONMENTS = 128
ROLLOUT = 8
"""Decisions of each environment in a rollout; an episode has a handful."""


class _Normed(BaseFeaturesExtractor):
    """The paper's hidden layer: linear, layer norm, tanh."""

    def __init__(self, observation_space: Box, width: int = 64) -> None:
        super().__init__(observation_space, width)
        inputs = int(np.prod(observation_space.shape))
        self.net = torch.nn.Sequential(torch.nn.Linear(inputs, width), torch.nn.LayerNorm(width), torch.nn.Tanh())

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """``[B, 5] -> [B, 64]``."""
        out: torch.Tensor = self.net(observations)
        return out


class _AggregatedEnv(VecEnvWrapper):
    """The vector environment with the five features for an observation."""

    def __init__(self, venv: RoutingVecEnv, aggregates: Aggregates) -> None:
        super().__init__(venv, observation_space=Box(0.0, np.inf, (5,), np.float32))
        self._aggregates = aggregates

    def reset(self) -> NDArray[np.float32]:
        """Start every episode."""
        observation = self.venv.reset()
        assert isinstance(observation, np.ndarray)
        return self._aggregates(observation)

    def step_wait(self) -> VecEnvStepReturn:
        """One decision in every episode."""
        observation, reward, done, infos = self.venv.step_wait()
        assert isinstance(observation, np.ndarray)
        for row in np.flatnonzero(done):
            infos[row]["terminal_observation"] = self._aggregates(infos[row]["terminal_observation"][None])[0]
        return self._aggregates(observation), reward, done, infos


class _FallingEntropy(BaseCallback):
    """Entropy bonus from .01 down to .001 over the training."""

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        assert isinstance(self.model, PPO)
        first = HYPERPARAMETERS["ent_coef"]
        self.model.ent_coef = LAST_ENTROPY + (first - LAST_ENTROPY) * self.model._current_progress_remaining


def train_on_aggregates(
    game: Game, aggregates: Aggregates, *, price: float, steps: int, seed: int
) -> dict[str, NDArray[np.float64]]:
    """Train on a game of the train split.

    Args:
        game: the game.
        aggregates: the features of its observations.
        price: price of one always-largest episode in units of a right answer.
        steps: environment steps.
        seed: seed of training.

    Returns:
        Weight and bias of the layers ``hidden``, ``norm`` and ``action``.
    """
    inner = RoutingVecEnv(
        ENVIRONMENTS,
        penalty=price,
        seed=seed,
        source=game.source,
        split=game.split,
        mode=game.spec.mode,
        cost_unit=game.cost_unit,
        observation=game.rules.blocks,
        masked_action="project",
    )
    trained = PPO(
        "MlpPolicy",
        _AggregatedEnv(inner, aggregates),
        n_steps=ROLLOUT,
        policy_kwargs={"features_extractor_class": _Normed, "net_arch": []},
        device="cpu",
        seed=seed,
        **HYPERPARAMETERS,
    ).learn(steps, callback=_FallingEntropy())
    inner.close()
    extractor = trained.policy.features_extractor
    assert isinstance(extractor, _Normed)
    layers = {"hidden": extractor.net[0], "norm": extractor.net[1], "action": trained.policy.action_net}
    return {
        f"{name}_{part}": getattr(layer, part).detach().double().numpy()
        for name, layer in layers.items()
        for part in ("weight", "bias")
    }
