"""Steps that are drawn: now and then another model than the router's writes one, with known probability."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Exploration"]


class Exploration:
    """Epsilon-greedy draws of models.

    Args:
        share: probability with which a step is drawn among the allowed models, all alike; else the router's is taken.
        seed: of the draws; None: another one each time.
    """

    def __init__(self, share: float, seed: int | None) -> None:
        self.share = share
        self._rng = np.random.default_rng(seed)

    def draw(self, action: int, mask: NDArray[np.bool_]) -> tuple[int, NDArray[np.float64]]:
        """The model of a step, and the probability of each.

        Args:
            action: what the router decides, one of the allowed models.
            mask: ``bool[K]`` which models are allowed.

        Returns:
            The model, and ``float64[K]``: ``share / allowed`` each, and ``1 - share`` more for the router's.
        """
        probabilities = np.where(mask, self.share / np.count_nonzero(mask), 0.0)
        probabilities[action] += 1 - self.share
        return int(self._rng.choice(len(mask), p=probabilities)), probabilities
