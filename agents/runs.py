"""A training run as a folder: what was trained, on what, and a router that loads without what trained it.

=================  =====================================================================================
file               content
=================  =====================================================================================
``manifest.json``  agent, seed, hyperparameters, game with the bank's hash, versions (:class:`RunManifest`)
``router.npz``     the policy as arrays (:class:`gym_stepwise_routing.routers.policy_network.PolicyNetwork`)
``model.zip``      Stable-Baselines3's own file, to go on training; it holds pickles and is not needed to play
=================  =====================================================================================
"""

from __future__ import annotations

import json
import math
import time
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gym_stepwise_routing.agents.agent import AGENTS
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.game.config import GameConfig, RoutingSpec
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.base import ThresholdRouter
from gym_stepwise_routing.routers.policy_network import PolicyNetwork
from gym_stepwise_routing.routers.provenance import GameDescription, versions
from gym_stepwise_routing.storage.atomic import new_folder, read_arrays, read_json, to_record, write_json

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

    from gym_stepwise_routing.agents.training import Checkpoints, Hyperparameters, Progress

__all__ = [
    "RunManifest",
    "TrainedRouter",
    "load_manifest",
    "load_model",
    "load_run",
    "save_run",
    "settings_of",
    "train_run",
]

FORMAT = 3
READABLE = (2, FORMAT)
ADDED_IN_3 = ("accuracy", "cost", "limit_kept", "kappa_fit")
HELD_OUT = 0.2
"""Share of the train problems that CCPO's threshold is fitted on at the end, and which its training does not see."""
SLACK = 1e-6
"""A limit counts as kept where it is exceeded by less."""


@dataclass(frozen=True, slots=True)
class RunManifest:
    """How a router came about.

    Attributes:
        format: version of the folder's layout.
        agent: name of the agent.
        seed: seed of the run.
        hyperparameters: its settings.
        arguments: further arguments of the algorithm, such as ``limit``.
        steps: environment steps taken.
        seconds: duration of the training, wall clock.
        threshold: threshold that the agent came to by itself, 0.5 if it has none.
        tilt: how far the router's policy is tilted towards smaller models against that of ``model.zip``, so that its
            mean cost (or accuracy) on the training problems keeps the limit
            (:func:`gym_stepwise_routing.agents.limits.tilted`).
        accuracy: accuracy on the training problems of the saved router as it is meant to be played: actions drawn, or
            at CCPO's threshold (on random sources a play's estimate). None where no limit is to be kept.
        cost: its mean cost there, or None.
        limit_kept: whether these keep the limit; None as above.
        kappa_fit: CCPO's batch conformal fit: what it found on how many held-out problems, which is no guarantee with
            an accuracy floor (:mod:`...ccpo.fit`); None for other agents.
        game: the game it was trained on.
        versions: versions of Python and of the packages that matter.
    """

    format: int
    agent: str
    seed: int
    hyperparameters: dict[str, Any]
    arguments: dict[str, Any]
    steps: int
    seconds: float
    threshold: float
    tilt: float
    accuracy: float | None
    cost: float | None
    limit_kept: bool | None
    kappa_fit: dict[str, Any] | None
    game: GameDescription
    versions: dict[str, str]

    @classmethod
    def load(cls, path: Path) -> RunManifest:
        """Read ``manifest.json``.

        Raises:
            ValueError: it cannot be read, has other fields or another format.
        """
        return cls.of(read_json(path), path)

    @classmethod
    def of(cls, content: Any, path: Path) -> RunManifest:
        """A manifest from its JSON content, which stood in ``path``.

        Raises:
            ValueError: as :meth:`load`.
        """
        if isinstance(content, dict):
            check_choice(f"{path}: format", content.get("format"), READABLE)
            if content["format"] == 2:  # written before achieved figures were told
                content = content | dict.fromkeys(ADDED_IN_3)
            content = content | {"game": GameDescription.read(content.get("game"), path)}
        return to_record(content, cls, path)


class TrainedRouter(ThresholdRouter):
    """A trained policy that knows what it was trained on, and refuses other games.

    Args:
        network: the policy.
        manifest: how it came about.
    """

    def __init__(self, network: PolicyNetwork, manifest: RunManifest) -> None:
        super().__init__(network, manifest.threshold)
        self.network = network
        self.manifest = manifest

    @property
    def trained_on(self) -> GameDescription:
        """The game of the training."""
        return self.manifest.game

    def bind(self, spec: RoutingSpec) -> None:
        """Check that observations and actions mean what they meant in training.

        Raises:
            ValueError: another mode, cost unit, pool or observation.
        """
        self.manifest.game.check_spec(spec, self._called)
        super().bind(spec)

    def check_game(self, game: Game) -> None:
        """Refuse another bank than that of the training.

        Raises:
            ValueError: the bank's content differs, or as :meth:`bind`.
        """
        self.manifest.game.check_game(game, self._called)

    @property
    def _called(self) -> str:
        return f"router {self.name!r} (seed {self.manifest.seed})"


def train_run(
    agent: str,
    folder: Path,
    *,
    seed: int,
    game: GameConfig,
    settings: Hyperparameters | None = None,
    progress: Progress | None = None,
    tensorboard_log: Path | None = None,
    checkpoints: Checkpoints | None = None,
    resume: Path | None = None,
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
    from gym_stepwise_routing.agents.training import absolute, hyperparameters, train

    kind, algorithm = AGENTS.get(agent), absolute(algorithm, game)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):  # before the training, not after it
        raise ValueError(f"folder={str(folder)!r} exists and is not empty; allowed: a new folder, or an empty one")
    if settings is None:
        settings = hyperparameters(agent, kind.settings_for.get(algorithm.get("constraint", ""))) if resume is None else settings_of(resume)
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
    kappa_fit = None if held_out is None else _fit_kappa(model, held_out, seed)
    tilt = _tilt(model, env.env.game, algorithm) if kind.keeps == "tilt" else 0.0
    accuracy, cost, kept = _achieved(model, env.env.game, tilt, algorithm)
    manifest = RunManifest(
        format=FORMAT,
        agent=agent,
        seed=seed,
        hyperparameters=_as_read_back(settings),
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
    from gym_stepwise_routing.agents.limits import tilt_to_floor, tilt_to_limit
    from gym_stepwise_routing.agents.scores import scored

    limit = arguments.get("limit", math.inf)
    if limit in (0, math.inf) or game.hard_budget:  # with a hard one the policy's cost is cut off by the environment
        return 0.0
    floor = arguments.get("constraint", "cost_limit") == "accuracy_floor"
    return (tilt_to_floor if floor else tilt_to_limit)(scored(model), game, limit)


def _held_out(game: GameConfig, seed: int) -> tuple[GameConfig, Game]:
    """What CCPO is trained on, and the game that its threshold is fitted on: never calibration or test problems.

    The problems of a random source are drawn anew at every play: nothing has to be held out there.
    """
    from gym_stepwise_routing.agents.training import train_game
    from gym_stepwise_routing.sources.recorded import BankSource
    from gym_stepwise_routing.sources.subset import hold_out

    whole = train_game(replace(game, masked_action="project"))
    if not isinstance(whole.source, BankSource):
        return game, whole
    part = hold_out(whole.source, HELD_OUT, seed=seed)
    played = replace(game, source=part, normaliser=whole.normaliser)
    return played, Game(replace(whole.config, source=part, split="calibration"))


def _fit_kappa(model: Any, held_out: Game, seed: int) -> dict[str, Any] | None:
    """CCPO's batch conformal fit, as the manifest tells it; None where there is no limit to fit to."""
    from gym_stepwise_routing.agents.ccpo.fit import fit_to_game

    if model.limit in (0, math.inf) or (model.constraint == "accuracy_floor" and model.limit == 1):
        return None
    return asdict(fit_to_game(model, held_out, seed=seed))


def _achieved(
    model: BaseAlgorithm, game: Game, tilt: float, arguments: dict[str, Any]
) -> tuple[float | None, float | None, bool | None]:
    """Accuracy and mean cost on the training problems, and whether they keep the limit; None without a limit."""
    from gym_stepwise_routing.agents.limits import mean_outcome, tilted
    from gym_stepwise_routing.agents.scores import scored
    from gym_stepwise_routing.evaluation.evaluate import play

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
    from gym_stepwise_routing.agents.limits import cheapest
    from gym_stepwise_routing.agents.training import train_game

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


def settings_of(folder: Path) -> Hyperparameters:
    """The hyperparameters of a run.

    Raises:
        ValueError: its manifest is missing or damaged.
    """
    from gym_stepwise_routing.agents.training import Hyperparameters

    path = folder / "manifest.json"
    return to_record(RunManifest.load(path).hyperparameters, Hyperparameters, path)


def _as_read_back(settings: Hyperparameters) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(json.dumps(asdict(settings)))
    return content


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
    from gym_stepwise_routing.agents.training import environment_config, train_game

    manifest = RunManifest.load(folder / "manifest.json")
    check_choice("agent", agent, [manifest.agent])
    given = {name: value if value != math.inf else "inf" for name, value in arguments.items()}
    if given != manifest.arguments:
        raise ValueError(f"arguments {given} with resume={str(folder)!r}; allowed: {manifest.arguments}, as it began")
    manifest.game.check_game(train_game(game), f"the run {folder.name!r}")
    environment = environment_config(game, settings)
    began = {**_as_read_back(settings_of(folder)), "seed": manifest.seed}
    asked = {**_as_read_back(settings), "seed": seed, "total_timesteps": began["total_timesteps"]}
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
    from gym_stepwise_routing.agents.limits import tilted
    from gym_stepwise_routing.agents.scores import scored

    network = tilted(scored(model, name=manifest.agent), manifest.tilt)
    with new_folder(folder) as temporary:
        write_json(temporary / "manifest.json", asdict(manifest))
        network.save(temporary / "router.npz")
        model.save(temporary / "model.zip")
    return TrainedRouter(network, manifest)


def load_run(path: Path, policy: str | None = None) -> TrainedRouter:
    """The router of a run. Neither PyTorch nor Stable-Baselines3 is needed, and no code of the files is run.

    Args:
        path: folder of a run; or an ``.npz`` file of policies, each with its manifest as JSON text in ``manifest``.
        policy: name of the policy in a file of several; None for a folder, or a file that is one policy.

    Raises:
        ValueError: a file is missing or damaged, or has no such policy.
    """
    network = PolicyNetwork.load(path / "router.npz" if path.is_dir() else path, policy)
    return TrainedRouter(network, load_manifest(path, policy))


def load_manifest(path: Path, policy: str | None = None) -> RunManifest:
    """The manifest of a run; arguments and errors as for :func:`load_run`."""
    if path.is_dir():
        return RunManifest.load(path / "manifest.json")
    with read_arrays(path, "policy with a manifest", policy) as stored:
        content = json.loads(str(stored["manifest"]))
    return RunManifest.of(content, path)


def load_model(folder: Path, *, trust: bool = False) -> BaseAlgorithm:
    """The Stable-Baselines3 model of a run, to go on training.

    Args:
        folder: folder of the run.
        trust: the file holds pickles, which run whatever code whoever wrote them put there. True says that you know who
            wrote it.

    Raises:
        ValueError: ``trust`` is False, or a file is missing or damaged.
    """
    manifest = RunManifest.load(folder / "manifest.json")
    check_trust(folder / "model.zip", trust)
    return AGENTS.get(manifest.agent).load().load(folder / "model.zip", device="cpu")


def check_trust(path: Path, trust: bool) -> None:
    """Raise ``ValueError`` for a missing file, and unless ``trust`` is True."""
    if not path.is_file():
        raise ValueError(f"{path} is missing")
    if trust is not True:
        raise ValueError(
            f"trust={trust!r}: {path} holds pickles, which can run any code; allowed: trust=True if you know its author"
        )
