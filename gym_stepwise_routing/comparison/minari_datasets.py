"""Play as Minari data sets: episodes of a policy on every problem of a split, for offline reinforcement learning."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.baselines import AlwaysLargest, AlwaysSmallest
from gym_stepwise_routing.baselines.oracle import oracle
from gym_stepwise_routing.envs.wrappers import FinalTruncation
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.evaluation.evaluate import play
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.registration import ENV_ID
from gym_stepwise_routing.routers.base import Predicts, name_of
from gym_stepwise_routing.routers.provenance import GameDescription
from gym_stepwise_routing.types import VERSION

try:
    import minari
    from minari.data_collector import EpisodeBuffer
except ImportError as error:
    raise ImportError("Minari data sets need Minari: pip install 'minari[create,hdf5]'") from error

__all__ = ["POLICIES", "dataset_id", "export_minari", "load_minari"]

POLICIES = ("random", "smallest", "largest", "oracle")
"""Policies that need no training: any allowed model, the two constants, the cheapest path that is right."""

_KEY = "stepwise_routing_game"
_LEAST_BUDGET = 1e-6
"""Hindsight budget of an episode that cost nothing."""


def dataset_id(game: Game, policy: str, hindsight: bool) -> str:
    """``stepwise-routing/SOURCE/MODE-POLICY-v0``; Minari's ids have no dots."""
    source, policy = (text.replace(".", "_").replace(" ", "-") for text in (game.source.name, policy))
    return f"stepwise-routing/{source}/{game.rules.mode}-{policy}{'-budgets' if hindsight else ''}-v0"


def export_minari(
    config: GameConfig,
    policy: str | Predicts,
    *,
    hindsight: bool = False,
    passes: int = 1,
    seed: int = 0,
    data_format: str = "hdf5",
) -> minari.MinariDataset:
    """Play every problem of the split and write the episodes to Minari's folder (``MINARI_DATASETS_PATH``).

    Truncations are written as terminations: nothing comes after them, and learners skip the last reward of an episode
    that is cut off.

    Args:
        config: the game; its source by name or path, by which the environment is made again.
        policy: one of :data:`POLICIES`, or a router.
        hindsight: show each episode the budget that it turned out to need.
        passes: how often each problem is played; more than once only tells something of a random policy.
        seed: seed of a random policy.
        data_format: Minari's ``hdf5`` or ``arrow``, which takes a minute of some hundred episodes.

    Raises:
        ValueError: an unknown policy, a number out of range, a source that has no name or is random, budgets twice, or
            a data set that is there already.
    """
    if passes < 1:
        raise ValueError(f"passes={passes!r}; allowed: >= 1")
    if not isinstance(config.source, str):
        raise ValueError(f"source={config.source!r}; allowed: a name or path as text, by which it can be made again")
    game = Game(config)
    if game.table is None:
        raise ValueError(f"source={config.source!r} is random; allowed: a bank, for example one drawn from it")
    if hindsight and config.budget is not None:
        raise ValueError(f"hindsight=True with budget={config.budget!r}; allowed: budget=None")
    chosen = [_decisions(game, policy, seed + number) for number in range(passes)]
    budgets = np.maximum([cost for _, cost in chosen], _LEAST_BUDGET)  # in hindsight: what was spent, was needed
    if hindsight:
        config = replace(config, budget=(float(budgets.min()), float(budgets.max())))
    env = FinalTruncation(gym.make(ENV_ID, **_arguments(config)))
    env.reset(seed=seed)
    episodes = [
        _episode(env, int(problem), decided[row], float(budget[row]) if hindsight else None)
        for (decided, _), budget in zip(chosen, budgets, strict=True)
        for row, problem in enumerate(game.problems)
    ]
    name = policy if isinstance(policy, str) else name_of(policy)
    simulated = "SIMULATED: figures of a random process. " if game.source.simulated else ""
    hindsight_note = " Each episode shows the budget that it turned out to need." if hindsight else ""
    made = minari.create_dataset_from_buffers(
        dataset_id(game, name, hindsight),
        [EpisodeBuffer(id=number, **episode) for number, episode in enumerate(episodes)],
        env=env,
        algorithm_name=name,
        author="gym_stepwise_routing",
        author_email="none",
        code_permalink="https://github.com/gym-stepwise-routing/gym_stepwise_routing",
        ref_min_score=play(AlwaysSmallest(), game).accuracy,
        ref_max_score=oracle(game).accuracy,
        description=f"{simulated}{name} on {game.source.name}, split {config.split}, {config.mode}. The reward is a "
        f"right answer; costs are infos['cost'] of every step but the first, the reset.{hindsight_note}",
        requirements=[f"gym-stepwise-routing=={VERSION}"],
        data_format=data_format,
    )
    made.storage.update_metadata({_KEY: json.dumps(asdict(GameDescription.of(env.unwrapped.game)))})  # type: ignore[attr-defined]
    return made


def load_minari(name: str) -> minari.MinariDataset:
    """A data set that :func:`export_minari` wrote, checked against the environment as it is here.

    Raises:
        ValueError: another data set, or one of another version of the environment or content of the bank.
    """
    found = minari.load_dataset(name)
    told = found.storage.metadata.get(_KEY)
    if told is None:
        raise ValueError(f"data set {name!r} was not written by export_minari; allowed: one of {ENV_ID}")
    try:
        env = found.recover_environment()
    except gym.error.Error as error:
        raise ValueError(f"data set {name!r}: its environment cannot be made here: {error}") from error
    own = json.loads(json.dumps(asdict(GameDescription.of(env.unwrapped.game))))  # type: ignore[attr-defined]
    for field, then in json.loads(told).items():
        if own[field] != then:
            raise ValueError(f"data set {name!r} is of another environment: {field}={then!r}, here {own[field]!r}")
    return found


def _arguments(config: GameConfig) -> dict[str, Any]:
    """The config as keyword arguments of ``make``, which a spec can hold."""
    fields = ("source", "split", "mode", "cost_unit", "observation", "budget", "hard_budget", "normaliser")
    return {name: getattr(config, name) for name in fields} | {"masked_action": "project"}


def _decisions(game: Game, policy: str | Predicts, seed: int) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """What the policy decides on every problem, ``int8[n, horizon]``, and the normalised cost of it, ``float64[n]``."""
    if policy == "oracle":
        played = oracle(game)
    elif isinstance(policy, str):
        check_choice("policy", policy, POLICIES)
        routers: dict[str, Any] = {
            "smallest": AlwaysSmallest(),
            "largest": AlwaysLargest(),
            "random": _Uniform(seed),
        }
        played = play(routers[policy], game, seed=seed)
    else:
        played = play(policy, game, seed=seed)
    return played.decisions, played.cost


class _Uniform:
    """Any allowed model with the same chance."""

    name = "random"

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
        *,
        action_masks: NDArray[np.bool_],
    ) -> tuple[NDArray[np.int64], Any]:
        """Actions ``int64[B]`` under the masks ``bool[B, K]``."""
        return np.argmax(self._rng.random(action_masks.shape) * action_masks, axis=1), state


def _episode(env: gym.Env[Any, Any], problem: int, decided: NDArray[np.int8], budget: float | None) -> dict[str, Any]:
    """One episode as the fields of a buffer."""
    options: dict[str, Any] = {"problem": problem} | ({} if budget is None else {"budget": budget})
    steps = [env.reset(options=options)]
    results = list(_steps(env, decided))
    infos = [steps[0][1], *(result[4] for result in results)]
    return {
        "options": options,
        "observations": np.stack([steps[0][0], *(result[0] for result in results)]),
        "actions": decided[: len(results)].astype(np.int64),
        "rewards": [float(result[1]) for result in results],
        "terminations": [bool(result[2]) for result in results],
        "truncations": [bool(result[3]) for result in results],
        "infos": {name: [info[name] for info in infos] for name in infos[0]},
    }


def _steps(env: gym.Env[Any, Any], decided: NDArray[np.int8]) -> Iterator[tuple[Any, ...]]:
    for action in decided:
        result = env.step(max(int(action), 0))  # where no model is left, any action ends the episode
        yield result
        if result[2] or result[3]:
            return
