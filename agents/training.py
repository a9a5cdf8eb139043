"""Train an agent on a game, with hyperparameters kept as data."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, CallbackList, CheckpointCallback
from stable_baselines3.common.utils import LinearSchedule

from gym_stepwise_routing.agents.agent import AGENTS
from gym_stepwise_routing.agents.limits import cheapest
from gym_stepwise_routing.agents.scaling import extractor_arguments, scale_of
from gym_stepwise_routing.baselines import AlwaysLargest
from gym_stepwise_routing.envs.sb3 import RoutingVecEnv
from gym_stepwise_routing.evaluation.evaluate import play
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.game.game import Game

__all__ = [
    "Checkpoints",
    "Hyperparameters",
    "Progress",
    "absolute",
    "environment_config",
    "hyperparameters",
    "train",
    "train_game",
    "with_schedules",
]

Progress = Callable[[int], None]
"""Called with the number of environment steps taken since the last call."""


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """Settings of one training run.

    Attributes:
        n_envs: episodes played side by side, >= 1.
        total_timesteps: environment steps of the run, >= 1; of ``exact``, which plays none, gradient steps. 0 where an
            algorithm has ``lessons``, and needs nothing else.
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
            least = 0 if name == "total_timesteps" and self.algorithm.get("lessons") else 1
            if not isinstance(value, int) or value < least:
                raise ValueError(f"{name}={value!r}; allowed: an integer >= {least}")
        if not (math.isfinite(self.penalty) and self.penalty >= 0):
            raise ValueError(f"penalty={self.penalty!r}; allowed: a finite number >= 0")


def with_schedules(algorithm: dict[str, Any]) -> dict[str, Any]:
    """The arguments, with ``linear_0.003`` (RL Zoo's notation) turned into a learning rate that falls to 0.

    Args:
        algorithm: keyword arguments of a constructor, as settings have them.

    Raises:
        ValueError: another text as learning rate.
    """
    rate = algorithm.get("learning_rate")
    if not isinstance(rate, str):
        return algorithm
    kind, _, first = rate.partition("_")
    try:
        start = float(first)
    except ValueError:
        start = math.nan
    if kind != "linear" or not (math.isfinite(start) and start > 0):
        raise ValueError(f"learning_rate={rate!r}; allowed: a number > 0, or linear_NUMBER")
    return {**algorithm, "learning_rate": LinearSchedule(start, 0.0, 1.0)}


def hyperparameters(agent: str, variant: str | None = None) -> Hyperparameters:
    """The hyperparameters shipped with an agent (``agents/hyperparameters/AGENT.yml`` or ``AGENT-VARIANT.yml``).

    Args:
        agent: name of the agent.
        variant: None; ``simulator``, for as many problems as one likes (constrained agents by multiplier only);
            ``planner``, the same with the known optimum as teacher (``all_budgets``); ``floor``, for accuracy floors
            (``lagrangian_ppo``); or ``taught``, with teachers (``exact``).

    Raises:
        ValueError: unknown agent, or a variant that it does not have.
    """
    content = yaml.safe_load(AGENTS.get(agent).settings(variant))
    if "budget" in content:
        content["budget"] = tuple(content["budget"])
    return Hyperparameters(**content)


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """Where models are saved during training (``CheckpointCallback``), and how often.

    Attributes:
        folder: folder of the ``AGENT_N_steps.zip`` files.
        every: environment steps between two of them, >= 1.

    Raises:
        ValueError: a number out of range.
    """

    folder: Path
    every: int

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every={self.every!r}; allowed: an integer >= 1")


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
    game: GameConfig,
    settings: Hyperparameters | None = None,
    tensorboard_log: str | Path | None = None,
    progress: Progress | None = None,
    callbacks: Sequence[BaseCallback] = (),
    checkpoints: Checkpoints | None = None,
    resumed: BaseAlgorithm | None = None,
    **algorithm: Any,
) -> BaseAlgorithm:
    """Train one agent with one seed.

    Its network sees inputs of mean 0 and spread 1 (:mod:`gym_stepwise_routing.agents.scaling`), unless
    ``policy_kwargs`` name another features extractor.

    Args:
        agent: name of the agent, see :data:`gym_stepwise_routing.agents.agent.AGENTS`.
        seed: seeds networks, sampling and the environment.
        game: the game; masked actions are projected unless it says otherwise, and ``all_budgets`` gets the budgets of
            its settings.
        settings: hyperparameters; those shipped with the agent if None.
        tensorboard_log: folder for TensorBoard, or None; with it the frontier on the train split is drawn as well, for
            a bank's game that shows no budget.
        progress: told about steps taken.
        callbacks: further callbacks of Stable-Baselines3.
        checkpoints: where and how often to save the model on the way, or None.
        resumed: a model of the same agent that goes on training; the algorithm's settings stay the model's own, the
            environments are those of ``seed``, ``game`` and ``settings``, and schedules go on where all steps, those
            taken and those to come, put them. None starts afresh.
        **algorithm: further arguments of the constructor, such as the ``limit`` of the constraint;
            ``constraint="relative_floor"`` stands for a share of always-largest's accuracy, see :func:`absolute`.

    Raises:
        ValueError: unknown agent, an argument out of range, or a split other than train.
    """
    kind = AGENTS.get(agent)
    if not kind.constrained and (given := {"limit", "constraint"} & set(algorithm)):
        raise ValueError(
            f"{min(given)}={algorithm[min(given)]!r} with agent={agent!r}, which has no constraint; allowed with: "
            f"{', '.join(other.name for other in AGENTS.values() if other.constrained)}; or give a penalty"
        )
    if game.split != "train":
        raise ValueError(f"split={game.split!r}; allowed: 'train', the others are for calibration and test")
    algorithm = absolute(algorithm, game)
    settings = hyperparameters(agent) if settings is None else settings
    env = RoutingVecEnv(settings.n_envs, environment_config(game, settings), penalty=settings.penalty, seed=seed)
    log = None if tensorboard_log is None else str(tensorboard_log)
    if resumed is None:
        # Some algorithms write into what they are given.
        own = deepcopy(with_schedules({**settings.algorithm, **algorithm}))
        given = own.get("policy_kwargs", {})
        if "features_extractor_class" not in given:
            own["policy_kwargs"] = {**given, **extractor_arguments(scale_of(env.env.game, seed=seed))}
        model = kind.load()(kind.policy, env, seed=seed, device="cpu", tensorboard_log=log, **own)
    else:
        model = resumed
        model.set_env(env)
        model.tensorboard_log = log
    every = [*callbacks]
    if progress is not None:
        every.append(_Report(progress))
    if checkpoints is not None:
        every.append(CheckpointCallback(max(checkpoints.every // settings.n_envs, 1), str(checkpoints.folder), agent))
    if log is not None and env.env.game.table is not None and env.env.game.budget is None:
        from gym_stepwise_routing.agents.callbacks import FrontierFigure  # needs matplotlib, which training does not

        every.append(FrontierFigure(env.env.game))
    return model.learn(
        settings.total_timesteps,
        callback=CallbackList(every) if every else None,
        tb_log_name=f"{agent}-seed{seed}",
        reset_num_timesteps=resumed is None,
    )


def environment_config(game: GameConfig, settings: Hyperparameters) -> GameConfig:
    """The game that an agent is trained on: with the budgets of its settings, unless the game has some.

    Raises:
        ValueError: none of these budgets can be met.
    """
    if settings.budget is None or game.budget is not None:
        return game
    return replace(game, budget=_feasible(settings.budget, game))


def train_game(game: GameConfig) -> Game:
    """The train split of a game, without a budget's end: what constants and policies are measured on."""
    return Game(replace(game, split="train", hard_budget=False))


def absolute(algorithm: dict[str, Any], game: GameConfig) -> dict[str, Any]:
    """The constructor's arguments, ``constraint="relative_floor"`` turned into an accuracy floor.

    Its ``limit`` is a share, in (0, 1], of always-largest's accuracy on the train split.

    Raises:
        ValueError: a share out of range.
    """
    if algorithm.get("constraint") != "relative_floor":
        return algorithm
    share = algorithm.get("limit")
    if not isinstance(share, int | float) or not 0 < share <= 1:
        raise ValueError(f"limit={share!r} with constraint='relative_floor'; allowed: in (0, 1], of always-largest's")
    largest = play(AlwaysLargest(), train_game(game)).accuracy
    return algorithm | {"constraint": "accuracy_floor", "limit": float(share * largest)}


def _feasible(budget: tuple[float, float], game: GameConfig) -> tuple[float, float]:
    """The budgets of a range that some policy can meet: at budgets below always-smallest's cost all would fail.

    Raises:
        ValueError: none can be met.
    """
    least = cheapest(train_game(game))
    low, high = max(budget[0], round(least, 6)), budget[1]
    if low >= high:
        raise ValueError(
            f"budget={budget!r}: always-smallest costs {least:.3f}; allowed: a range that reaches above it"
        )
    return low, high
