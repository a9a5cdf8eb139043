"""A training run as a folder: what was trained, on what, and a router that loads without what trained it.

=================  =====================================================================================
file               content
=================  =====================================================================================
``manifest.json``  agent, seed, hyperparameters, game with the bank's hash, versions (:class:`RunManifest`)
``router.npz``     the policy as arrays (:class:`gym_stepwise_routing.agents.networks.PolicyNetwork`)
``model.zip``      Stable-Baselines3's own file, to go on training; it holds pickles and is not needed to play
=================  =====================================================================================
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gym_stepwise_routing.agents.files import new_folder, read_json, to_record, write_json
from gym_stepwise_routing.agents.networks import PolicyNetwork
from gym_stepwise_routing.agents.provenance import GameDescription, versions
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.game import Game, RoutingSpec
from gym_stepwise_routing.routers import ThresholdRouter

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

    from gym_stepwise_routing.agents.training import Hyperparameters, Progress

__all__ = ["RunManifest", "TrainedRouter", "load_model", "load_run", "save_run", "train_run"]

FORMAT = 2


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
            mean cost on the training problems keeps the limit (:func:`gym_stepwise_routing.agents.limits.tilted`).
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
    game: GameDescription
    versions: dict[str, str]

    @classmethod
    def load(cls, path: Path) -> RunManifest:
        """Read ``manifest.json``.

        Raises:
            ValueError: it cannot be read, has other fields or another format.
        """
        content = read_json(path)
        if isinstance(content, dict):
            check_choice(f"{path}: format", content.get("format"), [FORMAT])
            content = content | {"game": to_record(content.get("game"), GameDescription, path)}
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
    game: dict[str, Any],
    settings: Hyperparameters | None = None,
    progress: Progress | None = None,
    **algorithm: Any,
) -> TrainedRouter:
    """Train one agent with one seed and save the run; arguments as in :func:`...training.train`.

    Raises:
        ValueError: a bad argument, or a folder that is not empty.
    """
    from gym_stepwise_routing.agents.training import hyperparameters, train

    settings = hyperparameters(agent) if settings is None else settings
    begin = time.perf_counter()
    model = train(agent, seed=seed, game=game, settings=settings, progress=progress, **algorithm)
    seconds = time.perf_counter() - begin
    env: Any = model.get_env()
    tilt = _tilt(model, agent, env.env.game, algorithm)
    manifest = RunManifest(
        format=FORMAT,
        agent=agent,
        seed=seed,
        hyperparameters=json.loads(json.dumps(asdict(settings))),  # as it will be read back
        arguments={name: value if value != math.inf else "inf" for name, value in algorithm.items()},
        steps=model.num_timesteps,
        seconds=round(seconds, 2),
        threshold=float(getattr(model, "kappa", 0.5)),  # CCPO trains a threshold of its own
        tilt=tilt,
        game=GameDescription.of(env.env.game),
        versions=versions(),
    )
    return save_run(folder, model, manifest)


def _tilt(model: BaseAlgorithm, agent: str, game: Game, arguments: dict[str, Any]) -> float:
    """The tilt that keeps a LagrangianPPO run to its cost limit; 0 for what has no such limit."""
    from gym_stepwise_routing.agents.limits import tilt_to_limit
    from gym_stepwise_routing.agents.scores import scored

    limit = arguments.get("limit", math.inf)
    if agent != "lagrangian_ppo" or arguments.get("constraint", "cost_limit") != "cost_limit" or limit in (0, math.inf):
        return 0.0
    if game.hard_budget:  # the policy's cost is cut off by the environment
        return 0.0
    return tilt_to_limit(scored(model), game, limit)


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


def load_run(folder: Path) -> TrainedRouter:
    """The router of a run. Neither PyTorch nor Stable-Baselines3 is needed, and no code of the folder is run.

    Raises:
        ValueError: a file is missing or damaged.
    """
    return TrainedRouter(PolicyNetwork.load(folder / "router.npz"), RunManifest.load(folder / "manifest.json"))


def load_model(folder: Path, *, trust: bool = False) -> BaseAlgorithm:
    """The Stable-Baselines3 model of a run, to go on training.

    Args:
        folder: folder of the run.
        trust: the file holds pickles, which run whatever code whoever wrote them put there. True says that you know who
            wrote it.

    Raises:
        ValueError: ``trust`` is False, or a file is missing or damaged.
    """
    from gym_stepwise_routing.agents.training import AGENTS

    manifest = RunManifest.load(folder / "manifest.json")
    check_trust(folder / "model.zip", trust)
    check_choice("agent", manifest.agent, AGENTS)
    return AGENTS[manifest.agent].load().load(folder / "model.zip", device="cpu")


def check_trust(path: Path, trust: bool) -> None:
    """Raise ``ValueError`` for a missing file, and unless ``trust`` is True."""
    if not path.is_file():
        raise ValueError(f"{path} is missing")
    if trust is not True:
        raise ValueError(
            f"trust={trust!r}: {path} holds pickles, which can run any code; allowed: trust=True if you know its author"
        )
