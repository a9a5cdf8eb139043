"""Discrete CQL of d3rlpy on a Minari data set of random play: offline, not one new step is asked of a model.

``python examples/with_d3rlpy.py --steps 20000``. With ``--budgets 0.3 0.6`` an episode shows the budget that it turned
out to need (hindsight), and the policy is played at these. MINARI_DATASETS_PATH says where data sets are kept.
"""

from __future__ import annotations

import argparse
from typing import Any

import d3rlpy
import minari
import numpy as np
import torch
from numpy.typing import NDArray

from gym_stepwise_routing.comparison.minari_datasets import dataset_id, export_minari, load_minari
from gym_stepwise_routing.evaluation.evaluate import evaluate
from gym_stepwise_routing.game.config import DEFAULT_BANK, GameConfig
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.base import as_batch

PENALTY = 0.42


class Offline:
    """A learner of d3rlpy as a router."""

    name = "d3rlpy-cql"

    def __init__(self, learner: Any) -> None:
        self.learner = learner

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[NDArray[np.int64], Any]:
        """Greedy actions ``int64[B]``."""
        batch, single = as_batch(observation)
        actions = self.learner.predict(batch).astype(np.int64)
        return actions[0] if single else actions, state


def recorded(game: GameConfig, passes: int, hindsight: bool) -> minari.MinariDataset:
    """The data set of random play, made where it is not there yet."""
    name = dataset_id(Game(game), "random", hindsight)
    if name in minari.list_local_datasets():
        return load_minari(name)
    return export_minari(game, "random", passes=passes, hindsight=hindsight)


def as_d3rlpy(dataset: minari.MinariDataset) -> d3rlpy.dataset.MDPDataset:
    """The episodes with the cost taken off the reward; the first row of the infos is the reset's."""
    episodes = list(dataset.iterate_episodes())
    rewards = [episode.rewards - PENALTY * episode.infos["cost"][1:] for episode in episodes]
    return d3rlpy.dataset.MDPDataset(
        observations=np.concatenate([episode.observations[:-1] for episode in episodes]),
        actions=np.concatenate([episode.actions for episode in episodes])[:, None],
        rewards=np.concatenate(rewards)[:, None].astype(np.float32),
        terminals=np.concatenate([episode.terminations for episode in episodes]).astype(np.float32),
        action_space=d3rlpy.constants.ActionSpace.DISCRETE,
        action_size=int(dataset.action_space.n),
    )


def main() -> None:
    """Record, train offline, and evaluate on the test split as any other router."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20_000, help="updates of the learner")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--passes", type=int, default=3, help="plays of each problem")
    parser.add_argument("--budgets", type=float, nargs="*", help="train on hindsight budgets, and play at these")
    args = parser.parse_args()
    d3rlpy.seed(args.seed)
    torch.set_num_threads(1)
    game = GameConfig(DEFAULT_BANK, mode="regenerate", cost_unit="large_tokens")
    hindsight = args.budgets is not None
    data = as_d3rlpy(recorded(game, args.passes, hindsight))
    encoder = d3rlpy.models.VectorEncoderFactory([32])
    learner = d3rlpy.algos.DiscreteCQLConfig(
        batch_size=256, learning_rate=1e-3, gamma=1.0, alpha=0.1, encoder_factory=encoder
    ).create(device=False)
    epoch = min(args.steps, 5000)
    silent = d3rlpy.logging.NoopAdapterFactory()
    learner.fit(data, n_steps=args.steps, n_steps_per_epoch=epoch, logger_adapter=silent, show_progress=False)
    for budget in args.budgets or [None]:
        played = evaluate(Offline(learner), game, "test", budget=budget)
        gain = played.accuracy - PENALTY * played.mean_cost
        shown = "" if budget is None else f" (budget {budget:g}, exceeded by {played.bankrupt.mean():.2f})"
        print(f"{Offline.name}{shown}: accuracy {played.accuracy:.3f} cost {played.mean_cost:.3f} return {gain:.3f}")


if __name__ == "__main__":
    main()
