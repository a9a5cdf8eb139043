"""Stepwise LLM routing as a reinforcement-learning benchmark: which model writes the next reasoning step?

Importing the package registers ``StepwiseRouting-v0`` with Gymnasium. The names of :data:`EXPORTS` are here as well;
each is loaded when it is first asked for, so that the import stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gym_stepwise_routing.errors import BankError, NotApplicableError, PriceError, missing_extra
from gym_stepwise_routing.registration import ENV_ID, register
from gym_stepwise_routing.types import VERSION

if TYPE_CHECKING:
    from gym_stepwise_routing.agents.training import train
    from gym_stepwise_routing.banks.bank import Bank
    from gym_stepwise_routing.baselines.confidence import ConfidenceThreshold
    from gym_stepwise_routing.baselines.constant import AlwaysLargest, AlwaysSmallest
    from gym_stepwise_routing.calibration.calibrate import calibrate
    from gym_stepwise_routing.calibration.router_files import load_router
    from gym_stepwise_routing.calibration.saving import measure_saving
    from gym_stepwise_routing.calibration.storage import save_calibrated
    from gym_stepwise_routing.calibration.targets import Accuracy, CostLimit, RelativeAccuracy
    from gym_stepwise_routing.comparison.comparison import compare
    from gym_stepwise_routing.envs.sb3 import RoutingVecEnv
    from gym_stepwise_routing.envs.stepwise_routing import StepwiseRoutingEnv
    from gym_stepwise_routing.evaluation.evaluate import evaluate, sweep
    from gym_stepwise_routing.game.config import GameConfig
    from gym_stepwise_routing.game.game import Game
    from gym_stepwise_routing.routers.base import Router, ScoringRouter, ThresholdRouter, columns_of

__version__ = VERSION

_HOMES = {
    "agents.training": ("train",),
    "banks.bank": ("Bank",),
    "baselines.confidence": ("ConfidenceThreshold",),
    "baselines.constant": ("AlwaysLargest", "AlwaysSmallest"),
    "calibration.calibrate": ("calibrate",),
    "calibration.router_files": ("load_router",),
    "calibration.saving": ("measure_saving",),
    "calibration.storage": ("save_calibrated",),
    "calibration.targets": ("Accuracy", "CostLimit", "RelativeAccuracy"),
    "comparison.comparison": ("compare",),
    "envs.sb3": ("RoutingVecEnv",),
    "envs.stepwise_routing": ("StepwiseRoutingEnv",),
    "evaluation.evaluate": ("evaluate", "sweep"),
    "game.config": ("GameConfig",),
    "game.game": ("Game",),
    "routers.base": ("Router", "ScoringRouter", "ThresholdRouter", "columns_of"),
}
EXPORTS = {name: f"{__name__}.{home}" for home, names in _HOMES.items() for name in names}
"""The names that a user types, and the module that each is loaded from when it is first asked for."""

__all__ = [
    "ENV_ID",
    "EXPORTS",
    "Accuracy",
    "AlwaysLargest",
    "AlwaysSmallest",
    "Bank",
    "BankError",
    "ConfidenceThreshold",
    "CostLimit",
    "Game",
    "GameConfig",
    "NotApplicableError",
    "PriceError",
    "RelativeAccuracy",
    "Router",
    "RoutingVecEnv",
    "ScoringRouter",
    "StepwiseRoutingEnv",
    "ThresholdRouter",
    "__version__",
    "calibrate",
    "columns_of",
    "compare",
    "evaluate",
    "load_router",
    "measure_saving",
    "register",
    "save_calibrated",
    "sweep",
    "train",
]

register()


def __getattr__(name: str) -> Any:
    """Load an exported name.

    Raises:
        AttributeError: it is not exported.
        ImportError: it needs an extra that is not installed; the message names it.
    """
    if name not in EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; allowed: {', '.join(__all__)}")
    try:
        value = globals()[name] = getattr(import_module(EXPORTS[name]), name)
    except ModuleNotFoundError as error:
        if (told := missing_extra(error)) is None:
            raise
        raise ImportError(f"{__name__}.{name} needs {told}") from error
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
