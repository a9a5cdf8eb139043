"""What a router could do that knows the future, and two estimates of what one could do that knows the state alone.

The oracle plays the cheapest right path of every problem, or of as many as it can afford: a bound on every router.

The estimates are by cross-fitting on every split. A fitted Q that has seen the reported problems themselves looks
better than any router can be expected to be; one that has seen all others (the train and calibration splits, and the
other folds of the reported one) is worse than the best possible, having less to learn from. What the best router with
these observations and linear values would reach may be expected between; the distance is the generalisation gap.
Neither is a bound in the strict sense: a regression of values does not maximise the figure that is reported. All see
outcomes of the reported split, so they are no routers either.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.baselines.experience import Experience, experience, folds, join
from gym_stepwise_routing.baselines.fitted_q import FittedQ, Prepared
from gym_stepwise_routing.baselines.oracle import knows_paths
from gym_stepwise_routing.comparison.arena import Arena
from gym_stepwise_routing.comparison.ceiling import Ceiling
from gym_stepwise_routing.comparison.contenders import Costs, Points
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.evaluation.evaluate import Evaluation, play
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.base import Replay
from gym_stepwise_routing.routers.families import PRICES, ROUTERS, Family
from gym_stepwise_routing.types import DEFAULT_BLOCKS, SPLITS, Block, Split

__all__ = ["Oracle", "StateOnly"]

FOLDS = 5
MOST_STATES = 300_000
"""Most states of all splits together that an estimate is fitted on: its fits hold all of them several times over."""
SHARES = np.linspace(0, 1, 21)
"""Shares of the problems with a right path that the oracle gets right."""


class Oracle:
    """The per-problem oracle, which gets the problems right that cost least extra.

    Args:
        arena: where it is played.

    Raises:
        NotApplicableError: a game whose best paths nobody knows, such as that of a random source.
    """

    def __init__(self, arena: Arena) -> None:
        game = arena.game(arena.split, ("progress",))
        if not knows_paths(game):
            game.tree("no path is known before it is played")
        self._arena = arena
        self.labels = [f"{share:.0%} of what can be right" for share in SHARES]

    def _cheapest(self, split: Split) -> Ceiling:
        cheapest = self._arena.reference(split).cheapest
        if cheapest is None:
            raise NotApplicableError(f"split {split!r} has too many paths for a table: the cheapest is not known")
        return cheapest

    def points(self, split: Split) -> Points:
        """See :class:`Contender`."""
        paths = self._cheapest(split)
        bought = np.stack([paths.bought(share) for share in SHARES])
        return Points(bought.astype(np.float64), np.where(bought, paths.right, paths.any))

    def costs(self, split: Split, index: int) -> Costs:
        """See :class:`Contender`."""
        paths = self._cheapest(split)
        bought = paths.bought(SHARES[index])
        return {unit: np.where(bought, costs, paths.any_costs[unit]) for unit, costs in paths.right_costs.items()}


class StateOnly:
    """Fitted Q at each price, on problems of every split. It sees what an environment answers, where one does.

    Args:
        arena: where it is played.
        prices: prices of cost.
        fit: ``cross`` decides on each fold by what was learned on all other problems, ``same`` by all problems.

    Raises:
        NotApplicableError: a game without a table, such as that of a random source, or tables of more than
            ``MOST_STATES`` states.
    """

    def __init__(self, arena: Arena, prices: list[float], fit: Literal["cross", "same"]) -> None:
        self._blocks: tuple[Block, ...] = (*DEFAULT_BLOCKS, "feedback") if arena.source.feedback else DEFAULT_BLOCKS
        trees = [arena.game(split, self._blocks).tree("there is no tree to learn from") for split in SPLITS]
        if (states := sum(map(len, trees))) > MOST_STATES:
            raise NotApplicableError(
                f"{arena.source.name!r} has {states:,} states in all splits; allowed: up to {MOST_STATES:,}, since the "
                "fits hold all of them"
            )
        self._arena, self._prices, self._fit = arena, prices, fit
        self._played: dict[Split, list[Evaluation]] = {}
        self.labels = [f"price {price:.3g}" for price in prices]

    def _evaluations(self, split: Split) -> list[Evaluation]:
        if split not in self._played:
            others = [other for other in SPLITS if other != split]
            game, *rest = (self._arena.game(each, self._blocks) for each in (split, *others))
            known = join([experience(each) for each in (game, *rest)])
            inside = np.flatnonzero(known.problem < len(game.problems))
            seen = known.take(inside)
            self._played[split] = [
                play(Replay(_along(seen, actions, game), "state-only"), game)
                for actions in self._decided(game, known, inside)
            ]
        return self._played[split]

    def _decided(self, game: Game, known: Experience, inside: NDArray[np.int64]) -> NDArray[np.int64]:
        """Decisions at each price, ``int64[prices, n]``, in the states ``inside``: those of the reported split."""
        actions = np.zeros((len(self._prices), len(inside)), dtype=np.int64)
        if self._fit == "same":
            parts = [(inside, known)]
        else:
            fold = folds(known.problem, FOLDS, self._arena.seed)
            parts = [(inside[fold[inside] == held], known.take(np.flatnonzero(fold != held))) for held in range(FOLDS)]
        for out, learned in parts:
            prepared = Prepared(learned)
            for number, price in enumerate(self._prices):
                actions[number, out] = _best(FittedQ(price).fit(game, prepared), known, out)
        return actions

    def points(self, split: Split) -> Points:
        """See :class:`Contender`."""
        played = self._evaluations(split)
        return Points(np.stack([p.right.astype(np.float64) for p in played]), np.stack([p.cost for p in played]))

    def costs(self, split: Split, index: int) -> Costs:
        """See :class:`Contender`."""
        return self._evaluations(split)[index].costs


def _best(router: FittedQ, known: Experience, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    gains = np.where(known.mask[rows], router.gains(known.observation[rows]), -np.inf)
    return np.asarray(np.argmax(gains, axis=1))


def _along(known: Experience, actions: NDArray[np.int64], game: Game) -> NDArray[np.int64]:
    """Decisions along the path from each root, ``int64[n, H]``."""
    row = np.flatnonzero(known.depth == 0)
    decisions = np.zeros((len(row), game.rules.longest), dtype=np.int64)
    for step in range(game.rules.longest):
        decisions[:, step] = actions[row]
        row = np.where(known.ended[row], row, known.child[row, actions[row]])
    return decisions


def _state_only(fit: Literal["cross", "same"], arena: Arena) -> StateOnly:
    rate = arena.exchange_rate()
    return StateOnly(arena, [price * rate for price in PRICES], fit)


_GROUP = "bounds (see outcomes of the reported split)"
_TREE = ("a recorded tree",)
ROUTERS.register(Family(name="oracle", group=_GROUP, build=Oracle, sees=(), needs=_TREE))
_FITS: tuple[tuple[str, Literal["cross", "same"]], ...] = (("cross-fitted", "cross"), ("in sample", "same"))
for _name, _fit in _FITS:
    ROUTERS.register(
        Family(
            name=f"state only, {_name}",
            group=_GROUP,
            build=partial(_state_only, _fit),
            sees=DEFAULT_BLOCKS,
            needs=_TREE,
            fitted=True,
        )
    )
