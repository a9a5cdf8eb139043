"""How one point of a curve is chosen on the calibration split."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from gym_stepwise_routing.comparison.contenders import Points
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.evaluation.curves import TOLERANCE, Anchors

__all__ = ["Rule"]

Kind = Literal["accuracy", "budget"]


@dataclass(frozen=True, slots=True)
class Rule:
    """Empirical choice on the calibration split; it promises nothing (``agents.calibration`` has certificates).

    Attributes:
        kind: ``accuracy``: the cheapest point whose accuracy is at least ``level`` of always-largest's; ``budget``: the
            most accurate point that costs at most ``level`` of always-largest's cost, the cheapest of several.
        level: share of always-largest's accuracy or cost, > 0.

    Raises:
        ValueError: another kind, or a level out of range.
    """

    kind: Kind = "accuracy"
    level: float = 0.95

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, get_args(Kind))
        if not (math.isfinite(self.level) and self.level > 0):
            raise ValueError(f"level={self.level!r}; allowed: a finite share > 0 of always-largest's {self.kind}")

    def __str__(self) -> str:
        if self.kind == "accuracy":
            return f"cheapest point with at least {self.level:.0%} of always-largest's accuracy"
        return f"most accurate point at no more than {self.level:.0%} of always-largest's cost"

    def choose(self, points: Points, anchors: Anchors) -> int | None:
        """Index of the point, or None where no point meets the rule.

        Args:
            points: the curve on the calibration split.
            anchors: the constants on the same split.
        """
        cost, accuracy = points.costs, points.accuracies
        if self.kind == "accuracy":
            fit = np.flatnonzero(accuracy >= self.level * anchors.accuracy_large - TOLERANCE)
            order = np.lexsort((-accuracy[fit], cost[fit]))
        else:
            fit = np.flatnonzero(cost <= self.level * anchors.cost_large * (1 + TOLERANCE))
            order = np.lexsort((cost[fit], -accuracy[fit]))
        return int(fit[order[0]]) if len(fit) else None
