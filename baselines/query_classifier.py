"""Query-level routing after RouteLLM (arXiv 2406.18665): the question alone decides, once for the whole trace.

RouteLLM estimates the probability that the strong model wins on a query, from preference data and query embeddings. In
a bank the outcomes are known, so the label is exact: the large model alone is right and the small one alone is not.
Reconstructed on counts over the question (``question`` block); for text embeddings see
:mod:`query_embedding`.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.baselines.constant import AlwaysLargest, AlwaysSmallest
from gym_stepwise_routing.baselines.estimators import SoftClassifier
from gym_stepwise_routing.baselines.experience import experience, path_values
from gym_stepwise_routing.baselines.fitted_router import FittedRouter
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.evaluation.evaluate import play
from gym_stepwise_routing.game.config import RoutingSpec
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.base import columns_of
from gym_stepwise_routing.routers.families import ROUTERS, BuildContext, Family, Thresholds

__all__ = ["QueryClassifier"]

Floats = NDArray[np.float64]

_FEATURES = (
    "question_tokens",
    "question_characters",
    "question_words",
    "question_sentences",
    "question_numbers",
)


class QueryClassifier(FittedRouter):
    """Score = estimated probability that the largest model is needed: it is right where the smallest is not.

    Args:
        threshold: 0 (always-largest) to above 1 (always-smallest).
        seed: seed of the sampling (random sources only).
    """

    name = "query-classifier"

    def __init__(self, threshold: float = 0.5, seed: int = 0) -> None:
        super().__init__(threshold)
        self.seed = seed

    def bind(self, spec: RoutingSpec) -> None:
        """Find the question's features.

        Raises:
            NotApplicableError: no ``question`` block, or mode *regenerate*, which drafts before anything is decided.
        """
        super().bind(spec)
        if spec.mode == "regenerate":
            raise NotApplicableError("a query-level router drafts nothing; allowed: modes 'route' and 'escalate'")
        self._columns = columns_of(spec, *_FEATURES)
        (self._known,) = columns_of(spec, "question_known")

    def fit(self, game: Game) -> Self:
        """Fit on the outcomes of the constants.

        Raises:
            NotApplicableError: the source does not tell anything about its questions, or the outcomes are all alike.
        """
        self.bind_to(game)
        seen, problem, small, large = _alone(game, self.seed)
        if not (seen[:, self._known] > 0).any():
            raise NotApplicableError(f"source {game.spec.source!r} has no counts over its questions")
        both = np.isfinite(small + large)
        needed = (large[both] > small[both]).astype(np.float64)
        if not 0 < needed.sum() < len(needed):
            raise NotApplicableError(
                f"the largest model alone is right where the smallest is not on {needed.sum():.0f} of {len(needed)} "
                "train problems of which both are known; a classifier needs both kinds"
            )
        self._classifier = SoftClassifier().fit(
            seen[both][:, self._columns], needed, np.ones(len(needed)), problem[both]
        )
        return self

    def scores(self, observation: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probability that the largest model is needed, ``float64[B]``."""
        return self._classifier.predict(observation[:, self._columns])


def _alone(game: Game, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64], Floats, Floats]:
    """First observations, their problems, and whether the smallest and the largest model alone are right.

    NaN where nobody knows. A recorded game with too many paths for a table is played.
    """
    if game.source.deterministic and game.table is None:
        start = game.rules.start(game.problems, np.random.default_rng(seed))
        small, large = (play(router, game).right.astype(np.float64) for router in (AlwaysSmallest(), AlwaysLargest()))
        return game.rules.observe(start, game.normaliser), np.arange(len(small)), small, large
    known = experience(game, seed=seed)
    roots = np.flatnonzero(known.depth == 0)
    unknown = np.full(len(known), np.nan)
    small, large = (
        path_values(known, np.full(len(known), action), known.right, unknown)[roots]
        for action in (0, len(game.spec.models) - 1)
    )
    return known.observation[roots], known.problem[roots], small, large


def _classified(arena: BuildContext) -> Thresholds:
    return Thresholds(QueryClassifier(seed=arena.seed).fit(arena.game("train", ("question",), mode=arena.plain)))


ROUTERS.register(
    Family(
        name="query classifier",
        group="query level",
        paper="arXiv 2406.18665",
        router=QueryClassifier,
        build=_classified,
        sees=("question",),
        plays="plain",
        fitted=True,
    )
)
