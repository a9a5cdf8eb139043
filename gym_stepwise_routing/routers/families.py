"""Families of routers: one idea at all its settings. Each is registered in the file of the idea; comparisons play them.

A family of another package is an entry point ``gym_stepwise_routing.routers`` that names a :class:`Family`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.registry import Registry
from gym_stepwise_routing.routers.base import Predicts, ScoringRouter
from gym_stepwise_routing.sources.contract import StepSource
from gym_stepwise_routing.types import MODES, Block, Mode, Split

__all__ = ["GROUPS", "PRICES", "ROUTERS", "BuildContext", "Draws", "Family", "Settings", "Thresholds", "at_prices"]

GROUPS = (
    "constants and schedules",
    "handcrafted",
    "verifier",
    "query level",
    "fitted on trees",
    "bounds (see outcomes of the reported split)",
)
"""Headings in the order of tables; others come after them."""

PRICES = (0.0, 0.1, 0.25, 0.5, 0.7, 0.85, 1.0, 1.15, 1.3, 1.6, 2.0, 3.0, 5.0)
"""Prices of cost that fitted policies are trained for, in units of :meth:`BuildContext.exchange_rate`."""


class BuildContext(Protocol):
    """Where a family is made ready: the games of one source, mode and cost unit.

    Attributes:
        source: the source.
        mode: mode of the comparison.
        plain: mode without drafts.
        seed: seed of whatever is fitted.
        questions: question of each problem; None: no texts are at hand.
        encoder: local folder or hub name of a text encoder; None: none is at hand.
    """

    source: StepSource
    mode: Mode
    seed: int
    questions: Sequence[str] | None
    encoder: str | None

    @property
    def plain(self) -> Mode: ...  # noqa: D102

    @property
    def step_scores(self) -> NDArray[np.float32]:
        """Verifier scores of a bank's steps, by its rows; ``NotApplicableError`` where there are none."""
        ...

    def game(self, split: Split, observation: Sequence[Block], *, mode: Mode | None = None, verifier: str = "") -> Game:
        """The game on a split with these blocks, with scores by this verifier or by the one that judges for all."""
        ...

    def exchange_rate(self, blocks: Sequence[Block] = ("progress",)) -> float:
        """Accuracy that the largest model at every step buys for each unit of cost, on the train split; 1 if none."""
        ...


@dataclass(frozen=True, slots=True)
class Thresholds:
    """A router with scores, to be played at thresholds that are quantiles of its scores on the train split.

    Attributes:
        router: the router, fitted.
        verifier: whose scores it sees; those of the verifier that judges for all if ''.
        own: whether the router's own threshold is a setting as well, under the router's name.
        sees: blocks of the observation that it was fitted on, where the source decides which; the family's if empty.
        note: what stands in for something that the source does not tell; '' if nothing does.
    """

    router: ScoringRouter
    verifier: str = ""
    own: bool = False
    sees: tuple[Block, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """A router for each setting.

    Attributes:
        routers: the routers, fitted.
        labels: what the settings are called; the routers' names if None.
    """

    routers: Sequence[Predicts]
    labels: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Draws:
    """A random family: the same settings in several draws, over which outcomes are averaged."""

    draws: Sequence[Settings]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A family of routers: how it is called, whose idea it is, what it takes, and how it is made ready.

    Attributes:
        name: name in tables.
        group: heading that it stands under, mostly one of :data:`GROUPS`.
        build: fits on the train split what is to be fitted, and gives :class:`Thresholds`, :class:`Settings`,
            :class:`Draws`, or whatever else has the methods of
            :class:`gym_stepwise_routing.comparison.contenders.Contender`. ``NotApplicableError`` says what is missing.
        paper: where the idea comes from, '' for folklore.
        router: class of its routers, where the constructor and ``fit(game)`` are all that makes one ready.
        sees: blocks of the observation.
        needs: what else must be at hand.
        charges: what it spends beside what the models write.
        modes: modes that it can be played in.
        plays: ``steps``: in the mode of the comparison; ``plain``: without drafts whatever the mode; ``answers``: whole
            answers, one model's after another's.
        fitted: whether something is fitted or trained on the train split.
    """

    name: str
    group: str
    build: Callable[[Any], object]
    paper: str = ""
    router: type | None = None
    sees: tuple[Block, ...] = ("progress",)
    needs: tuple[str, ...] = ()
    charges: str = ""
    modes: tuple[Mode, ...] = MODES
    plays: Literal["steps", "plain", "answers"] = "steps"
    fitted: bool = False


ROUTERS: Registry[Family] = Registry(
    "router",
    Family,
    group="gym_stepwise_routing.routers",
    order=lambda family: GROUPS.index(family.group) if family.group in GROUPS else len(GROUPS),
)
"""Families by name, by group. They lie in layers above this one: see :mod:`gym_stepwise_routing.comparison.roster`."""


def at_prices(make: Callable[[float], Any], rate: float, prices: Sequence[float] = PRICES) -> Settings:
    """Routers for prices of cost, each a multiple of the exchange rate."""
    routers = [make(price * rate) for price in prices]
    return Settings(routers, [f"price {router.price:.3g}" for router in routers])
