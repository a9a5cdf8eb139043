"""Fitted Q on recorded trees: a value router, trained on what *both* actions lead to in every state.

For one price of cost, fitted policy iteration: follow the present policy down the tree from every child, which gives
the exact return of each action; regress these returns on the observation; let the next policy take the better one.
Following the fitted policy, rather than the best recorded path, keeps hindsight out of the targets: the best of several
recorded outcomes is not what a router that sees only observations can expect (compare Bagnell et al., *Policy search
by dynamic programming*, NIPS 2003, and Munos and Szepesvari, *Finite-time bounds for fitted value iteration*, 2008).
On a random source only the sampled actions have an outcome; for the others the regression stands in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Self

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.baselines.estimators import Design, OutcomeRegression, predict_all
from gym_stepwise_routing.baselines.experience import Experience, experience, path_values, reach, uniform_values
from gym_stepwise_routing.baselines.fitted_router import FittedRouter
from gym_stepwise_routing.baselines.observed_figures import needs_blocks
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.families import ROUTERS, BuildContext, Family, Settings, at_prices
from gym_stepwise_routing.types import DEFAULT_BLOCKS, Block

__all__ = ["FittedQ", "Prepared", "advantages"]

_SCALE = 0.05


class Prepared:
    """Experience with what fits on it have in common, whatever the price.

    Args:
        known: the experience.

    Attributes:
        rows: for each action the states in which it was taken, ``int64[n]``.
        designs: the inputs of its regression.
    """

    def __init__(self, known: Experience) -> None:
        self.known = known
        weight = reach(known)
        self.rows = [np.flatnonzero(known.child[:, action] >= 0) for action in range(known.child.shape[1])]
        self.designs = [Design(known.observation[rows], weight[rows], known.problem[rows]) for rows in self.rows]
        self._columns = [design.columns(known.observation) for design in self.designs]

    def gains(self, regressions: Sequence[OutcomeRegression]) -> NDArray[np.float64]:
        """What the regressions of the actions expect in every state, ``float64[N, K]``."""
        found = [one.predict_columns(columns) for one, columns in zip(regressions, self._columns, strict=True)]
        return np.stack(found, axis=1)


class FittedQ(FittedRouter):
    """Takes the action with the largest estimated ``P(right) - price * cost to come``.

    Scores are ``sigmoid(advantage / 0.05)`` of the models above k over those up to k; at the default threshold of 1/2
    the decision is the best action.

    Args:
        price: price of one always-largest episode in units of a right answer, >= 0.
        iterations: rounds of policy iteration, >= 1; the first policy draws uniformly.
        threshold: 0 (always-largest) to above 1 (always-smallest).
        seed: seed of the sampling (random sources only).
    """

    def __init__(self, price: float, iterations: int = 3, threshold: float = 0.5, seed: int = 0) -> None:
        if not price >= 0:
            raise ValueError(f"price={price!r}; allowed: >= 0")
        if iterations < 1:
            raise ValueError(f"iterations={iterations!r}; allowed: an integer >= 1")
        super().__init__(threshold)
        self.price = price
        self.iterations = iterations
        self.seed = seed
        self.name = f"fitted-q-{price:.3g}"

    def fit(self, game: Game, known: Experience | Prepared | None = None) -> Self:
        """Fit on a game of the train split.

        Args:
            game: the game.
            known: its experience, where it is at hand already, or prepared for fits at several prices.
        """
        self.bind_to(game)
        known = experience(game, seed=self.seed) if known is None else known
        prepared = known if isinstance(known, Prepared) else Prepared(known)
        known = prepared.known
        leaf = known.right - self.price * known.cost
        value = uniform_values(known, leaf)
        for _ in range(self.iterations):
            self._regressions = [
                OutcomeRegression().fit_design(design, value[known.child[rows, action]] + self.price * known.cost[rows])
                for action, (rows, design) in enumerate(zip(prepared.rows, prepared.designs, strict=True))
            ]  # the return to come, net of what was spent already
            gain = np.where(known.mask, prepared.gains(self._regressions), -np.inf)
            actions = np.argmax(gain, axis=1)
            value = path_values(known, actions, leaf, gain.max(axis=1) - self.price * known.cost)
        return self

    def gains(self, observation: NDArray[np.float32]) -> NDArray[np.float64]:
        """Estimated ``P(right) - price * cost to come`` of each action, ``float64[B, K]``."""
        return predict_all(self._regressions, observation)

    def scores(self, observation: NDArray[np.float32]) -> NDArray[np.float64]:
        """Advantage of larger models, squashed, ``float64[B, K-1]`` in [0, 1]."""
        return advantages(self.gains(observation), _SCALE)


def advantages(gain: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """Advantage of the best model above k over the best up to k, over ``scale``, as a sigmoid, ``float64[B, K-1]``."""
    above = np.maximum.accumulate(gain[:, ::-1], axis=1)[:, ::-1][:, 1:]
    upto = np.maximum.accumulate(gain, axis=1)[:, :-1]
    return np.asarray(1 / (1 + np.exp(-np.clip((above - upto) / scale, -30, 30))))


def _fitted(blocks: tuple[Block, ...], arena: BuildContext) -> Settings:
    game, rate = arena.game("train", blocks), arena.exchange_rate(blocks)
    needs_blocks(game, [block for block in blocks if block not in DEFAULT_BLOCKS], arena.seed)
    known = Prepared(experience(game, seed=arena.seed))
    return at_prices(lambda price: FittedQ(price, seed=arena.seed).fit(game, known), rate)


_PLAIN = Family(
    name="fitted Q",
    group="fitted on trees",
    router=FittedQ,
    build=partial(_fitted, DEFAULT_BLOCKS),
    sees=DEFAULT_BLOCKS,
    fitted=True,
)
_PROBED: tuple[Block, ...] = (*DEFAULT_BLOCKS, "probe")
_VERIFIED: tuple[Block, ...] = (*DEFAULT_BLOCKS, "verifier")
_ANSWERED: tuple[Block, ...] = (*DEFAULT_BLOCKS, "feedback")
ROUTERS.register(_PLAIN)
ROUTERS.register(
    replace(
        _PLAIN,
        name="fitted Q with probe",
        build=partial(_fitted, _PROBED),
        sees=_PROBED,
        charges="one token and its prefill, unless the small model goes on",
        modes=("route", "escalate"),  # a probe tells less than the draft that regenerate has paid for
    )
)
ROUTERS.register(
    replace(
        _PLAIN,
        name="fitted Q with verifier",
        build=partial(_fitted, _VERIFIED),
        sees=_VERIFIED,
        charges="the verifier's reading of every step or draft",
    )
)
ROUTERS.register(
    replace(
        _PLAIN,
        name="fitted Q with answers",
        build=partial(_fitted, _ANSWERED),
        sees=_ANSWERED,
        needs=("answers",),
    )
)
