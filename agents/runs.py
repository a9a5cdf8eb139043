"""A training run as a folder: what was trained, on what, and a router that loads without what trained it.

Nothing here needs PyTorch; :mod:`gym_stepwise_routing.agents.run_training` makes such folders.

=================  =====================================================================================
file               content
=================  =====================================================================================
``manifest.json``  agent, seed, hyperparameters, game with the bank's hash, versions (:class:`RunManifest`)
``router.npz``     the policy as arrays (:class:`gym_stepwise_routing.routers.policy_network.PolicyNetwork`)
``model.zip``      Stable-Baselines3's own file, to go on training; it holds pickles and is not needed to play
=================  =====================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.game.config import RoutingSpec
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.base import ThresholdRouter
from gym_stepwise_routing.routers.policy_network import PolicyNetwork
from gym_stepwise_routing.routers.provenance import GameDescription
from gym_stepwise_routing.storage.atomic import read_arrays
from gym_stepwise_routing.storage.strict_json import decode, parse_json, read_json

__all__ = ["RunManifest", "TrainedRouter", "check_trust", "load_manifest", "load_run"]

FORMAT = 3
READABLE = (2, FORMAT)
ADDED_IN_3 = ("accuracy", "cost", "limit_kept", "kappa_fit")


@dataclass(frozen=True, slots=True)
class RunManifest:
    """How a router came about.

    Attributes:
        format: version of the folder's layout.
        agent: name of the agent.
        seed: seed of the run.
        hyperparameters: its settings.
        arguments: further arguments of the algorithm, such as ``limit``.
        steps: environment steps taken; of ``exact``, which plays none, gradient steps.
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
    def load(cls, path: str | Path) -> RunManifest:
        """Read ``manifest.json``.

        Raises:
            ValueError: it cannot be read, has other fields or another format.
        """
        path = Path(path)
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
            GameDescription.read(content.get("game"), path, "game")  # a bank by a former name is the first thing to say
        manifest: RunManifest = decode(cls, content, path)
        return manifest


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


def load_run(path: str | Path, policy: str | None = None) -> TrainedRouter:
    """The router of a run. Neither PyTorch nor Stable-Baselines3 is needed, and no code of the files is run.

    It is bound to the game of its training, and can be asked at once.

    Args:
        path: folder of a run; or an ``.npz`` file of policies, each with its manifest as JSON text in ``manifest``.
        policy: name of the policy in a file of several; None for a folder, or a file that is one policy.

    Raises:
        ValueError: a file is missing or damaged, or has no such policy.
    """
    path = Path(path)
    network = PolicyNetwork.load(path / "router.npz" if path.is_dir() else path, policy)
    router = TrainedRouter(network, load_manifest(path, policy))
    router.bind(router.trained_on.spec)
    return router


def load_manifest(path: str | Path, policy: str | None = None) -> RunManifest:
    """The manifest of a run; arguments and errors as for :func:`load_run`."""
    path = Path(path)
    if path.is_dir():
        return RunManifest.load(path / "manifest.json")
    with read_arrays(path, "policy with a manifest", policy) as stored:
        content = parse_json(str(stored["manifest"]), path)
    return RunManifest.of(content, path)


def check_trust(path: Path, trust: bool) -> None:
    """Raise ``ValueError`` for a missing file, and unless ``trust`` is True."""
    if not path.is_file():
        raise ValueError(f"{path} is missing")
    if trust is not True:
        raise ValueError(
            f"trust={trust!r}: {path} holds pickles, which can run any code; allowed: trust=True if you know its author"
        )
