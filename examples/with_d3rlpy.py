"""Discrete CQL of d3rlpy on a Minari data set of random play: offline, not one new step is asked of a model.

``python examples/with_d3rlpy.py --steps 20000``. With ``--budgets 0.3 0.6`` an episode shows the budget that it turned
out to need (hindsight), and the policy is played at these. MINARI_DATASETS_PATH says where data sets are kept; one of
them serves one game. ``--track gsm8k-regenerate --save FOLDER`` keeps a run that ``submit`` takes.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import d3rlpy
import minari
import numpy as np
import torch

from gym_stepwise_routing.agents.runs import FORMAT, RunManifest, TrainedRouter
from gym_stepwise_routing.agents.scores import VALUE_TEMPERATURE, dense_layers
from gym_stepwise_routing.comparison.minari_datasets import dataset_id, export_minari, load_minari
from gym_stepwise_routing.evaluation.evaluate import evaluate
from gym_stepwise_routing.game.config import DEFAULT_BANK, GameConfig
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.leaderboard.track import TRACKS, Track
from gym_stepwise_routing.routers.policy_network import PolicyNetwork
from gym_stepwise_routing.routers.provenance import GameDescription, versions
from gym_stepwise_routing.storage.atomic import new_folder, write_json

PENALTY = 0.42
SETTINGS = {"batch_size": 256, "learning_rate": 1e-3, "gamma": 1.0, "alpha": 0.1, "target_update_interval": 200}


def offline_router(learner: Any, game: GameConfig, args: argparse.Namespace, seconds: float) -> TrainedRouter:
    """What the learner found, as arrays: the more a larger model's value exceeds the others', the higher its score."""
    function = learner.impl.q_function[0]
    layers = dense_layers([*function.encoder._layers, function._fc])
    network = PolicyNetwork(layers, temperature=VALUE_TEMPERATURE, name="d3rlpy-cql")
    known: dict[str, Any] = dict.fromkeys(("accuracy", "cost", "limit_kept", "kappa_fit"))
    known |= {"arguments": {"passes": args.passes, "penalty": PENALTY}, "hyperparameters": SETTINGS, "tilt": 0.0}
    known |= {"game": GameDescription.of(Game(game)), "versions": versions() | {"d3rlpy": d3rlpy.__version__}}
    known |= {"format": FORMAT, "agent": network.name, "threshold": 0.5}
    return TrainedRouter(network, RunManifest(seed=args.seed, steps=args.steps, seconds=seconds, **known))


def recorded(game: GameConfig, passes: int, hindsight: bool) -> minari.MinariDataset:
    """The data set of random play, made where it is not there yet."""
    name = dataset_id(Game(game), "random", hindsight)
    if name in minari.list_local_datasets():
        dataset = load_minari(name)
        spec, wanted = dataset.recover_environment().unwrapped.routing_spec, Game(game).spec
        if (spec.cost_unit, spec.normaliser) != (wanted.cost_unit, wanted.normaliser) and not hindsight:
            raise ValueError(
                f"{name} has costs in {spec.cost_unit}; allowed: another MINARI_DATASETS_PATH for this game"
            )
        return dataset
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
    parser.add_argument("--track", help="the game of a track of the board, instead of the other examples' game")
    parser.add_argument("--save", type=Path, help="new folder for the run")
    args = parser.parse_args()
    d3rlpy.seed(args.seed)
    torch.set_num_threads(1)
    game = GameConfig(DEFAULT_BANK, mode="regenerate", cost_unit="large_tokens")
    if args.track is not None:
        track = Track.read(TRACKS / f"{args.track}.json")
        unit = track.spec.cost_unit
        game = GameConfig(track.spec.source, mode=track.spec.mode, cost_unit=unit, normaliser=track.normalisers[unit])
    hindsight = args.budgets is not None
    data = as_d3rlpy(recorded(game, args.passes, hindsight))
    begin, encoder = time.perf_counter(), d3rlpy.models.VectorEncoderFactory([32])
    learner = d3rlpy.algos.DiscreteCQLConfig(encoder_factory=encoder, **SETTINGS).create(device=False)
    epoch = min(args.steps, 5000)
    silent = d3rlpy.logging.NoopAdapterFactory()
    learner.fit(data, n_steps=args.steps, n_steps_per_epoch=epoch, logger_adapter=silent, show_progress=False)
    router = offline_router(learner, game, args, time.perf_counter() - begin)
    if args.save is not None:
        with new_folder(args.save) as folder:
            write_json(folder / "manifest.json", asdict(router.manifest))
            router.network.save(folder / "router.npz")
    for budget in args.budgets or [None]:
        played = evaluate(router.network, game, "test", budget=budget)
        gain = played.accuracy - PENALTY * played.mean_cost
        shown = "" if budget is None else f" (budget {budget:g}, exceeded by {played.bankrupt.mean():.2f})"
        print(f"{router.name}{shown}: accuracy {played.accuracy:.3f} cost {played.mean_cost:.3f} return {gain:.3f}")


if __name__ == "__main__":
    main()
