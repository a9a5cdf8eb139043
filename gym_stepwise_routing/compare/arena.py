"""Where routers are compared: one source, mode and cost unit, and the games on its splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.accounting import Mode
from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.baselines.constant import AlwaysLargest, AlwaysModel, AlwaysSmallest
from gym_stepwise_routing.compare.ceiling import Ceiling, ceiling
from gym_stepwise_routing.costs import CostUnit
from gym_stepwise_routing.errors import NotApplicableError, check_choice
from gym_stepwise_routing.evaluation.curves import Anchors
from gym_stepwise_routing.evaluation.evaluate import Evaluation, play
from gym_stepwise_routing.evaluation.frontier import Frontier
from gym_stepwise_routing.evaluation.outcomes import AnchorOutcomes
from gym_stepwise_routing.game import Game
from gym_stepwise_routing.observation import Block, check_blocks
from gym_stepwise_routing.sources import resolve
from gym_stepwise_routing.sources.base import Split, StepSource

__all__ = ["Arena", "Reference"]


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What every router is held against, on one split.

    Attributes:
        models: each model playing alone, smallest first.
        anchors: accuracy and mean cost of the smallest and the largest.
        outcomes: the same, problem by problem.
        cheapest: what the per-problem oracle plays; None where the source is random.
    """

    models: tuple[Evaluation, ...]
    anchors: Anchors
    outcomes: AnchorOutcomes
    cheapest: Ceiling | None

    @property
    def ceiling(self) -> Frontier | None:
        """Frontier of the per-problem oracle; None where the source is random."""
        return None if self.cheapest is None else self.cheapest.frontier


class Arena:
    """The games that a comparison is played on.

    Single models are played without drafts, probes or a verifier, whatever the mode: who wants the largest model alone
    pays for nothing else. They are the anchors of all metrics, so costs mean the same in every mode.

    Args:
        source: what :class:`gym_stepwise_routing.game.Game` takes.
        mode: ``route``, ``escalate`` or ``regenerate``.
        cost_unit: unit of the costs on the axis.
        split: split that results are reported on.
        scored: the same source with a verifier's scores, for routers that need one; None: none is at hand, or the
            source has its own.
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
        cost_unit: CostUnit = "flops",
        split: Split = "test",
        scored: StepSource | None = None,
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
        self._scored = scored
        self._references: dict[Split, Reference] = {}
        self._games: dict[tuple[Split, tuple[Block, ...], Mode], Game] = {}
        self.game("train", ("progress",))  # a bad source, mode or cost unit shows here

    @property
    def verifier(self) -> str:
        """Name of the verifier whose scores are at hand, '' if there is none."""
        source = self.source if self._scored is None else self._scored
        return "" if source.pool.verifier is None else source.pool.verifier.name

    @property
    def step_scores(self) -> NDArray[np.float32]:
        """Verifier scores of a bank's steps, by its rows.

        Raises:
            NotApplicableError: there is no verifier, or the source is no bank.
        """
        source = self.source if self._scored is None else self._scored
        bank = getattr(source, "bank", None)
        if not self.verifier or not isinstance(bank, Bank):
            raise NotApplicableError(f"{source.kind} {source.name!r} has no recorded verifier scores")
        return bank.score

    def game(self, split: Split, observation: Sequence[Block], *, mode: Mode | None = None) -> Game:
        """The game on a split with these blocks; made once.

        Raises:
            NotApplicableError: the verifier block where there is no verifier.
        """
        blocks = check_blocks(observation)
        key = (split, blocks, mode or self.mode)
        if key not in self._games:
            source = self.source
            if "verifier" in blocks and source.pool.verifier is None:
                if self._scored is None:
                    raise NotApplicableError(f"{source.kind} {source.name!r} has no verifier scores")
                source = self._scored
            self._games[key] = Game(
                source,
                split=split,
                mode=mode or self.mode,
                cost_unit=self.cost_unit,
                observation=blocks,
                masked_action="project",
            )
        return self._games[key]

    @property
    def plain(self) -> Mode:
        """Mode that single models are played in.

        Raises:
            NotApplicableError: the source was recorded in mode *regenerate* only.
        """
        for mode in ("route", "escalate"):
            if mode in self.source.modes:
                return mode  # type: ignore[return-value]
        raise NotApplicableError(
            f"source={self.source.name!r} cannot be played without drafts; its only mode is regenerate"
        )

    def reference(self, split: Split) -> Reference:
        """Constants and oracle on a split; computed once."""
        if split not in self._references:
            self._references[split] = self._reference(split)
        return self._references[split]

    def _reference(self, split: Split) -> Reference:
        game = self.game(split, ("progress",), mode=self.plain)
        middle = [AlwaysModel(model) for model in range(1, len(game.spec.models) - 1)]
        models = tuple(play(router, game, seed=self.seed) for router in (AlwaysSmallest(), *middle, AlwaysLargest()))
        small, large = models[0], models[-1]
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
            cheapest=ceiling(self.game(split, ("progress",)), models) if self.source.deterministic else None,
        )
