"""A calibrated router as one folder, which loads without the code and the state that trained it.

====================  ================================================================================================
file                  content
====================  ================================================================================================
``certificate.json``  what the threshold promises
``game.json``         the game that it was calibrated on
``manifest.json``     how the router was trained, for a :class:`...agents.runs.TrainedRouter`
``trained_on.json``   the game that any other policy was trained on, where that is known
``router.npz``        a policy as arrays, or
``rule.json``         a handcrafted rule by name and arguments, or
``router.pkl``        any other router, pickled: loads only with ``trust=True``
====================  ================================================================================================
"""

from __future__ import annotations

import pickle
from dataclasses import asdict
from pathlib import Path
from typing import get_args

from gym_stepwise_routing.agents.runs import RunManifest, TrainedRouter, check_trust
from gym_stepwise_routing.baselines import ConfidenceThreshold
from gym_stepwise_routing.baselines.confidence import ConfidenceFigure
from gym_stepwise_routing.calibration.certificate import CalibratedRouter, Certificate
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.base import Router, Scores
from gym_stepwise_routing.routers.policy_network import PolicyNetwork
from gym_stepwise_routing.routers.provenance import GameDescription
from gym_stepwise_routing.storage.atomic import new_folder, replaced, write_json
from gym_stepwise_routing.storage.strict_json import decode, read_json

__all__ = ["load_calibrated", "save_calibrated"]

FORMAT = 1


def save_calibrated(router: CalibratedRouter, folder: str | Path) -> None:
    """Write a calibrated router to a new folder.

    Args:
        router: what :func:`...calibrate` returned.
        folder: a folder that does not exist, or is empty.

    Raises:
        ValueError: the folder is not empty, or the router cannot be pickled.
    """
    with new_folder(Path(folder)) as temporary:
        write_json(temporary / "certificate.json", {"format": FORMAT, **asdict(router.certificate)})
        write_json(temporary / "game.json", asdict(router.game))
        if router.trained_on is not None and not isinstance(router.base, TrainedRouter):  # its manifest says so
            write_json(temporary / "trained_on.json", asdict(router.trained_on))
        _save_base(router.base, temporary)


def load_calibrated(folder: str | Path, *, trust: bool = False, game: Game | None = None) -> CalibratedRouter:
    """Read what :func:`save_calibrated` wrote, bound to the game of the calibration.

    Args:
        folder: the folder.
        trust: allow a pickled router, which runs whatever code its author put there.
        game: a game that the router is meant for; it is compared with the one that the router was calibrated on.

    Raises:
        ValueError: a file is missing or damaged; a pickle without ``trust``; or a game in which observations or actions
            mean something else, or on another bank.
    """
    folder = Path(folder)
    promised, played = folder / "certificate.json", folder / "game.json"
    content = read_json(promised)
    if isinstance(content, dict):
        check_choice(f"{promised}: format", content.pop("format", None), [FORMAT])
    certificate: Certificate = decode(Certificate, content, promised)
    description = GameDescription.read(read_json(played), played)
    try:
        certificate.check(description)
    except ValueError as error:
        raise ValueError(f"{promised}: {error}") from None
    base = _load_base(folder, trust)
    trained_on = None
    if isinstance(base, TrainedRouter):
        trained_on = base.trained_on
    elif (told := folder / "trained_on.json").is_file():
        trained_on = GameDescription.read(read_json(told), told)
    router = CalibratedRouter(base, certificate, description, trained_on)
    if isinstance(base, TrainedRouter | PolicyNetwork | ConfidenceThreshold):
        try:
            router.bind(description.spec)
        except ValueError as error:  # figure, arrays or training do not belong to this game
            raise ValueError(f"{played}: {error}") from None
    else:  # a pickle is as it was calibrated, hence bound
        Router.bind(router, description.spec)
    if game is not None:
        router.check_game(game)
    return router


def _save_base(base: Scores, folder: Path) -> None:
    if isinstance(base, TrainedRouter):
        write_json(folder / "manifest.json", asdict(base.manifest))
        base.network.save(folder / "router.npz")
    elif type(base) is PolicyNetwork:
        base.save(folder / "router.npz")
    elif type(base) is ConfidenceThreshold:
        write_json(folder / "rule.json", {"rule": ConfidenceThreshold.__name__, "figure": base.figure})
    else:
        try:
            content = pickle.dumps(base)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise ValueError(f"router={type(base).__name__} cannot be pickled, hence not saved: {error}") from error
        with replaced(folder / "router.pkl") as temporary:
            temporary.write_bytes(content)


def _load_base(folder: Path, trust: bool) -> Scores:
    if (folder / "router.npz").is_file():
        network = PolicyNetwork.load(folder / "router.npz")
        manifest = folder / "manifest.json"
        return TrainedRouter(network, RunManifest.load(manifest)) if manifest.is_file() else network
    if (folder / "rule.json").is_file():
        rule = read_json(folder / "rule.json")
        if not isinstance(rule, dict) or sorted(rule) != ["figure", "rule"]:
            raise ValueError(f"{folder / 'rule.json'} holds {rule!r}; allowed: a rule and its figure")
        check_choice(f"{folder / 'rule.json'}: rule", rule["rule"], [ConfidenceThreshold.__name__])
        check_choice(f"{folder / 'rule.json'}: figure", rule["figure"], get_args(ConfidenceFigure))
        return ConfidenceThreshold(rule["figure"])
    path = folder / "router.pkl"
    check_trust(path, trust)
    base = pickle.loads(path.read_bytes())
    if not isinstance(base, Scores):
        raise ValueError(f"{path} holds a {type(base).__name__}; allowed: a router with scores(observation)")
    return base
