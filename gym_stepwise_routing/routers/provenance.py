"""Which game something was trained or calibrated on, kept with the result and checked before it is used elsewhere."""

from __future__ import annotations

import math
import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.game.config import Budget, RoutingSpec
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.game.observation import describe_features
from gym_stepwise_routing.storage.former_names import check_former
from gym_stepwise_routing.storage.strict_json import decode
from gym_stepwise_routing.types import BLOCKS

__all__ = ["GameDescription", "versions"]

PACKAGES = ("gym-stepwise-routing", "gymnasium", "numpy", "torch", "stable-baselines3", "sb3-contrib")


@dataclass(frozen=True, slots=True)
class GameDescription:
    """A game in names, numbers and hashes.

    Attributes:
        source: name of the bank, preset or live pool.
        kind: ``bank``, ``simulator`` or ``live``.
        simulated: True if the figures come from a random process instead of language models.
        source_hash: content hash of the bank, '' for a source that is not a bank.
        split: split that was played.
        split_hash: hash of the split, '' for a source that is not a bank.
        problems: number of problems of the split.
        mode: mode of the game.
        cost_unit: unit of the cost.
        normaliser: what cost 1 is in that unit.
        observation: blocks of the observation.
        features: names of its components.
        models: names of the models, smallest first.
        budget: budget of the game.
        hard_budget: whether exceeding it ends an episode.
        masked_action: what a masked action does.
    """

    source: str
    kind: str
    simulated: bool
    source_hash: str
    split: str
    split_hash: str
    problems: int
    mode: str
    cost_unit: str
    normaliser: float
    observation: tuple[str, ...]
    features: tuple[str, ...]
    models: tuple[str, ...]
    budget: Budget
    hard_budget: bool
    masked_action: str

    @classmethod
    def read(cls, content: Any, where: Path, key: str = "") -> GameDescription:
        """A description from its JSON content, which stood in ``where`` under ``key``.

        Raises:
            ValueError: other fields, unknown blocks or a source by a former name; the message names the file ``where``.
        """
        description: GameDescription = decode(cls, content, where, key)
        for block in description.observation:
            check_choice(f"{where}: observation", block, BLOCKS)
        hint = ", with another content hash: train or calibrate again on it"
        check_former(f"{where}: source", description.source, hint)
        return description

    @classmethod
    def of(cls, game: Game) -> GameDescription:
        """Describe a game."""
        spec = game.spec
        return cls(
            source=spec.source,
            kind=game.source.kind,
            simulated=spec.simulated,
            source_hash=game.source_hash,
            split=game.split,
            split_hash=game.split_hash,
            problems=len(game.problems),
            mode=spec.mode,
            cost_unit=spec.cost_unit,
            normaliser=game.normaliser,
            observation=game.rules.blocks,
            features=spec.feature_names,
            models=spec.models,
            budget=game.budget,
            hard_budget=game.hard_budget,
            masked_action=game.masked_action,
        )

    @property
    def spec(self) -> RoutingSpec:
        """What routers may know of the game; its horizon, which is not written down, is 0."""
        return RoutingSpec(
            models=tuple(self.models),
            mode=self.mode,  # type: ignore[arg-type]
            cost_unit=self.cost_unit,
            horizon=0,
            features=describe_features(len(self.models), tuple(self.observation)),  # type: ignore[arg-type]
            source=self.source,
            simulated=self.simulated,
            budget=tuple(self.budget) if isinstance(self.budget, list) else self.budget,
            hard_budget=self.hard_budget,
            normaliser=self.normaliser,
        )

    def check_spec(self, spec: RoutingSpec, what: str) -> None:
        """Refuse a game in which observations or actions mean something else.

        Args:
            spec: the other game.
            what: how the message calls the router, such as ``router 'ppo'``.

        Raises:
            ValueError: another mode, cost unit, pool or observation; the message names the first.
        """
        pairs = {
            "mode": (self.mode, spec.mode),
            "cost_unit": (self.cost_unit, spec.cost_unit),
            "models": (self.models, spec.models),
            "observation": (self.features, spec.feature_names),
        }
        for name, (own, other) in pairs.items():
            if own != other:
                raise ValueError(f"{name}={other!r}; allowed with {what}: {own!r}, which it was made for")

    def check_budget(self, spec: RoutingSpec, what: str) -> None:
        """Refuse another budget: it is shown in the observation, and a hard one ends episodes.

        Raises:
            ValueError: another budget, one that is counted in another unit, or a hard one instead of a shown one.
        """
        # JSON has no tuples: a description that was read back may hold a list.
        own_budget = tuple(self.budget) if isinstance(self.budget, list) else self.budget
        for name, own, other in (
            ("budget", own_budget, spec.budget),
            ("hard_budget", self.hard_budget, spec.hard_budget),
        ):
            if own != other:
                raise ValueError(f"{name}={other!r}; allowed with {what}: {own!r}, which its promise is about")
        if own_budget is not None and not math.isclose(self.normaliser, spec.normaliser, rel_tol=1e-9):
            raise ValueError(
                f"normaliser={spec.normaliser!r}; allowed with {what}: {self.normaliser!r}, the unit of its budget"
            )

    def check_game(self, game: Game, what: str) -> None:
        """Refuse a game on another bank, too.

        Raises:
            ValueError: as :meth:`check_spec`, or the bank (its content hash), preset or live pool is another one.
        """
        self.check_spec(game.spec, what)
        own, other = (self.source, self.source_hash), (game.spec.source, game.source_hash)
        if own != other:
            raise ValueError(
                f"source={_tag(*other)}; allowed with {what}: {_tag(*own)}, which it was made on. Problems may have "
                "moved between splits, and a certificate speaks of problems like those that gave it"
            )


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on; those that are installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _tag(name: str, content_hash: str) -> str:
    return f"{name!r} (content {content_hash[:12]})" if content_hash else repr(name)
