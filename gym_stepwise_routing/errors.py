"""Exceptions a user of the package can meet. Every one of them is a ``ValueError``."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterable
from importlib.util import find_spec
from typing import TypeGuard

import numpy as np


class BankError(ValueError):
    """A bank on disk is damaged, incomplete or inconsistent; the message names the file and the fault."""


class HubError(ValueError):
    """What was asked of the Hugging Face hub is not there, not allowed or not what it was; the message names it."""


class PriceError(ValueError):
    """A cost unit was asked for that a model of the pool has no price, size or speed for."""


class NotApplicableError(ValueError):
    """A router needs an observation block, a column, a text or a mode that is not there."""


class TooManyPathsError(ValueError):
    """A game has more sequences of decisions than a table of them may hold; it is played by the rules instead."""


class RecordingError(ValueError):
    """Models that do not deliver, or a manifest that does not fit; trees recorded before are safe on disk."""


def check_choice(parameter: str, value: object, allowed: Iterable[object]) -> None:
    """Raise ``ValueError``, naming parameter, value and what is allowed, unless ``value`` is one of ``allowed``."""
    choices = list(allowed)
    if not isinstance(value, Hashable) or value not in choices:  # an array has no truth value to compare with
        raise ValueError(f"{parameter}={value!r} is not known; allowed: {', '.join(map(repr, choices))}")


def is_number(value: object) -> TypeGuard[float]:
    """Whether ``value`` is a real number; truth values and numerals are none."""
    return isinstance(value, int | float | np.floating | np.integer) and not isinstance(value, bool)


def is_finite(value: object) -> TypeGuard[float]:
    """Whether ``value`` is a real number that a float can hold: neither infinite, nor NaN, nor of 309 digits."""
    return is_number(value) and bool(abs(value) <= sys.float_info.max)


_EXTRAS = {
    "typer": "cli",
    "rich": "cli",
    "scipy": "cli",
    "matplotlib": "cli",
    "jinja2": "cli",
    "PIL": "cli",
    "torch": "agents",
    "stable_baselines3": "agents",
    "sb3_contrib": "agents",
    "tensorboard": "agents",
    "yaml": "agents",
    "sklearn": "agents",
    "pydantic": "leaderboard",
    "transformers": "llm",
    "openai": "llm",
    "genai_prices": "llm",
    "math_verify": "llm",
    "datasets": "llm",
    "ray": "llm",
    "vllm": "vllm",
    "huggingface_hub": "hub",
    "aiohttp": "serve",
    "fastapi": "serve",
    "uvicorn": "serve",
    "prometheus_client": "serve",
    "pydantic_settings": "serve",
    "sqlalchemy": "serve",
}
"""Which extra brings a package that a command may miss."""


def missing_extra(error: ModuleNotFoundError) -> str | None:
    """The package that was not found and the command that installs it, None if no extra brings it."""
    package = (error.name or "").partition(".")[0]
    return f"{package}: pip install 'gym-stepwise-routing[{_EXTRAS[package]}]'" if package in _EXTRAS else None


def need_extras(*extras: str) -> None:
    """Say at once what is missing, before anything is computed.

    Args:
        *extras: extras of this package, such as ``agents``.

    Raises:
        ImportError: a package of theirs is not installed; the message has the command that installs it.
        ValueError: an extra that there is not.
    """
    for extra in extras:
        check_choice("extra", extra, sorted(set(_EXTRAS.values())))
    missing = [package for package, extra in _EXTRAS.items() if extra in extras and find_spec(package) is None]
    if missing:
        wanted = ",".join(extras)
        raise ImportError(
            f"this needs {', '.join(missing)}: pip install 'gym-stepwise-routing[{wanted}]', "
            f"in a clone pip install '.[{wanted}]'"
        )
