"""A router by what a user calls it: the folder of a run, the folder of a calibrated router, or the name of a rule."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, get_args

from gym_stepwise_routing.agents.runs import load_run
from gym_stepwise_routing.baselines import AlwaysLargest, AlwaysSmallest, ConfidenceThreshold
from gym_stepwise_routing.baselines.confidence import ConfidenceFigure
from gym_stepwise_routing.calibration.certificate import CalibratedRouter
from gym_stepwise_routing.calibration.storage import load_calibrated
from gym_stepwise_routing.costs.units import DEFAULT_UNIT
from gym_stepwise_routing.errors import HubError
from gym_stepwise_routing.routers.base import Router
from gym_stepwise_routing.routers.provenance import GameDescription
from gym_stepwise_routing.storage.hugging_face import Reference, is_reference, pull, seal
from gym_stepwise_routing.storage.strict_json import read_json

__all__ = ["ROUTER_FILES", "RULES", "SEAL", "game_of", "load_router", "play_arguments", "pull_router"]

ROUTER_FILES = ("certificate.json", "game.json", "manifest.json", "trained_on.json", "router.npz", "rule.json")
"""What a router is on the hub: arrays and JSON. Pickles (``router.pkl``, ``model.zip``) never go there."""

SEAL = "router.json"
"""File of a router on the hub: the content hash of the others."""

RULES: dict[str, Callable[[], Router]] = {
    "always-smallest": AlwaysSmallest,
    "always-largest": AlwaysLargest,
    **{f"confidence-{figure}": partial(ConfidenceThreshold, figure) for figure in get_args(ConfidenceFigure)},
}
"""Rules that need no training, by name."""


def load_router(name: str | Path, *, trust: bool = False) -> Router:
    """The router that ``name`` stands for.

    Args:
        name: folder of a calibrated router, folder (or ``.npz`` file) of a run, ``"hf://owner/name[@revision][#hash]"``
            for one that was pushed to the Hugging Face hub, or one of :data:`RULES`.
        trust: allow a calibrated router that is pickled, which runs whatever code its author put there.

    Raises:
        ValueError: none of these, or files that are missing or damaged.
        HubError: the hub does not give it, or its files are others than were pushed.
    """
    if is_reference(name):
        name = pull_router(str(name))
    path, name = Path(name), str(name)
    if (path / "certificate.json").is_file():
        return load_calibrated(path, trust=trust)
    if (path / "manifest.json").is_file() or (path.suffix == ".npz" and path.is_file()):
        return load_run(path)
    if name in RULES:
        return RULES[name]()
    what = "is a folder without certificate.json or manifest.json" if path.is_dir() else "is not known"
    raise ValueError(
        f"router={name!r} {what}; allowed: the folder of a run, of a calibrated router, hf://owner/name, "
        f"or one of {', '.join(RULES)}"
    )


def pull_router(reference: str) -> Path:
    """The folder of a router on the hub, in the hub's cache, its files compared with what was pushed.

    Args:
        reference: ``hf://owner/name[@revision][#hash]``.

    Raises:
        ValueError: no reference.
        HubError: the hub does not give it, it is no router, or its files are others than were pushed.
    """
    asked = Reference.parse(reference)
    folder = pull(asked, "model", [SEAL, *ROUTER_FILES], needed=[SEAL])
    told = read_json(folder / SEAL, HubError)
    there = [name for name in ROUTER_FILES if (folder / name).is_file()]
    content = seal(folder, there)
    if told != {"content_sha256": content}:
        raise HubError(f"{asked}: the files hash to {content}; allowed: what {SEAL} says, {told!r}")
    asked.check(content)
    return folder


def game_of(router: object) -> GameDescription | None:
    """The game that a router was calibrated or trained on; None for a rule."""
    for name in ("game", "trained_on"):
        told = getattr(router, name, None)
        if isinstance(told, GameDescription):
            return told
    return None


def play_arguments(router: object, *, mode: str | None, cost_unit: str | None) -> dict[str, Any]:
    """How to play a router: as it was trained or calibrated, or for a rule as asked.

    Args:
        router: the router.
        mode: mode that is asked for; None: the router's own, for a rule ``route``.
        cost_unit: likewise; for a rule :data:`...costs.units.unit.DEFAULT_UNIT`.

    Raises:
        ValueError: another mode or cost unit than the router's own.
    """
    own = game_of(router)
    if own is None:
        return {"mode": mode or "route", "cost_unit": cost_unit or DEFAULT_UNIT}
    for parameter, asked, given in (("mode", mode, own.mode), ("cost_unit", cost_unit, own.cost_unit)):
        if asked is not None and asked != given:
            raise ValueError(f"{parameter}={asked!r}; allowed with this router: {given!r}, which it was made for")
    promised = isinstance(router, CalibratedRouter) and own.budget is not None
    unit = {"normaliser": own.normaliser} if promised else {}  # in which the budget is counted
    return unit | {
        "mode": own.mode,
        "cost_unit": own.cost_unit,
        "observation": tuple(own.observation),
        "budget": tuple(own.budget) if isinstance(own.budget, list | tuple) else own.budget,
        "hard_budget": own.hard_budget,
    }
