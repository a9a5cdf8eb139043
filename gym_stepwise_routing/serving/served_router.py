"""A router made ready to be served: its game, its thresholds, and what it promises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.calibration.certificate import CalibratedRouter
from gym_stepwise_routing.calibration.router_files import game_of, load_router, play_arguments
from gym_stepwise_routing.costs.models import ModelPool
from gym_stepwise_routing.datasets.problem import Problem
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.generators.prompts import PromptTemplate
from gym_stepwise_routing.generators.step_rule import StepRule
from gym_stepwise_routing.routers.base import Predicts, Scores, ScoringRouter, bind, decide, name_of
from gym_stepwise_routing.routers.policy_network import PolicyNetwork
from gym_stepwise_routing.serving.recall import RecalledGenerator
from gym_stepwise_routing.sources.contract import StepSource
from gym_stepwise_routing.sources.live import LiveSource

__all__ = ["Decision", "ServedRouter", "ready_router"]


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision: the model, and the scores that led to it (None where the router has none)."""

    model: int
    scores: tuple[float, ...] | None


class ServedRouter:
    """A router with the game that it is served in.

    Args:
        name: what :func:`...router_files.load_router` takes.
        pool: the models that are served.
        bank: the bank that a rule's costs are measured by; None for a router with a game of its own.
        mode: mode of a rule.
        cost_unit: cost unit of a rule.
        trust: allow a pickled router.

    Raises:
        ValueError: no such router, a rule without a bank, a recurrent policy, or a pool, mode or cost unit that is not
            the router's own.
    """

    def __init__(
        self,
        name: str,
        *,
        pool: ModelPool,
        bank: str | None,
        mode: str | None,
        cost_unit: str | None,
        trust: bool = False,
    ) -> None:
        self.router: Predicts = load_router(name, trust=trust)
        self.called = name_of(self.router)
        self.arguments = play_arguments(self.router, mode=mode, cost_unit=cost_unit)
        if self.arguments["mode"] == "restart":
            raise ValueError(
                f"router={name!r}, mode='restart': a client cannot be told to forget what it has been shown; allowed: "
                "'route', 'escalate', 'regenerate'"
            )
        if _recurrent(self.router):
            raise ValueError(f"router={name!r} is recurrent: it remembers episodes; allowed: one without memory")
        own = game_of(self.router)
        if own is None and bank is None:
            raise ValueError(f"bank=None with the rule {name!r}; allowed: the bank that costs are measured by")
        if own is not None and own.models != pool.names:
            raise ValueError(f"models={list(pool.names)}; allowed with router {name!r}: {list(own.models)}")
        self.reference = self._reference(bank) if bank is not None else None
        if own is not None:
            self.normaliser, self.measured_on = own.normaliser, f"{own.split} of {own.source}"
        else:
            assert self.reference is not None
            self.normaliser, self.measured_on = self.reference.normaliser, f"calibration of {bank}"
        self.arguments |= {"normaliser": self.normaliser}
        certified = isinstance(self.router, CalibratedRouter)
        self.certificate = self.router.certificate if isinstance(self.router, CalibratedRouter) else None
        self.base: Any = self.router.base if certified else self.router  # type: ignore[attr-defined]
        self.threshold: float | None = getattr(self.router, "threshold", None)
        self._bound = False
        self.models = pool.names
        self.blocks: tuple[str, ...] = ()
        """Blocks of the observation, once a game has been played."""

    def _reference(self, bank: str | None) -> Game:
        game = Game(GameConfig(bank, split="calibration", **self.arguments))
        if (check := getattr(self.router, "check_game", None)) is not None:
            check(game)
        return game

    def game(self, source: StepSource, budget: float | None, hard: bool) -> Game:
        """The game of one request."""
        arguments = self.arguments | ({} if budget is None else {"budget": budget, "hard_budget": hard})
        game = Game(GameConfig(source, split="test", **arguments))
        self.blocks = game.rules.blocks
        if not self._bound:
            bind(self.router, Game(GameConfig(source, split="test", **self.arguments)).spec)
            self._bound = True
        return game

    def check_threshold(self, threshold: float) -> None:
        """Raise ``ValueError`` for a threshold that the router has no use for."""
        if not isinstance(self.router, Scores):
            raise ValueError(f"threshold={threshold!r}; allowed with {self.called!r}, which has no scores: none")
        if not (np.isfinite(threshold) and threshold >= 0):
            raise ValueError(f"threshold={threshold!r}; allowed: 0 (always-largest) to above 1 (always-smallest)")

    def check_budget(self, budget: float, hard: bool) -> None:
        """Raise ``ValueError`` for a budget that would change nothing, or that the router has never met."""
        known = self.arguments.get("budget")
        if not (np.isfinite(budget) and budget > 0):
            raise ValueError(
                f"budget={budget!r}; allowed: a finite number > 0, where always-largest costs 1 on average"
            )
        if known is None and not hard:
            raise ValueError(
                f"budget={budget!r} with {self.called!r}, which knows no budgets; allowed: none, or hard_budget=true, "
                "which cuts the answer off"
            )
        if known is not None:
            low, high = known if isinstance(known, tuple) else (known, known)
            if not low <= budget <= high:
                raise ValueError(f"budget={budget!r}; allowed with {self.called!r}: {low:g} to {high:g}")

    def decide(self, observation: NDArray[np.float32], threshold: float | None, models: int) -> Decision:
        """The decision for one observation ``float32[features]``."""
        rows = observation[None]
        if isinstance(self.router, ScoringRouter):
            scores = np.asarray(self.router.scores(rows))
            limit = self.router.threshold if threshold is None else threshold
            shown = (
                tuple(float(score) for score in np.atleast_2d(scores)[0]) if scores.ndim == 2 else (float(scores[0]),)
            )
            return Decision(int(decide(scores, limit, models)[0]), shown)
        actions, _ = self.router.predict(rows, deterministic=True)
        return Decision(int(np.asarray(actions)[0]), None)


def ready_router(
    name: str,
    *,
    pool: ModelPool,
    bank: str | None,
    mode: str | None,
    cost_unit: str | None,
    prompt: PromptTemplate,
    rule: StepRule,
    trust: bool = False,
) -> ServedRouter:
    """A router that has met the game that it is served in; arguments as of :class:`ServedRouter`.

    Raises:
        ValueError: as of :class:`ServedRouter`, or the game is none that the router can play.
    """
    router = ServedRouter(name, pool=pool, bank=bank, mode=mode, cost_unit=cost_unit, trust=trust)
    source = LiveSource(
        {"test": [Problem("served", "test", 0, "?", "")]},
        [RecalledGenerator(model, index, 1) for index, model in enumerate(pool.names)],
        pool=pool,
        prompt=prompt,
        rule=rule,
        grading=None,
        shared_prefix=[0] * len(pool),
    )
    router.game(source, None, False)
    return router


def _recurrent(router: object) -> bool:
    """Whether a policy with memory is somewhere inside."""
    while router is not None:
        if isinstance(router, PolicyNetwork) and router.recurrent:
            return True
        router = getattr(router, "network", None) or getattr(router, "base", None)
    return False
