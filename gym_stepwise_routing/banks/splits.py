"""Which problem belongs to which split: a rule in the manifest, a function of the problem's hash alone."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass

from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.types import SPLITS, Split

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

    Raises:
        ValueError: no official split, an unknown bank split, or shares that do not add up to 1.
    """

    salt: str
    shares: Mapping[str, Mapping[Split, float]]

    def __post_init__(self) -> None:
        if not self.shares:
            raise ValueError("split_rule.shares={}; allowed: at least one official split")
        for official, shares in self.shares.items():
            for split, share in shares.items():
                check_choice(f"split_rule.shares[{official!r}]: split", split, SPLITS)
                if not 0 < share <= 1:
                    raise ValueError(f"split_rule.shares[{official!r}][{split!r}]={share!r}; allowed: (0, 1]")
            if not math.isclose(sum(shares.values()), 1.0, abs_tol=1e-9):
                raise ValueError(f"split_rule.shares[{official!r}]={dict(shares)!r}; allowed: shares that add up to 1")

    def assign(self, official: str, question_sha256: str) -> Split:
        """Split of a problem, given its official split and the hash of its question.

        Raises:
            ValueError: an official split that the rule does not name.
        """
        shares = self.shares.get(official)
        if shares is None:
            check_choice("official split", official, self.shares)
            raise AssertionError
        place = int.from_bytes(hashlib.sha256((self.salt + question_sha256).encode()).digest()[:8]) / 2.0**64
        # The order of SPLITS, not of the JSON object, so that the rule means the same however it is spelt.
        bound = 0.0
        for split in SPLITS:
            if split in shares:
                last, bound = split, bound + shares[split]
                if place < bound:
                    break
        return last  # the shares add up to 1 but for rounding
