"""Train an agent of this package on a game, with hyperparameters kept as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from gym_stepwise_routing.agents.lagrangian_ppo import LagrangianPPO
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.sb3 import RoutingVecEnv

__all__ = ["AGENTS", "Hyperparameters", "Progress", "hyperparameters", "train"]

AGENTS: dict[str, type[BaseAlgorithm]] = {"lagrangian_ppo": LagrangianPPO}
Progress = Callable[[int], None]
"""Called with the number of environment steps taken since the last call."""


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """Settings of one training run.

    Attributes:
        n_envs: episodes played side by side.
        total_timesteps: environment steps of the run.
        algorithm: keyword arguments of the algorithm's constructor.
    """

    n_envs: int
    total_timesteps: int
    algorithm: dict[str, Any]


def hyperparameters(agent: str) -> Hyperparameters:
    """The hyperparameters shipped with an agent (``agents/hyperparameters/AGENT.yml``).

    Raises:
        ValueError: unknown agent.
    """
    check_choice("agent", agent, AGENTS)
    text = resources.files(__package__).joinpath("hyperparameters", f"{agent}.yml").read_text(encoding="utf-8")
    return Hyperparameters(**yaml.safe_load(text))


class _Report(BaseCallback):
    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress

    def _on_step(self) -> bool:
        self._progress(self.training_env.num_envs)
        return True


def train(
    agent: str,
    *,
    seed: int,
    game: dict[str, Any],
    settings: Hyperparameters | None = None,
    tensorboard_log: Path | None = None,
    progress: Progress | None = None,
    **algorithm: Any,
) -> BaseAlgorithm:
    """Train one agent with one seed.

    Args:
        agent: name of the agent, a key of :data:`AGENTS`.
        seed: seeds networks, sampling and the environment.
        game: arguments of ``StepwiseRouting-v0``.
        settings: hyperparameters; those shipped with the agent if None.
        tensorboard_log: folder for TensorBoard, or None.
        progress: told about steps taken.
        **algorithm: further arguments of the constructor, such as the ``limit`` of the constraint.

    Raises:
        ValueError: unknown agent, or an argument out of range.
    """
    settings = hyperparameters(agent) if settings is None else settings
    check_choice("agent", agent, AGENTS)
    env = RoutingVecEnv(settings.n_envs, seed=seed, **game)
    model = AGENTS[agent](
        "MlpPolicy",
        env,
        seed=seed,
        tensorboard_log=None if tensorboard_log is None else str(tensorboard_log),
        **{**settings.algorithm, **algorithm},
    )
    callback = None if progress is None else _Report(progress)
    return model.learn(settings.total_timesteps, callback=callback, tb_log_name=f"{agent}-seed{seed}")
