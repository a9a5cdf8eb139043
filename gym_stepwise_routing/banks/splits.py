"""Which problem belongs to which split: a rule in the manifest, a function of the problem's hash alone."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from gym_stepwise_routing.sources.base import SPLITS, Split

__all__ = ["SplitRule"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRule:
    """Shares of the official splits that go to the bank's splits.

    A problem's place in [0, 1) is ``sha256(salt + question_sha256)``, read as a binary fraction. It does not change
    when problems are added, and two copies of one question have the same place.

    Args:
        salt: free text; another salt draws other splits.
        shares: ``{official split: {bank split: share}}``; the shares of an official split add up to 1. For example
            ``{"test": {"test": 1.0}, "train": {"train": 0.6, "calibration": 0.4}}``.
    """

    salt: str
    shares: Mapping[str, Mapping[Split, float]]

    def __post_init__(self) -> None:
        if not self.shares:
            raise ValueError("split_rule.shares is empty; allowed: at least one official split")
        for official, shares in self.shares.items():
            place = f"split_rule.shares[{official!r}]"
            for split, share in shares.items():
                if split not in SPLITS:
                    raise ValueError(f"{place}: split={split!r}; allowed: {', '.join(map(repr, SPLITS))}")
                if not 0 < share <= 1:
                    raise ValueError(f"{place}[{split!r}]={share!r}; allowed: a number in (0, 1]")
            if not math.isclose(sum(shares.values()), 1.0, abs_tol=1e-9):
                raise ValueError(f"{place} adds up to {sum(shares.values())!r}; allowed: 1")

    def assign(self, official: Sequence[str], question_sha256: Sequence[str]) -> list[Split]:
        """Split of each problem, given its official split and the hash of its question.

        Raises:
            ValueError: an official split that the rule does not name.
        """
        # The order of SPLITS, not of the JSON object, so that the rule means the same however it is spelt.
        bounds: dict[str, list[tuple[Split, float]]] = {}
        for name, shares in self.shares.items():
            present: list[Split] = [split for split in SPLITS if split in shares]
            bounds[name] = list(zip(present, accumulate(shares[split] for split in present), strict=True))
        assigned = []
        for name, question in zip(official, question_sha256, strict=True):
            if name not in bounds:
                raise ValueError(
                    f"split={name!r} is not known to the split rule; allowed: {', '.join(map(repr, bounds))}"
                )
            ladder = bounds[name]
            place = int.from_bytes(hashlib.sha256((self.salt + question).encode()).digest()[:8]) / 2.0**64
            assigned.append(next((split for split, bound in ladder if place < bound), ladder[-1][0]))
        return assigned
