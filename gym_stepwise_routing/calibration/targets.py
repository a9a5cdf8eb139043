"""What a user asks a threshold to keep."""

from __future__ import annotations

from dataclasses import dataclass

from gym_stepwise_routing.errors import is_finite, is_number

__all__ = ["Accuracy", "CostLimit", "RelativeAccuracy", "Target", "parse_target"]


def _check_share(owner: str, parameter: str, value: float) -> None:
    if not (is_number(value) and 0 < value < 1):
        raise ValueError(f"{owner}: {parameter}={value!r}; allowed: between 0 and 1, exclusive")


@dataclass(frozen=True, slots=True)
class RelativeAccuracy:
    """Accuracy of at least ``share`` of always-largest's.

    The loss of a problem that always-largest solves is 1 if the routed answer is wrong; problems that it does not solve
    do not count. Keeping that risk at or below 1 - share keeps the accuracy at or above share times always-largest's,
    since problems that only the router solves come on top (relative coverage of CCPO, arXiv 2511.11828). Not for a game
    with a hard budget, in which always-largest is cut off as well: there ask for :class:`Accuracy`.

    Args:
        share: in (0, 1).
    """

    share: float

    def __post_init__(self) -> None:
        _check_share("RelativeAccuracy", "share", self.share)

    @property
    def alpha(self) -> float:
        """Highest tolerated risk."""
        return 1 - self.share

    def __str__(self) -> str:
        return f"accuracy >= {self.share:g} x always-largest's"


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Accuracy of at least ``floor``; the loss of a problem is 1 if the routed answer is wrong.

    Args:
        floor: in (0, 1).
    """

    floor: float

    def __post_init__(self) -> None:
        _check_share("Accuracy", "floor", self.floor)

    @property
    def alpha(self) -> float:
        """Highest tolerated risk."""
        return 1 - self.floor

    def __str__(self) -> str:
        return f"accuracy >= {self.floor:g}"


@dataclass(frozen=True, slots=True)
class CostLimit:
    """Mean cost of at most ``limit``, where always-largest costs 1 on average; the loss is the cost of an episode.

    Args:
        limit: > 0, in units of always-largest on the train split, like the losses.
        upper: a bound that no episode's cost can exceed, in the same units, for ``method="ltt"``: what the dearest
            conceivable episode costs, or a hard budget plus the dearest conceivable step, which may overshoot it; the
            largest cost that was seen is none (see :mod:`.bounds`). Not needed for ``"empirical"``.
    """

    limit: float
    upper: float | None = None

    def __post_init__(self) -> None:
        if not (is_finite(self.limit) and self.limit > 0):
            raise ValueError(f"CostLimit: limit={self.limit!r}; allowed: a finite number > 0")
        if self.upper is not None and not (is_finite(self.upper) and self.upper > self.limit):
            raise ValueError(
                f"CostLimit: upper={self.upper!r}; allowed: a finite number > limit={self.limit:g}, or None"
            )

    @property
    def alpha(self) -> float:
        """Highest tolerated risk."""
        return self.limit

    def __str__(self) -> str:
        return f"mean cost <= {self.limit:g} x always-largest's"


Target = RelativeAccuracy | Accuracy | CostLimit


def parse_target(text: str, *, upper: float | None = None) -> Target:
    """A target from the words of a command line or a request.

    Args:
        text: ``accuracy=0.95x`` (share of always-largest's), ``accuracy=0.7`` or ``cost=0.4``.
        upper: bound of a :class:`CostLimit`.

    Raises:
        ValueError: another form, or a number out of range.
    """
    kind, equals, value = text.replace(" ", "").partition("=")
    number = _number(value.removesuffix("x"))
    if not equals or number is None or kind not in ("accuracy", "cost") or (kind == "cost" and value.endswith("x")):
        raise ValueError(f"target={text!r}; allowed: accuracy=0.95x (of always-largest's), accuracy=0.7, or cost=0.4")
    if kind == "cost":
        return CostLimit(number, upper)
    return RelativeAccuracy(number) if value.endswith("x") else Accuracy(number)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
