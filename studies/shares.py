"""How often something happens, with an exact interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gym_stepwise_routing.evaluation.p_values import exact_interval

__all__ = ["Share"]


@dataclass(frozen=True, slots=True)
class Share:
    """A count out of n.

    Attributes:
        count: how often.
        n: out of how many.
        low: lower end of the exact (Clopper-Pearson) 95 % interval of the rate.
        high: its upper end.
    """

    count: int
    n: int
    low: float
    high: float

    @classmethod
    def of(cls, happened: ArrayLike) -> Share:
        """Count ``bool[n]``; n >= 1."""
        found = np.asarray(happened, dtype=np.bool_)
        return cls(int(found.sum()), len(found), *exact_interval(int(found.sum()), len(found)))

    @property
    def rate(self) -> float:
        """The share itself."""
        return self.count / self.n

    def __str__(self) -> str:
        return f"{self.rate:.3f} [{self.low:.3f}, {self.high:.3f}]"
