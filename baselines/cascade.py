"""Cascades of whole answers: a model answers, its answer is judged, and if it is rejected the next larger one answers.

FrugalGPT (arXiv 2305.05176) judges with a small model that was trained on right and wrong answers; here it is a
logistic regression on the figures of the finished trace (confidence, lengths, question), fitted on the train split.
AutoMix (arXiv 2310.12963) has the model verify its own answer in k few-shot samples. No bank records such samples, so
what stands in for them is the model's own mean token probability over the trace; nothing is charged for it.

A rejected answer is thrown away and the next model starts from the question, so that every answer that was tried is
paid for in full. A cascade plays no steps: it is computed from the models' own traces, by the same ledger.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.baselines.estimators import SoftClassifier
from gym_stepwise_routing.baselines.experience import folds
from gym_stepwise_routing.baselines.observed_figures import given
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.game.config import RoutingSpec
from gym_stepwise_routing.game.episodes import positions
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.game.row_table import project_actions
from gym_stepwise_routing.routers.base import columns_of

__all__ = ["AnswerJudge", "FrugalJudge", "SelfJudge", "answers"]

FOLDS = 5
"""Folds of the train split in which a scorer's approvals are out of fold."""

Floats = NDArray[np.float64]


def answers(game: Game, model: int, *, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Finished traces of one model on every problem: last observation ``float32[n, F]``, and right ``bool[n]``."""
    rng = np.random.default_rng(seed)
    n = len(game.problems)
    run = positions(game, n)
    run.begin(np.arange(n), np.arange(n), rng)
    stand = run.standing()
    while not stand.stuck.all():
        run.move(project_actions(np.full(n, model), stand.mask), rng, stand.stuck)
        stand = run.standing()
    return stand.observation, stand.correct


class AnswerJudge(ABC):
    """Judges a finished answer from the last observation of its trace."""

    @abstractmethod
    def fit(self, game: Game, *, seed: int = 0) -> Self:
        """Get ready on a game of the train split, in a mode without drafts."""

    @abstractmethod
    def approval(self, observation: NDArray[np.float32]) -> Floats:
        """How much the answers are trusted, ``float64[B]`` in [0, 1]."""

    @property
    @abstractmethod
    def fitted_approvals(self) -> tuple[Floats, ...]:
        """The same of each model's answers to the train problems, as of answers that it was not fitted on.

        One ``float64[n]`` for each model but the largest, for whatever is chosen on the train split.
        """


class FrugalJudge(AnswerJudge):
    """FrugalGPT's scorer: probability that the answer is right."""

    def fit(self, game: Game, *, seed: int = 0) -> Self:
        """Fit on the answers of all models but the largest, whose answers are never judged.

        Raises:
            NotApplicableError: they are all right, or all wrong.
        """
        models = range(len(game.spec.models) - 1)
        seen, right = zip(*(answers(game, model, seed=seed) for model in models), strict=True)
        label = np.concatenate(right).astype(np.float64)
        if not 0 < label.sum() < len(label):
            raise NotApplicableError(f"{label.sum():.0f} of {len(label)} train answers are right; a scorer needs both")
        problems = np.tile(np.arange(len(game.problems)), len(seen))
        fitted_on = np.concatenate(seen), label, np.ones(len(label)), problems
        self._scorer = SoftClassifier().fit(*fitted_on)
        try:
            fold = folds(problems, min(FOLDS, len(game.problems)), seed)
            self._held_out = np.split(self._scorer.held_out(*fitted_on, fold), len(seen))
        except ValueError as error:
            raise NotApplicableError(f"too few train answers for a scorer to be judged on others: {error}") from None
        return self

    @property
    def fitted_approvals(self) -> tuple[Floats, ...]:
        """Out of fold: a scorer is surer of answers that it was fitted on than of others."""
        return tuple(self._held_out)

    def approval(self, observation: NDArray[np.float32]) -> Floats:
        """Probability that the answer is right, ``float64[B]``."""
        return self._scorer.predict(observation)


class SelfJudge(AnswerJudge):
    """AutoMix's self-verification as far as a bank goes: the writer's mean token probability over its trace."""

    figure = "mean_p_mean"

    def fit(self, game: Game, *, seed: int = 0) -> Self:
        """Find the figure in the observation.

        Raises:
            NotApplicableError: it is not observed, or not known of any answer.
        """
        self._bind(game.spec)
        seen = [answers(game, model, seed=seed)[0] for model in range(len(game.spec.models) - 1)]
        if not given(*seen[0][:, self._columns].T).any():
            raise NotApplicableError(f"{game.spec.source!r} has no {self.figure} of any answer")
        self._approvals = tuple(self.approval(each) for each in seen)
        return self

    @property
    def fitted_approvals(self) -> tuple[Floats, ...]:
        """The figures themselves: nothing is fitted."""
        return self._approvals

    def _bind(self, spec: RoutingSpec) -> None:
        self._columns = columns_of(spec, self.figure, "aggregates_known")

    def approval(self, observation: NDArray[np.float32]) -> Floats:
        """Mean token probability, ``float64[B]``; 0 where it is not known."""
        figure, known = observation[:, self._columns].T
        return np.where(given(figure, known), np.clip(figure, 0, 1), 0).astype(np.float64)


def tried(approvals: Sequence[Floats], threshold: float) -> NDArray[np.int64]:
    """Model whose answer is kept, ``int64[n]``: the first whose rejection score, 1 - approval, is below the threshold.

    Args:
        approvals: ``float64[n]`` for each model but the largest.
        threshold: 0 rejects every answer but the largest model's, above 1 accepts the first.
    """
    kept = np.full(len(approvals[0]), len(approvals), dtype=np.int64)
    for model in range(len(approvals) - 1, -1, -1):
        kept = np.where(1 - approvals[model] < threshold, model, kept)
    return kept
