"""The ceiling of a comparison: what a router could do that knew how every path ends, drafts or no drafts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.baselines.oracle import oracle_paths
from gym_stepwise_routing.costs.units import CostUnit
from gym_stepwise_routing.evaluation.evaluate import Evaluation, play
from gym_stepwise_routing.evaluation.frontier import Frontier, oracle_frontier
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.base import Replay

__all__ = ["Ceiling", "ceiling"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Ceiling:
    """Cheapest paths of ``n`` problems.

    Attributes:
        right: ``float64[n]`` normalised cost of the cheapest right path, inf where none is right.
        any: ``float64[n]`` normalised cost of the cheapest path.
        right_costs: cost of the cheapest right path in every unit, not normalised; of any path where none is right.
        any_costs: cost of the cheapest path in every unit, not normalised.
    """

    right: Floats
    any: Floats
    right_costs: Mapping[CostUnit, Floats]
    any_costs: Mapping[CostUnit, Floats]

    @property
    def frontier(self) -> Frontier:
        """Best accuracy for every mean cost."""
        return oracle_frontier(self.right, self.any)

    def bought(self, share: float) -> NDArray[np.bool_]:
        """Problems that are got right, ``bool[n]``, if this share of those that can be is, the cheapest first."""
        extra = self.right - self.any
        order = np.argsort(extra, kind="stable")
        chosen = np.zeros(len(extra), dtype=np.bool_)
        chosen[order[: round(share * int(np.isfinite(extra).sum()))]] = True
        free: NDArray[np.bool_] = extra == 0
        return chosen | free


def ceiling(game: Game, models: Sequence[Evaluation]) -> Ceiling:
    """Cheapest paths of a game, and of the single models played beside it.

    In mode *regenerate* every path pays for drafts, which those who decide by the question alone do not make: without
    the single models' traces the oracle would be no bound on them.

    Args:
        game: a game on a recorded tree.
        models: each model alone on the same problems, played without drafts.

    Raises:
        NotApplicableError: a game whose best paths nobody knows.
    """
    paths = oracle_paths(game)
    aimed, cheap = (play(Replay(each, "oracle"), game) for each in (paths.decisions, paths.cheapest))
    solved = np.stack([np.isfinite(paths.right), *(model.right for model in models)])
    cost = np.stack([aimed.cost, *(model.cost for model in models)])
    right = np.where(solved, cost, np.inf).argmin(axis=0)
    anyhow = np.stack([cheap.cost, *(model.cost for model in models)])
    least = anyhow.argmin(axis=0)
    columns = np.arange(len(least))
    ever = solved.any(axis=0)
    any_costs = {
        unit: np.stack([cheap.costs[unit], *(m.costs[unit] for m in models)])[least, columns] for unit in cheap.costs
    }
    right_costs = {
        unit: np.stack([aimed.costs[unit], *(m.costs[unit] for m in models)])[right, columns] for unit in aimed.costs
    }
    any_cost = anyhow[least, columns]
    return Ceiling(
        # the same path may be summed in another order here and there: never below the cheapest
        right=np.where(ever, np.maximum(cost[right, columns], any_cost), np.inf),
        any=any_cost,
        right_costs={unit: np.where(ever, costs, any_costs[unit]) for unit, costs in right_costs.items()},
        any_costs=any_costs,
    )
