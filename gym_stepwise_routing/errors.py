"""Exceptions a user of the package can meet. Every one of them is a ``ValueError``."""

from __future__ import annotations

from collections.abc import Iterable


class BankError(ValueError):
    """A bank on disk is damaged, incomplete or inconsistent; the message names the file and the fault."""


class PriceError(ValueError):
    """A cost unit was asked for that a model of the pool has no price, size or speed for."""


class NotApplicableError(ValueError):
    """A router needs an observation block, a column, a text or a mode that is not there."""


def check_choice(parameter: str, value: object, allowed: Iterable[object]) -> None:
    """Raise ``ValueError``, naming parameter, value and what is allowed, unless ``value`` is one of ``allowed``."""
    choices = list(allowed)
    if value not in choices:
        raise ValueError(f"{parameter}={value!r} is not known; allowed: {', '.join(map(repr, choices))}")
