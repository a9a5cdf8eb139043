"""Train an agent and keep the run as a folder (:mod:`gym_stepwise_routing.agents.runs`), or go on with one."""

from __future__ import annotations

import math
import time
import warnings
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm

from gym_stepwise_routing.agents.agent import AGENTS
from gym_stepwise_routing.agents.ccpo.fit import fit_to_game
from gym_stepwise_routing.agents.limits import cheapest, mean_outcome, tilt_to_floor, tilt_to_limit, tilted
from gym_stepwise_routing.agents.runs import FORMAT, RunManifest, TrainedRouter, check_trust
from gym_stepwise_routing.agents.scores import scored
from gym_stepwise_routing.agents.training import (
    Checkpoints,
    Hyperparameters,
    Progress,
    absolute,
    environment_config,
    hyperparameters,
    train,
    train_game,
)
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.evaluation.evaluate import play
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.provenance import GameDescription, versions
from gym_stepwise_routing.sources.recorded import BankSource
from gym_stepwise_routing.sources.subset import hold_out
from gym_stepwise_routing.storage.atomic import new_folder, write_json
from gym_stepwise_routing.storage.strict_json import decode, to_json

__all__ = ["load_model", "save_run", "settings_of", "train_run"]

HELD_OUT = 0.2
"""Share of the train problems that CCPO's threshold is fitted on at the end, and which its training does not see."""
SLACK = 1e-6
"""A limit counts as kept where it is exceeded by less."""


def train_run(
    agent: str,
    folder: str | Path,
    *,
    seed: int,
    game: GameConfig,
    settings: Hyperparameters | None = None,
    progress: Progress | None = None,
    tensorboard_log: str | Path | None = None,
    checkpoints: Checkpoints | None = None,
    resume: str | Path | None = None,
    trust: bool = False,
    **algorithm: Any,
) -> TrainedRouter:
    """Train one agent with one seed and save the run; arguments as in :func:`...training.train`.

    A limit that cannot be kept is warned of before the training, and told in the manifest after it. CCPO is trained on
    80 % of a bank's train problems; its threshold is fitted on the others (:mod:`...ccpo.fit`).

    Args:
        agent: as in ``train``, like the rest that is not described here.
        folder: where the run is saved; a new folder, or an empty one.
        seed: seed of networks, actions and problems.
        game: the game.
        settings: hyperparameters; None: those that come with the agent, or those of the run that goes on.
        progress: told the number of steps so far.
        tensorboard_log: folder of TensorBoard logs; None: no logs.
        checkpoints: when and where models are saved on the way; None: never.
        resume: folder of a run that goes on: the same agent, constraint, seed (CCPO's held-out problems are drawn with
            it), game and budget. Its settings stay; ``settings`` may differ from them in ``total_timesteps`` only.
        trust: needed to resume; see :func:`load_model`.
        **algorithm: constraint and further arguments of the algorithm.

    Raises:
        ValueError: a bad argument, a folder that is not empty, or a run that cannot be resumed with these.
    """
    folder, resume = Path(folder), None if resume is None else Path(resume)
    kind, algorithm = AGENTS.get(agent), absolute(algorithm, game)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):  # before the training, not after it
        raise ValueError(f"folder={str(folder)!r} exists and is not empty; allowed: a new folder, or an empty one")
    if settings is None:
        variant = kind.settings_for.get(algorithm.get("constraint", ""))
        settings = hyperparameters(agent, variant) if resume is None else settings_of(resume)
    played, held_out = _held_out(game, seed) if kind.keeps == "held_out" else (game, None)
    resumed = None if resume is None else _resumed(resume, trust, agent, seed, played, settings, algorithm)
    _warn_unreachable(played, algorithm)
    begin = time.perf_counter()
    model = train(
        agent,
        seed=seed,
        game=played,
        settings=settings,
        progress=progress,
        tensorboard_log=tensorboard_log,
        checkpoints=checkpoints,
        resumed=resumed,
        **algorithm,
    )
    seconds = time.perf_counter() - begin
    env: Any = model.get_env()
    kappa_fit = None if held_out is None else _fit_kappa(model, held_out, env.env.game, seed)
    tilt = _tilt(model, env.env.game, algorithm) if kind.keeps == "tilt" else 0.0
    accuracy, cost, kept = _achieved(model, env.env.game, tilt, algorithm)
    manifest = RunManifest(
        format=FORMAT,
        agent=agent,
        seed=seed,
        hyperparameters=to_json(settings),
        arguments={name: value if value != math.inf else "inf" for name, value in algorithm.items()},
        steps=model.num_timesteps,
        seconds=round(seconds, 2),
        threshold=float(getattr(model, "kappa", 0.5)),  # CCPO trains a threshold of its own
        tilt=tilt,
        accuracy=accuracy,
        cost=cost,
        limit_kept=kept,
        kappa_fit=kappa_fit,
        game=GameDescription.of(env.env.game),
        versions=versions(),
    )
    return save_run(folder, model, manifest)


def _tilt(model: BaseAlgorithm, game: Game, arguments: dict[str, Any]) -> float:
    """The tilt that keeps a run to its limit; 0 for what has none."""
    limit = arguments.get("limit", math.inf)
    if limit in (0, math.inf) or game.hard_budget:  # with a hard one the policy's cost is cut off by the environment
        return 0.0
    floor = arguments.get("constraint", "cost_limit") == "accuracy_floor"
    return (tilt_to_floor if floor else tilt_to_limit)(scored(model), game, limit)


def _held_out(game: GameConfig, seed: int) -> tuple[GameConfig, Game]:
    """What CCPO is trained on, and the game that its threshold is fitted on: never calibration or test problems.

    The problems of a random source are drawn anew at every play: nothing has to be held out there.
    """
    whole = train_game(replace(game, masked_action="project"))
    if not isinstance(whole.source, BankSource):
        return game, whole
    part = hold_out(whole.source, HELD_OUT, seed=seed)
    played = replace(game, source=part, normaliser=whole.normaliser)
    return played, Game(replace(whole.config, source=part, split="calibration"))


def _fit_kappa(model: Any, held_out: Game, practice: Game, seed: int) -> dict[str, Any] | None:
    """CCPO's batch conformal fit, as the manifest tells it; None where there is no limit to fit to."""
    if model.limit in (0, math.inf) or (model.constraint == "accuracy_floor" and model.limit == 1):
        return None
    return asdict(fit_to_game(model, held_out, practice=practice, seed=seed))


def _achieved(
    model: BaseAlgorithm, game: Game, tilt: float, arguments: dict[str, Any]
) -> tuple[float | None, float | None, bool | None]:
    """Accuracy and mean cost on the training problems, and whether they keep the limit; None without a limit."""
    limit = arguments.get("limit")
    if limit is None or limit == math.inf or game.hard_budget:
        return None, None, None
    kappa = getattr(model, "kappa", None)
    if kappa is None:
        accuracy, cost = mean_outcome(tilted(scored(model), tilt), game)
    else:
        played = play(scored(model, threshold=float(kappa)), game)
        accuracy, cost = float(played.accuracy), float(played.mean_cost)
    floor = getattr(model, "constraint", "cost_limit") == "accuracy_floor"
    kept = accuracy >= limit - SLACK if floor else cost <= limit + SLACK
    return accuracy, cost, bool(kept)


def _warn_unreachable(game: GameConfig, arguments: dict[str, Any]) -> None:
    """Warn of a cost limit below always-smallest's cost, before minutes are spent on it."""
    limit = arguments.get("limit")
    if limit is None or arguments.get("constraint", "cost_limit") != "cost_limit":
        return
    least = cheapest(train_game(game))
    if limit < least:
        warnings.warn(
            f"limit={limit:g} is below {least:.3f}, what always-smallest costs on the training problems: hardly any "
            "policy keeps it",
            stacklevel=3,
        )


def settings_of(folder: str | Path) -> Hyperparameters:
    """The hyperparameters of a run.

    Raises:
        ValueError: its manifest is missing or damaged.
    """
    path = Path(folder) / "manifest.json"
    settings: Hyperparameters = decode(Hyperparameters, RunManifest.load(path).hyperparameters, path)
    return settings


def _resumed(
    folder: Path,
    trust: bool,
    agent: str,
    seed: int,
    game: GameConfig,
    settings: Hyperparameters,
    arguments: dict[str, Any],
) -> BaseAlgorithm:
    """The model of a run that goes on, if nothing is asked of it but more steps."""
    manifest = RunManifest.load(folder / "manifest.json")
    check_choice("agent", agent, [manifest.agent])
    given = {name: value if value != math.inf else "inf" for name, value in arguments.items()}
    if given != manifest.arguments:
        raise ValueError(f"arguments {given} with resume={str(folder)!r}; allowed: {manifest.arguments}, as it began")
    manifest.game.check_game(train_game(game), f"the run {folder.name!r}")
    environment = environment_config(game, settings)
    began = {**to_json(settings_of(folder)), "seed": manifest.seed}
    asked = {**to_json(settings), "seed": seed, "total_timesteps": began["total_timesteps"]}
    # The range that budgets are drawn from: the settings' own is clipped to what can be met, and a game's goes first.
    began |= {"budget": manifest.game.budget, "hard_budget": manifest.game.hard_budget}
    asked |= {
        "budget": environment.budget,
        "hard_budget": environment.hard_budget,
    }
    for name, own in began.items():
        if asked[name] != own:
            raise ValueError(f"{name}={asked[name]!r} with resume={str(folder)!r}; allowed: {own!r}, as it began")
    return load_model(folder, trust=trust)


def save_run(folder: Path, model: BaseAlgorithm, manifest: RunManifest) -> TrainedRouter:
    """Write the folder of a run and return its router.

    Raises:
        ValueError: the folder exists and is not empty, or the model has no policy that can be taken out.
    """
    network = tilted(scored(model, name=manifest.agent), manifest.tilt)
    with new_folder(folder) as temporary:
        write_json(temporary / "manifest.json", asdict(manifest))
        network.save(temporary / "router.npz")
        model.save(temporary / "model.zip")
    return TrainedRouter(network, manifest)


def load_model(folder: str | Path, *, trust: bool = False) -> BaseAlgorithm:
    """The Stable-Baselines3 model of a run, to go on training.

    Args:
        folder: folder of the run.
        trust: the file holds pickles, which run whatever code whoever wrote them put there. True says that you know who
            wrote it.

    Raises:
        ValueError: ``trust`` is False, or a file is missing or damaged.
    """
    folder = Path(folder)
    manifest = RunManifest.load(folder / "manifest.json")
    check_trust(folder / "model.zip", trust)
    return AGENTS.get(manifest.agent).load().load(folder / "model.zip", device="cpu")
