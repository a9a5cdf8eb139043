"""TRIM-POMDP (arXiv 2601.10245): plan over what the verifier's scores leave uncertain.

Drafts are judged by a hidden state of the trace, of which the verifier's score is a noisy observation:

======== ============================================================================================
sound    the trace with the draft can still end right
fresh    with the draft it cannot, but with the draft rewritten it can
lost     neither
======== ============================================================================================

where "can" means: if the large model writes everything from there. On a recorded tree these states are known exactly,
so that transitions, score distributions, lengths and costs are counts over the train split (the paper estimates them
from samples of both models). The planner is finite-horizon point-based value iteration (Pineau, Gordon and Thrun 2003)
on a grid of beliefs. Reconstructed from the paper's description of its POMDP; the paper uses an off-the-shelf solver.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.baselines.experience import Experience, experience, path_values, reach
from gym_stepwise_routing.baselines.observed_figures import VERIFIED, judged
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.game.config import RoutingSpec
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.base import Router, columns_of
from gym_stepwise_routing.routers.families import ROUTERS, BuildContext, Family, Settings, at_prices

__all__ = ["Pomdp", "TrimPomdp", "estimate", "plan"]

SOUND, FRESH, LOST = STATES = range(3)
KEEP, REWRITE = ACTIONS = range(2)
BINS = 8
"""Quantile bins of the verifier's score."""
GRID = 12
"""Steps along an edge of the belief simplex."""
PRIOR = 1.0
"""Pseudo-count of every estimated distribution."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Pomdp:
    """The estimated process. ``T`` steps, ``M`` score bins.

    Attributes:
        edges: ``float64[M - 1]`` inner limits of the score bins.
        first: ``float64[3]`` hidden state of the first draft.
        moves: ``float64[2, 3, 3]`` next hidden state after each action in each state.
        seen: ``float64[3, M]`` score bin in each state.
        ends: ``float64[T, 2]`` probability that the trace ends with the step of this decision.
        right: ``float64[2, 3]`` probability that it is right if it ends.
        cost: ``float64[T, 2]`` mean normalised cost of the step.
    """

    edges: Floats
    first: Floats
    moves: Floats
    seen: Floats
    ends: Floats
    right: Floats
    cost: Floats


def estimate(known: Experience, score: Floats, horizon: int) -> Pomdp:
    """Counts over every decision of the trees, weighted by how likely uniform decisions meet it.

    Args:
        known: the decisions; action 0 keeps the draft, the last one has the largest model rewrite it.
        score: ``float64[N]`` verifier's score of the draft, in [0, 1].
        horizon: most steps.
    """
    large = known.child.shape[1] - 1
    rows = np.flatnonzero(~known.ended)
    saved = path_values(known, np.full(len(known), large), known.right, np.zeros(len(known)))
    children = known.child[rows][:, [0, large]]
    ahead = np.where(children >= 0, saved[children], 0.0)
    state = np.full(len(known), -1)
    state[rows] = np.where(ahead[:, 0] > 0, SOUND, np.where(ahead[:, 1] > 0, FRESH, LOST))
    weight = reach(known)
    edges = np.quantile(score[rows], np.linspace(0, 1, BINS + 1)[1:-1])
    bins = np.searchsorted(edges, score[rows], side="right")
    seen, first = np.full((3, BINS), PRIOR / BINS), np.full(3, PRIOR / 3)
    np.add.at(seen, (state[rows], bins), weight[rows])
    roots = rows[known.depth[rows] == 0]
    np.add.at(first, state[roots], weight[roots])
    moves, right = np.full((2, 3, 3), PRIOR / 3), np.full((2, 3, 2), PRIOR / 2)
    ends, cost = np.full((horizon, 2, 2), PRIOR / 2), np.zeros((horizon, 2, 2))
    for action in ACTIONS:
        has = children[:, action] >= 0
        row, child = rows[has], children[has, action]
        over = known.ended[child]
        share = weight[row] / 2
        depth, on = known.depth[row], ~over
        np.add.at(ends[:, action], (depth, over.astype(np.int64)), share)
        np.add.at(cost[:, action, 0], depth, share * (known.cost[child] - known.cost[row]))
        np.add.at(cost[:, action, 1], depth, share)
        np.add.at(moves[action], (state[row[on]], state[child[on]]), share[on])
        np.add.at(right[action], (state[row[over]], known.right[child[over]].astype(np.int64)), share[over])
    ended = ends[..., 1] / ends.sum(axis=-1)
    ended[-1] = 1.0
    return Pomdp(
        edges=edges,
        first=first / first.sum(),
        moves=moves / moves.sum(axis=-1, keepdims=True),
        seen=seen / seen.sum(axis=-1, keepdims=True),
        ends=ended,
        right=right[..., 1] / right.sum(axis=-1),
        cost=cost[..., 0] / np.maximum(cost[..., 1], 1e-12),
    )


def plan(process: Pomdp, price: float) -> list[Floats]:
    """Value vectors of each step and action, ``T`` arrays ``float64[2, B, 3]``: best over B at a belief is its value.

    Args:
        process: the process.
        price: price of one always-largest episode in units of a right answer, >= 0.
    """
    steps = np.arange(GRID + 1)
    grid = np.array([(a, b, GRID - a - b) for a in steps for b in steps[: GRID + 1 - a]]) / GRID
    plans: list[Floats] = []
    later = np.zeros((1, 3))
    for t in range(len(process.cost) - 1, -1, -1):
        vectors = []
        for action in ACTIONS:
            now = -price * process.cost[t, action] + process.ends[t, action] * process.right[action]
            # value of meeting score bin m next and following vector v from there, in each present state
            ahead = np.einsum("cd,dm,vd->mvc", process.moves[action], process.seen, later)
            best = np.argmax(np.einsum("bc,mvc->bmv", grid, ahead), axis=2)
            onward = ahead[np.arange(BINS), best].sum(axis=1)
            vectors.append(now + (1 - process.ends[t, action]) * onward)
        plans.append(np.stack(vectors))
        later = np.unique(np.concatenate(vectors).round(12), axis=0)
    return plans[::-1]


class TrimPomdp(Router):
    """Keeps or rewrites the draft, whichever is worth more at the present belief. Its state is the belief.

    Args:
        price: price of one always-largest episode in units of a right answer, >= 0.
    """

    def __init__(self, price: float) -> None:
        if not price >= 0:
            raise ValueError(f"price={price!r}; allowed: >= 0")
        self.price = price
        self.name = f"trim-pomdp-{price:.3g}"

    def bind(self, spec: RoutingSpec) -> None:
        """Find the scores.

        Raises:
            NotApplicableError: no ``verifier`` block, or a mode without drafts.
        """
        super().bind(spec)
        if spec.mode != "regenerate":
            raise NotApplicableError(f"TRIM-POMDP judges drafts; mode {spec.mode!r} has none, mode 'regenerate' has")
        self._score, self._known, self._depth = columns_of(spec, "score", "score_known", "depth")
        self._horizon = spec.horizon

    def fit(self, game: Game, process: Pomdp | None = None) -> Self:
        """Estimate the process on the train split, unless it is given, and plan.

        Raises:
            NotApplicableError: a random source, whose hidden states are not recorded.
        """
        self.bind(game.spec)
        self.process = self.estimate(game) if process is None else process
        self._plan = plan(self.process, self.price)
        return self

    def estimate(self, game: Game) -> Pomdp:
        """The process of a game's train split; the same for every price."""
        self.bind(game.spec)
        game.tree("what a draft spoils is not recorded")
        known = experience(game)
        return estimate(known, known.observation[:, self._score].astype(np.float64), self._horizon)

    def predict(
        self,
        observation: NDArray[np.float32],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
    ) -> tuple[NDArray[np.int64], Any]:
        """Decisions; the state is the belief before the next score, ``float64[B, 3]``."""
        belief = np.tile(self.process.first, (len(observation), 1))
        if state is not None:
            begun = np.zeros(len(observation), dtype=np.bool_) if episode_start is None else episode_start
            belief = np.where(begun[:, None], belief, state)
        bins = np.searchsorted(self.process.edges, observation[:, self._score], side="right")
        likelihood = np.where(observation[:, [self._known]] > 0, self.process.seen.T[bins], 1.0)
        belief = belief * likelihood
        belief = belief / belief.sum(axis=1, keepdims=True)
        step = np.minimum(np.rint(observation[:, self._depth] * self._horizon).astype(np.int64), self._horizon - 1)
        actions = np.zeros(len(observation), dtype=np.int64)
        for t in np.unique(step):
            rows = step == t
            worth = np.einsum("bc,avc->bav", belief[rows], self._plan[t]).max(axis=2)
            actions[rows] = np.argmax(worth, axis=1)
        belief = np.einsum("bc,bcd->bd", belief, self.process.moves[actions])
        return np.where(actions == REWRITE, self.models - 1, 0), belief


def _planned(arena: BuildContext) -> Settings:
    game, rate = judged(arena), arena.exchange_rate(VERIFIED)
    process = TrimPomdp(0.0).estimate(game)
    return at_prices(lambda price: TrimPomdp(price).fit(game, process), rate)


ROUTERS.register(
    Family(
        name="TRIM-POMDP",
        group="verifier",
        paper="arXiv 2601.10245",
        router=TrimPomdp,
        build=_planned,
        sees=VERIFIED,
        needs=("a recorded tree",),
        charges="the verifier's reading of every draft",
        modes=("regenerate",),
        fitted=True,
    )
)
