"""Train an agent on a game, with hyperparameters kept as data."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from importlib import import_module, resources
from pathlib import Path
from typing import Any

import yaml
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.sb3 import RoutingVecEnv

__all__ = ["AGENTS", "Agent", "Hyperparameters", "Progress", "hyperparameters", "train"]

Progress = Callable[[int], None]
"""Called with the number of environment steps taken since the last call."""


@dataclass(frozen=True, slots=True)
class Agent:
    """How an agent is trained.

    Attributes:
        module: module of the algorithm, imported when it is needed.
        algorithm: name of its class there.
        constrained: it takes a ``limit`` and a ``constraint``; the others take costs as a penalty in the reward.
        masks: it honours action masks; for the others masked actions are projected.
        policy: its first argument.
    """

    module: str
    algorithm: str
    constrained: bool = False
    masks: bool = False
    policy: str = "MlpPolicy"

    def load(self) -> type[BaseAlgorithm]:
        """The algorithm's class."""
        algorithm: type[BaseAlgorithm] = getattr(import_module(self.module), self.algorithm)
        return algorithm


_OWN = "gym_stepwise_routing.agents"
AGENTS: dict[str, Agent] = {
    "lagrangian_ppo": Agent(f"{_OWN}.lagrangian_ppo", "LagrangianPPO", constrained=True, masks=True),
    "ccpo": Agent(f"{_OWN}.ccpo", "CCPO", constrained=True, masks=True),
    "all_budgets": Agent(f"{_OWN}.all_budgets", "AllBudgetsPPO", masks=True),
    "ppo": Agent("stable_baselines3", "PPO"),
    "maskable_ppo": Agent("sb3_contrib", "MaskablePPO", masks=True),
    "recurrent_ppo": Agent("sb3_contrib", "RecurrentPPO", policy="MlpLstmPolicy"),
    "dqn": Agent("stable_baselines3", "DQN"),
    "qr_dqn": Agent("sb3_contrib", "QRDQN"),
}


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """Settings of one training run.

    Attributes:
        n_envs: episodes played side by side, >= 1.
        total_timesteps: environment steps of the run, >= 1.
        penalty: price of cost in the reward of agents without a constraint, where one always-largest episode costs 1
            and a right answer earns 1, >= 0.
        budget: range that budgets are drawn from (``all_budgets``), or None.
        algorithm: keyword arguments of the algorithm's constructor.

    Raises:
        ValueError: a number out of range.
    """

    n_envs: int
    total_timesteps: int
    penalty: float = 0.0
    budget: tuple[float, float] | None = None
    algorithm: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("n_envs", "total_timesteps"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}={value!r}; allowed: an integer >= 1")
        if not (math.isfinite(self.penalty) and self.penalty >= 0):
            raise ValueError(f"penalty={self.penalty!r}; allowed: a finite number >= 0")


def hyperparameters(agent: str, variant: str | None = None) -> Hyperparameters:
    """The hyperparameters shipped with an agent (``agents/hyperparameters/AGENT.yml`` or ``AGENT-VARIANT.yml``).

    Args:
        agent: name of the agent.
        variant: None, or ``simulator``, for as many problems as one likes (constrained agents by multiplier only).

    Raises:
        ValueError: unknown agent, or a variant that it does not have.
    """
    check_choice("agent", agent, AGENTS)
    folder = resources.files(__package__).joinpath("hyperparameters")
    prefix = f"{agent}-"
    names = [path.name for path in folder.iterdir()]
    variants = sorted(n.removeprefix(prefix).removesuffix(".yml") for n in names if n.startswith(prefix))
    check_choice("variant", variant, [None, *variants])
    name = agent if variant is None else prefix + variant
    content = yaml.safe_load(folder.joinpath(f"{name}.yml").read_text(encoding="utf-8"))
    if "budget" in content:
        content["budget"] = tuple(content["budget"])
    return Hyperparameters(**content)


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
        game: arguments of ``StepwiseRouting-v0``. Agents without masks get ``masked_action="project"`` unless it is
            given; ``all_budgets`` gets the budgets of its settings.
        settings: hyperparameters; those shipped with the agent if None.
        tensorboard_log: folder for TensorBoard, or None.
        progress: told about steps taken.
        **algorithm: further arguments of the constructor, such as the ``limit`` of the constraint.

    Raises:
        ValueError: unknown agent, an argument out of range, or a split other than train.
    """
    check_choice("agent", agent, AGENTS)
    kind = AGENTS[agent]
    if not kind.constrained and (given := {"limit", "constraint"} & set(algorithm)):
        raise ValueError(
            f"{min(given)}={algorithm[min(given)]!r} with agent={agent!r}, which has no constraint; allowed with: "
            f"{', '.join(name for name, other in AGENTS.items() if other.constrained)}; or give a penalty"
        )
    if game.get("split", "train") != "train":
        raise ValueError(f"split={game['split']!r}; allowed: 'train', the others are for calibration and test")
    settings = hyperparameters(agent) if settings is None else settings
    arguments = dict(game)
    if not kind.masks:
        arguments.setdefault("masked_action", "project")
    if settings.budget is not None:
        arguments.setdefault("budget", settings.budget)
    env = RoutingVecEnv(settings.n_envs, penalty=settings.penalty, seed=seed, **arguments)
    model = kind.load()(
        kind.policy,
        env,
        seed=seed,
        device="cpu",
        tensorboard_log=None if tensorboard_log is None else str(tensorboard_log),
        **deepcopy({**settings.algorithm, **algorithm}),  # some algorithms write into what they are given
    )
    callback = None if progress is None else _Report(progress)
    return model.learn(settings.total_timesteps, callback=callback, tb_log_name=f"{agent}-seed{seed}")
