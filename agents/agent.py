"""Agents by name: what each is, how it is trained and how its router plays. Each is registered in its own folder.

Reading this registry needs none of the packages that training needs. An agent of another package is an entry point
``gym_stepwise_routing.agents`` that names an :class:`Agent`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module, resources
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Literal

from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.registry import Registry, registering

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

__all__ = ["AGENTS", "Agent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """An agent.

    Attributes:
        name: what it is asked for by.
        title: its name in tables.
        module: module of the algorithm, imported when it is needed.
        algorithm: name of its class there.
        paper: where the algorithm comes from.
        constrained: it takes a ``limit`` and a ``constraint``; the others take costs as a penalty in the reward.
        masks: it honours action masks; for the others masked actions are projected.
        budgets: one policy for all budgets of a range, each shown in the observation.
        policy: its first argument.
        plays: how its router is meant to decide: ``draws`` actions from its policy, takes the action of the greatest of
            its ``values``, or goes by a ``threshold`` of its own, ``kappa``.
        keeps: how a limit is kept once training is near it: by a ``tilt`` of the policy
            (:mod:`gym_stepwise_routing.agents.limits`), by a fit of the threshold on ``held_out`` problems
            (:mod:`gym_stepwise_routing.agents.ccpo.fit`), or not at all.
        settings_for: variant of the shipped settings for constraints that need one.
        hyperparameters: folder of ``NAME.yml`` and ``NAME-VARIANT.yml``; None: that of this package.
    """

    name: str
    title: str
    module: str
    algorithm: str
    paper: str = ""
    constrained: bool = False
    masks: bool = False
    budgets: bool = False
    policy: str = "MlpPolicy"
    plays: Literal["draws", "values", "threshold"] = "draws"
    keeps: Literal["", "tilt", "held_out"] = ""
    settings_for: Mapping[str, str] = field(default_factory=dict)
    hyperparameters: Traversable | None = None

    def load(self) -> type[BaseAlgorithm]:
        """The algorithm's class."""
        algorithm: type[BaseAlgorithm] = getattr(import_module(self.module), self.algorithm)
        return algorithm

    @property
    def variants(self) -> tuple[str, ...]:
        """Variants of the settings that it is shipped with."""
        prefix = f"{self.name}-"
        names = [path.name for path in self._folder.iterdir()]
        return tuple(sorted(n.removeprefix(prefix).removesuffix(".yml") for n in names if n.startswith(prefix)))

    def settings(self, variant: str | None = None) -> str:
        """The shipped settings, as YAML.

        Raises:
            ValueError: a variant that it does not have.
        """
        check_choice("variant", variant, [None, *self.variants])
        name = self.name if variant is None else f"{self.name}-{variant}"
        return self._folder.joinpath(f"{name}.yml").read_text(encoding="utf-8")

    @property
    def _folder(self) -> Traversable:
        return self.hyperparameters or resources.files(__package__).joinpath("hyperparameters")


AGENTS: Registry[Agent] = Registry(
    "agent", Agent, group="gym_stepwise_routing.agents", builtin=registering(f"{__package__}.registered")
)
"""The agents."""
