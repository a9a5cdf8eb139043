"""What a router was trained on before it is calibrated: no promise can rest on those problems."""

from __future__ import annotations

import sys
from typing import Any

from gym_stepwise_routing.banks import BANKS, Bank
from gym_stepwise_routing.calibration.certificate import CalibratedRouter
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.base import Scores
from gym_stepwise_routing.routers.provenance import GameDescription
from gym_stepwise_routing.sources.contract import StepSource
from gym_stepwise_routing.sources.recorded import BankSource

__all__ = ["refuse_training", "taken_out", "trained_game"]


def _sb3_model(router: object) -> Any:
    """The router if it is a Stable-Baselines3 model, else None."""
    sb3 = sys.modules.get("stable_baselines3.common.base_class")  # not imported: then it is no such model
    return router if sb3 is not None and isinstance(router, sb3.BaseAlgorithm) else None


def taken_out(router: Scores) -> Scores:
    """The policy of a Stable-Baselines3 model, or what was calibrated before: what will be saved, to the last bit."""
    if isinstance(router, CalibratedRouter):
        return taken_out(router.base)
    model = _sb3_model(router)
    if model is None:
        return router
    from gym_stepwise_routing.agents.scores import scored

    return scored(model)


def trained_game(router: object, transfer: bool) -> GameDescription | None:
    """The game that a router, or what it thresholds, was trained on; None for rules, and where no record says so.

    Raises:
        ValueError: a Stable-Baselines3 model whose environment plays no game, unless ``transfer``.
    """
    model = _sb3_model(router)
    if model is None:
        told = getattr(router, "trained_on", None)
        base = getattr(router, "base", None)
        return told if isinstance(told, GameDescription) or base is None else trained_game(base, transfer)
    env = model.get_env()
    try:
        return GameDescription.of(env.get_attr("game")[0])
    except AttributeError:
        if transfer:
            return None
        raise ValueError(
            f"router={type(model).__name__} with env={env!r}, which does not tell the bank it was trained on; allowed: "
            "a model with its environment (load(..., env=env)), or transfer=True"
        ) from None


def refuse_training(trained_on: GameDescription | None, game: Game) -> None:
    """What a policy was trained on makes it look better than it is: no promise can rest on it."""
    if trained_on is None or trained_on.kind == "simulator" or (source := _source_of(trained_on, game)) is None:
        return
    learned = source.problem_ids(source.problems(trained_on.split))  # type: ignore[arg-type]
    if shared := set(learned) & set(game.source.problem_ids(game.problems)):
        raise ValueError(
            f"split={game.split!r} shares {len(shared)} problems with {trained_on.split!r} of {trained_on.source!r}, "
            "which the router was trained on; allowed: a split without them, normally 'calibration'"
        )


def _source_of(trained_on: GameDescription, game: Game) -> StepSource | None:
    """Where the problems that a policy was trained on can be looked up: in the game's source, or in a bundled bank."""
    if trained_on.source_hash == game.source_hash:
        bank = getattr(game.source, "bank", None)
        return game.source if bank is None else BankSource(bank)  # all of the bank, where only a part of it is played
    if trained_on.source in BANKS:
        bank = Bank.open(trained_on.source)
        if bank.hash == trained_on.source_hash:
            return BankSource(bank)
    return None
