"""GlimpRouter (arXiv 2601.05110): a glimpse at the first token of the next step decides who writes it.

The small model decodes one token of the step. A flat distribution (entropy above tau) means that the step is hard to
begin, and the large model writes it. The token and its prefill are charged unless the small model goes on. The paper
advises 20-30 % large steps and tuned tau on its test data; here tau comes from the calibration split.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.baselines.observed_figures import given, needs_figure
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.game.config import RoutingSpec
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.base import ScoringRouter, columns_of
from gym_stepwise_routing.routers.families import ROUTERS, BuildContext, Family, Thresholds
from gym_stepwise_routing.types import Block

__all__ = ["GlimpRouter"]


class GlimpRouter(ScoringRouter):
    """Score = 1 - exp(-H) of the probe's entropy H in nats; 0 where the small model cannot be probed.

    Args:
        threshold: 0 (always-largest) to above 1 (always-smallest); 1 - exp(-tau) for the paper's tau.
    """

    name = "glimp"

    def bind(self, spec: RoutingSpec) -> None:
        """Find the probe.

        Raises:
            NotApplicableError: no ``probe`` block, or mode *regenerate*, which pays for a whole draft.
        """
        super().bind(spec)
        if spec.mode == "regenerate":
            raise NotApplicableError("GlimpRouter probes one token; mode 'regenerate' pays for the whole draft")
        self._columns = columns_of(spec, "probe_entropy", "probe_known")

    def fit(self, game: Game) -> Self:
        """Check that there is something to go by; nothing is learned.

        Raises:
            NotApplicableError: as :meth:`bind`, or no probe has its entropy.
        """
        self.bind(game.spec)
        needs_figure(game, "probe_entropy", "probe_known")
        return self

    def scores(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        """Uncertainty about the first token, ``float32[B]`` in [0, 1]."""
        entropy, known = observation[:, self._columns].T
        return np.where(given(entropy, known), np.clip(1 - np.exp(-entropy), 0, 1), np.float32(0))


_PROBED: tuple[Block, ...] = ("progress", "probe")


def _glimpse(arena: BuildContext) -> Thresholds:
    return Thresholds(GlimpRouter().fit(arena.game("train", _PROBED)))


ROUTERS.register(
    Family(
        name="GlimpRouter",
        group="handcrafted",
        paper="arXiv 2601.05110",
        router=GlimpRouter,
        build=_glimpse,
        sees=_PROBED,
        charges="one token and its prefill, unless the small model goes on",
        modes=("route", "escalate"),  # regenerate pays for the whole draft
    )
)
