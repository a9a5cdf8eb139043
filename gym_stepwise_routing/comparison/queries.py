"""Query-level routing on question texts as a contender: computed beside the game, from the single models' traces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.baselines.query_embedding import Embedder, needed_large
from gym_stepwise_routing.comparison.arena import Arena
from gym_stepwise_routing.comparison.contenders import GRID, Costs, Floats, Points
from gym_stepwise_routing.costs.ledger import VERIFIER
from gym_stepwise_routing.costs.models import ModelPool
from gym_stepwise_routing.costs.units import CostUnit, available_units, cost_weights, reported_units
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.routers.base import ALWAYS_LARGEST, ALWAYS_SMALLEST
from gym_stepwise_routing.routers.families import ROUTERS, Family
from gym_stepwise_routing.types import Split

__all__ = ["QueryEmbedding"]


class QueryEmbedding:
    """The smallest or the largest model for the whole trace, by the question's embedding.

    Args:
        arena: where it is played.
        embedder: the encoder.
        questions: question of each problem of the source, by problem number.

    Raises:
        NotApplicableError: the encoder has no figure for the arena's cost unit, or the labels are all alike.
    """

    def __init__(self, arena: Arena, embedder: Embedder, questions: Sequence[str]) -> None:
        self._arena, self._embedder, self._questions = arena, embedder, questions
        self._pool = ModelPool(arena.source.pool.models, embedder.model)
        if arena.cost_unit not in available_units(self._pool):
            raise NotApplicableError(f"cost_unit={arena.cost_unit!r}: {embedder.model.name!r} has no figure for it")
        models = arena.reference("train").models
        self._embedded: dict[Split, tuple[Floats, NDArray[np.int64]]] = {}
        self._classifier = needed_large(self._embed("train")[0], models[0].right, models[-1].right)
        scores = self._scores("train")
        self._grid = np.unique([ALWAYS_LARGEST, *np.quantile(scores, np.linspace(0, 1, GRID)), ALWAYS_SMALLEST])
        self.labels = [f"threshold {threshold:.3g}" for threshold in self._grid]

    def _embed(self, split: Split) -> tuple[Floats, NDArray[np.int64]]:
        if split not in self._embedded:
            problems = self._arena.source.problems(split)
            self._embedded[split] = self._embedder.embed([self._questions[problem] for problem in problems])
        return self._embedded[split]

    def _scores(self, split: Split) -> Floats:
        return self._classifier.predict(self._embed(split)[0])

    def _reading(self, split: Split, unit: CostUnit) -> Floats:
        """Cost of reading each question, not normalised."""
        return np.asarray(self._embed(split)[1] * cost_weights(unit, self._pool)[-1, VERIFIER])

    def points(self, split: Split) -> Points:
        """See :class:`Contender`."""
        models = self._arena.reference(split).models
        small, large = models[0], models[-1]
        pick = self._scores(split) >= self._grid[:, None]
        normaliser = self._arena.game(split, ("progress",), mode=self._arena.plain).normaliser
        reading = self._reading(split, self._arena.cost_unit) / normaliser
        return Points(
            np.where(pick, large.right, small.right).astype(np.float64),
            np.where(pick, large.cost, small.cost) + reading,
        )

    def costs(self, split: Split, index: int) -> Costs:
        """See :class:`Contender`."""
        models = self._arena.reference(split).models
        pick = self._scores(split) >= self._grid[index]
        return {
            unit: np.where(pick, models[-1].costs[unit], models[0].costs[unit]) + self._reading(split, unit)
            for unit in reported_units(self._pool, self._arena.cost_unit)
        }


def _embedded(arena: Arena) -> QueryEmbedding:
    if arena.questions is None or arena.encoder is None:
        raise NotApplicableError("needs the question texts (--questions) and a text encoder (--encoder)")
    return QueryEmbedding(arena, Embedder(arena.encoder), arena.questions)


ROUTERS.register(
    Family(
        name="query embedding",
        group="query level",
        paper="arXiv 2406.18665",
        build=_embedded,
        sees=(),
        needs=("question texts", "a text encoder"),
        charges="the encoder's reading of the question",
        plays="plain",
        fitted=True,
    )
)
