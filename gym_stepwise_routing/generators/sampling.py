"""How tokens are drawn."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["GREEDY", "Sampling"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn; what is None is left to the endpoint, but for the temperature, which is 0 by default."""

    temperature: float = 0.0
    top_p: float | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None

    def fields(self) -> dict[str, Any]:
        """The fields of a request."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in values.items() if value is not None}

    def settings(self) -> tuple[tuple[str, str], ...]:
        """What a manifest keeps: nothing where decoding is greedy."""
        return () if self == GREEDY else tuple((name, str(value)) for name, value in self.fields().items())

    def of_sample(self, sample: int) -> Sampling:
        """The same with the seed of one of several samples of a request; they must not all be one text."""
        return self if self.seed is None or sample == 0 else replace(self, seed=self.seed + sample)

    def generator(self, prompt: str, sample: int = 0) -> np.random.Generator | None:
        """What draws the tokens of a run, the same for the same seed, prompt and sample; None: nothing is drawn."""
        if self.temperature == 0:
            return None
        words = f"{self.seed or 0}\n{sample}\n{prompt}".encode(errors="surrogatepass")
        return np.random.default_rng(int.from_bytes(hashlib.sha256(words).digest()[:8]))

    def draw(self, logprob: NDArray[np.float64], rng: np.random.Generator) -> int:
        """A token by its log-probability, ``float64[V]``."""
        scaled = logprob / self.temperature
        chances = np.exp(scaled - scaled.max())
        chances /= chances.sum()
        if self.top_p is not None:
            order = np.argsort(-chances, kind="stable")
            kept = order[: int(np.searchsorted(np.cumsum(chances[order]), self.top_p)) + 1]
            chances = np.where(np.isin(np.arange(len(chances)), kept), chances, 0.0)
            chances /= chances.sum()
        return int(rng.choice(len(chances), p=chances))


GREEDY = Sampling()
"""The most likely token, always."""
