"""Lessons of the planner, SIMULATED sources only: a policy for every budget learns what the optimum does.

The planner (:mod:`gym_stepwise_routing.planning`) knows the simulator's process, and its router what can be concluded
from all that was seen. The network sees the observation alone. It imitates the optimal router of each budget in the
states that this router reaches: behaviour cloning, Pomerleau 1991. That takes seconds where rollouts take minutes, and
is no way to train on recorded models, whose process nobody knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch as th
from numpy.typing import NDArray

from gym_stepwise_routing.agents.common.policies import CostActorCriticPolicy
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.sources.simulator.simulator_source import SimulatorSource

if TYPE_CHECKING:
    from gym_stepwise_routing.planning.planner import Planner

__all__ = ["Lessons", "States", "teach", "watch"]

_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Lessons:
    """How a policy is taught.

    Attributes:
        episodes: of the optimal routers that are watched, each with a budget of its own, >= 1.
        passes: over all their decisions, >= 1.
        learning_rate: of Adam at the start, > 0; it falls to 0.
        batch_size: decisions in a gradient step, >= 1.
        resolution: of the planner's grid of beliefs, >= 1.

    Raises:
        ValueError: a number out of range.
    """

    episodes: int = 120_000
    passes: int = 6
    learning_rate: float = 0.005
    batch_size: int = 2048
    resolution: int = 24

    def __post_init__(self) -> None:
        for name in ("episodes", "passes", "batch_size", "resolution"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"lessons: {name}={value!r}; allowed: an integer >= 1")
        if not self.learning_rate > 0:
            raise ValueError(f"lessons: learning_rate={self.learning_rate!r}; allowed: a number > 0")


class States(NamedTuple):
    """Decisions of optimal routers.

    Attributes:
        observation: ``float32[N, features]`` what the policy would have seen, budget included.
        mask: ``bool[N, K]`` what was allowed.
        action: ``int64[N]`` what the optimal router did.
    """

    observation: NDArray[np.float32]
    mask: NDArray[np.bool_]
    action: NDArray[np.int64]


def watch(game: Game, lessons: Lessons, seed: int) -> States:
    """What the optimal routers do, each for its budget.

    Budgets are drawn from the range of the game. The optimum at a budget is a coin between two optima at a price
    (:class:`gym_stepwise_routing.planning.optimal_frontier.Mixture`), tossed at the start of the episode.

    Args:
        game: of a simulator, with a range of budgets.
        lessons: how many episodes.
        seed: of budgets, coins and episodes.

    Raises:
        NotApplicableError: no simulator, or one that the planner cannot plan for.
        ValueError: a game without a range of budgets.
    """
    if not isinstance(game.source, SimulatorSource):
        raise NotApplicableError(f"lessons with {game.source.kind} {game.source.name!r}; allowed: a simulator's preset")
    if not isinstance(game.budget, tuple):
        raise ValueError(f"lessons with budget={game.budget!r}; allowed: a range (low, high)")
    from gym_stepwise_routing.planning.planner import Planner, shown_information  # for lessons alone

    planner = Planner(
        game.source,
        mode=game.rules.mode,
        cost_unit=game.cost_unit,
        information=shown_information(game.source, game.rules.blocks),
        resolution=lessons.resolution,
    )
    parts = _decisions(game, game.budget, planner, lessons.episodes, seed)
    return States(*map(np.concatenate, zip(*parts, strict=True)))


def _decisions(
    game: Game, budgets: tuple[float, float], planner: Planner, episodes: int, seed: int
) -> Iterator[States]:
    rng = np.random.default_rng(seed)
    solutions = planner.frontier(_TOLERANCE).solutions
    # the game's normaliser is an estimate of the planner's
    costs = np.array([solution.cost for solution in solutions]) * planner.costs.normaliser / game.normaliser
    budget = rng.uniform(*budgets, size=episodes)
    dear = np.clip(np.searchsorted(costs, budget), 1, len(costs) - 1)
    share = np.clip((budget - costs[dear - 1]) / (costs[dear] - costs[dear - 1]), 0.0, 1.0)
    chosen = np.where(rng.random(episodes) < share, dear, dear - 1)
    for number in np.unique(chosen).tolist():
        own = budget[chosen == number]
        turns = planner.turns(solutions[number].multiplier, game.rules, episodes=len(own), seed=(seed, number))
        for turn in turns:
            raw = game.rules.cost(turn.before)
            seen = game.rules.observe(turn.before, game.normaliser, raw)
            shown = game.show_budget(seen, raw / game.normaliser, own[turn.number])
            yield States(shown, game.rules.masks(turn.before), turn.actions)


def teach(policy: CostActorCriticPolicy, states: States, lessons: Lessons, seed: int) -> None:
    """Make the optimal routers' decisions likely: the mean cross-entropy falls by Adam. The critics stay as they are.

    Args:
        policy: is changed in place.
        states: what to imitate.
        lessons: how often and how fast.
        seed: of the order.
    """
    rng = np.random.default_rng(seed)
    observation, action = th.as_tensor(states.observation), th.as_tensor(states.action)
    size = min(lessons.batch_size, len(action))
    batches = len(action) // size
    optimizer = th.optim.Adam(policy.parameters(), lr=lessons.learning_rate)
    fall = th.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=lessons.passes * batches)
    policy.set_training_mode(True)
    for _ in range(lessons.passes):
        for rows in np.array_split(rng.permutation(len(action))[: batches * size], batches):
            taken = policy.get_distribution(observation[rows], states.mask[rows]).log_prob(action[rows])
            optimizer.zero_grad()
            (-taken.mean()).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            fall.step()
