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
from gym_stepwise_routing.routers.base import Router
from gym_stepwise_routing.routers.provenance import GameDescription

__all__ = ["RULES", "game_of", "load_router", "play_arguments"]

RULES: dict[str, Callable[[], Router]] = {
    "always-smallest": AlwaysSmallest,
    "always-largest": AlwaysLargest,
    **{f"confidence-{figure}": partial(ConfidenceThreshold, figure) for figure in get_args(ConfidenceFigure)},
}
"""Rules that need no training, by name."""


def load_router(name: str | Path, *, trust: bool = False) -> Router:
    """The router that ``name`` stands for.

    Args:
        name: folder of a calibrated router, folder (or ``.npz`` file) of a run, or one of :data:`RULES`.
        trust: allow a calibrated router that is pickled, which runs whatever code its author put there.

    Raises:
        ValueError: none of these, or files that are missing or damaged.
    """
    path, name = Path(name), str(name)
    if (path / "certificate.json").is_file():
        return load_calibrated(path, trust=trust)
    if (path / "manifest.json").is_file() or (path.suffix == ".npz" and path.is_file()):
        return load_run(path)
    if name in RULES:
        return RULES[name]()
    what = "is a folder without certificate.json or manifest.json" if path.is_dir() else "is not known"
    raise ValueError(
        f"router={name!r} {what}; allowed: the folder of a run, of a calibrated router, or one of {', '.join(RULES)}"
    )


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
