"""Where routers are compared: one source, mode and cost unit, and the games on its splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.baselines.constant import AlwaysLargest, AlwaysModel, AlwaysSmallest
from gym_stepwise_routing.baselines.observed_figures import logit_name
from gym_stepwise_routing.baselines.oracle import knows_paths
from gym_stepwise_routing.baselines.spec_reason import rating_name
from gym_stepwise_routing.comparison.ceiling import Ceiling, ceiling
from gym_stepwise_routing.costs.models import ModelPool
from gym_stepwise_routing.costs.units import DEFAULT_UNIT, CostUnit
from gym_stepwise_routing.errors import NotApplicableError, check_choice
from gym_stepwise_routing.evaluation.curves import Anchors
from gym_stepwise_routing.evaluation.evaluate import Evaluation, play
from gym_stepwise_routing.evaluation.frontier import Frontier
from gym_stepwise_routing.evaluation.outcomes import AnchorOutcomes
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.game.observation import check_blocks
from gym_stepwise_routing.sources import resolve
from gym_stepwise_routing.sources.contract import StepSource
from gym_stepwise_routing.types import Block, Mode, Split

__all__ = ["Arena", "Reference", "asked_by_name", "plain_mode"]


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What every router is held against, on one split.

    Attributes:
        models: each model playing alone, smallest first.
        anchors: accuracy and mean cost of the smallest and the largest.
        outcomes: the same, problem by problem.
        cheapest: what the per-problem oracle plays; None of a game whose best paths nobody knows.
    """

    models: tuple[Evaluation, ...]
    anchors: Anchors
    outcomes: AnchorOutcomes
    cheapest: Ceiling | None

    @property
    def ceiling(self) -> Frontier | None:
        """Frontier of the per-problem oracle; None where nobody knows the best paths."""
        return None if self.cheapest is None else self.cheapest.frontier


def asked_by_name(pool: ModelPool) -> tuple[str, str]:
    """Verifiers whose scores go to who asks for them only: ratings by the largest model, logits of the smallest."""
    return rating_name(pool.names[-1]), logit_name(pool.names[0])


def plain_mode(source: StepSource) -> Mode:
    """Mode in which a single model of the source plays alone, without drafts.

    Raises:
        NotApplicableError: the source was recorded in mode *regenerate* only.
    """
    for mode in ("route", "escalate", "restart"):
        if mode in source.modes:
            return mode  # type: ignore[return-value]
    raise NotApplicableError(f"source={source.name!r} cannot be played without drafts; its only mode is regenerate")


class Arena:
    """The games that a comparison is played on.

    Single models are played without drafts, probes or a verifier, whatever the mode: who wants the largest model alone
    pays for nothing else. They are the anchors of all metrics, so costs mean the same in every mode.

    Args:
        source: what :class:`gym_stepwise_routing.game.game.Game` takes.
        mode: ``route``, ``escalate``, ``regenerate`` or ``restart``.
        cost_unit: unit of the costs on the axis.
        split: split that results are reported on.
        scored: the same source with scores, each time by another verifier; ratings and largest logits go to the
            routers that ask for them by name, the first of the others to all other routers.
        questions: question of each problem, for routers that read it; None: no texts are at hand.
        encoder: local folder or hub name of a text encoder; None: none is at hand.
        seed: seed of random sources and of whatever is fitted.

    Raises:
        ValueError: an argument out of range, or ``split="calibration"``, which thresholds are chosen on.
    """

    def __init__(
        self,
        source: object,
        *,
        mode: Mode = "route",
        cost_unit: CostUnit = DEFAULT_UNIT,
        split: Split = "test",
        scored: Sequence[StepSource] = (),
        questions: Sequence[str] | None = None,
        encoder: str | None = None,
        seed: int = 0,
    ) -> None:
        check_choice("split", split, ("train", "test"))
        self.source = resolve(source)
        self.mode: Mode = mode
        self.cost_unit: CostUnit = cost_unit
        self.split: Split = split
        self.questions = questions
        self.encoder = encoder
        self.seed = seed
        by_name: dict[str, StepSource] = {}
        for each in (self.source, *scored):  # of two files by one verifier the first counts
            if each.pool.verifier is not None:
                by_name.setdefault(each.pool.verifier.name, each)
        self._scored = by_name
        self.verifier = next((name for name in by_name if name not in asked_by_name(self.source.pool)), "")
        """Name of the verifier that judges for all routers which do not ask for another, '' if there is none."""
        self._references: dict[Split, Reference] = {}
        self._games: dict[tuple[Split, tuple[Block, ...], Mode, str], Game] = {}
        self.game("train", ("progress",))  # a bad source, mode or cost unit shows here

    @property
    def step_scores(self) -> NDArray[np.float32]:
        """Verifier scores of a bank's steps, by its rows.

        Raises:
            NotApplicableError: there is no verifier, or the source is no bank.
        """
        bank = getattr(self._judged(self.verifier), "bank", None)
        if not isinstance(bank, Bank):
            raise NotApplicableError(f"{self.source.kind} {self.source.name!r} has no recorded verifier scores")
        return bank.score

    def _judged(self, verifier: str) -> StepSource:
        """The source with the scores of a verifier."""
        if verifier not in self._scored:
            who = f"scores by {verifier!r}" if verifier else "verifier scores"
            raise NotApplicableError(f"{self.source.kind} {self.source.name!r} has no {who}")
        return self._scored[verifier]

    def game(self, split: Split, observation: Sequence[Block], *, mode: Mode | None = None, verifier: str = "") -> Game:
        """The game on a split with these blocks; made once.

        Args:
            split: the split.
            observation: the blocks.
            mode: mode that it is played in; the arena's if None.
            verifier: who judges, where the blocks show it; '' is the arena's verifier.

        Raises:
            NotApplicableError: the verifier block where there are no scores by that verifier.
        """
        blocks = check_blocks(observation)
        judge = (verifier or self.verifier) if "verifier" in blocks else ""
        key = (split, blocks, mode or self.mode, judge)
        if key not in self._games:
            source = self._judged(judge) if "verifier" in blocks else self.source
            self._games[key] = Game(
                source, split=split, mode=mode or self.mode, cost_unit=self.cost_unit, observation=blocks
            )
        return self._games[key]

    @property
    def plain(self) -> Mode:
        """Mode that single models are played in.

        Raises:
            NotApplicableError: the source was recorded in mode *regenerate* only.
        """
        return plain_mode(self.source)

    def reference(self, split: Split) -> Reference:
        """Constants and oracle on a split; computed once."""
        if split not in self._references:
            self._references[split] = self._reference(split)
        return self._references[split]

    def exchange_rate(self, blocks: Sequence[Block] = ("progress",)) -> float:
        """Accuracy that the largest model at every step buys for each unit of cost, on the train split; 1 if none.

        Played in the arena's own mode and with the blocks that a router sees, so that drafts, probes and verifiers are
        in the cost: prices in units of this rate bracket the tradeoff in every mode.
        """
        game = self.game("train", blocks)
        small, large = (play(router, game, seed=self.seed) for router in (AlwaysSmallest(), AlwaysLargest()))
        gap, gain = large.mean_cost - small.mean_cost, large.accuracy - small.accuracy
        return float(gain / gap) if gap > 0 and gain > 0 else 1.0

    def _reference(self, split: Split) -> Reference:
        game = self.game(split, ("progress",), mode=self.plain)
        middle = [AlwaysModel(model) for model in range(1, len(game.spec.models) - 1)]
        models = tuple(play(router, game, seed=self.seed) for router in (AlwaysSmallest(), *middle, AlwaysLargest()))
        small, large = models[0], models[-1]
        own = self.game(split, ("progress",))
        return Reference(
            models=models,
            anchors=Anchors(
                cost_small=small.mean_cost,
                accuracy_small=small.accuracy,
                cost_large=large.mean_cost,
                accuracy_large=large.accuracy,
            ),
            outcomes=AnchorOutcomes(
                right_small=small.right.astype(np.float64),
                cost_small=small.cost,
                right_large=large.right.astype(np.float64),
                cost_large=large.cost,
            ),
            cheapest=ceiling(own, models) if knows_paths(own) else None,
        )
