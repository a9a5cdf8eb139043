"""Which single figures of an observation are known.

A block's ``*_known`` feature is the share of its figures that are known, not a flag for each: an API that tells nothing
but the chosen token's log-probability fills two confidence figures of nine. A rule on one of the other seven would play
a constant score, so each rule asks for its own figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.baselines.experience import experience
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.base import columns_of
from gym_stepwise_routing.routers.families import BuildContext
from gym_stepwise_routing.types import SPLITS, Block

__all__ = [
    "LOGIT_SCALE",
    "VERIFIED",
    "given",
    "judged",
    "known_on_all_splits",
    "logit_name",
    "needs_blocks",
    "needs_figure",
]

VERIFIED: tuple[Block, ...] = ("progress", "verifier")
"""What routers see that go by a verifier alone."""
_KNOWN: Mapping[Block, str] = {
    "confidence": "confidence_known",
    "probe": "probe_known",
    "verifier": "score_known",
    "question": "question_known",
    "token_classes": "token_classes_known",
}

LOGIT_SCALE = 100.0
"""What mean largest logits are divided by to be scores in [0, 1]."""

_EPISODES = 200
"""Episodes of a random source in which a figure must show itself."""


def logit_name(model: str) -> str:
    """Name of a small model's mean largest logits as a verifier in the ledger."""
    return f"{model} (max-logit)"


def given(value: NDArray[np.float32], known: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where a figure is known, ``bool[B]``.

    Args:
        value: ``float32[B]`` the figure, 0 where it is missing.
        known: ``float32[B]`` share of its block's figures that are known. Where it is below 1, a 0 counts as missing:
            no chosen token has probability 0, and an entropy or a margin of exactly 0 is rare enough.
    """
    return np.asarray((known == 1) | ((known > 0) & (value > 0)))


def needs_figure(game: Game, figure: str, known: str = "confidence_known", *, seed: int = 0) -> None:
    """Check that a figure is ever known when a decision is taken.

    Args:
        game: the game, of the train split.
        figure: name of the feature.
        known: name of its block's ``*_known`` feature.
        seed: seed of the sampling (random sources only).

    Raises:
        NotApplicableError: it is not observed, or never known.
    """
    columns = columns_of(game.spec, figure, known)
    seen = experience(game, episodes=_EPISODES, seed=seed)
    if not given(*seen.observation[~seen.ended][:, columns].T).any():
        raise NotApplicableError(f"{game.spec.source!r} has no {figure} before any decision of mode {game.spec.mode!r}")


def needs_blocks(game: Game, blocks: Sequence[Block], seed: int = 0) -> None:
    """Check that each of these blocks is ever known when a decision is taken, so that nobody is scored on zeros.

    Raises:
        NotApplicableError: one of them is not.
    """
    known = experience(game, seed=seed)
    shown = known.observation[~known.ended]
    names = game.spec.feature_names
    for block in blocks:
        if block in _KNOWN and not (shown[:, names.index(_KNOWN[block])] > 0).any():
            raise NotApplicableError(
                f"{game.spec.source!r} has no {block} figures before any decision of mode {game.spec.mode!r}"
            )


def known_on_all_splits(arena: BuildContext, verifier: str) -> None:
    """Check that a file of scores, which may be of some splits only, has some for each split that is played."""
    for split in SPLITS:
        needs_blocks(arena.game(split, VERIFIED, verifier=verifier), VERIFIED, arena.seed)


def judged(arena: BuildContext) -> Game:
    """The train game with verifier scores, some of which are known where decisions are taken."""
    game = arena.game("train", VERIFIED)
    needs_blocks(game, VERIFIED, arena.seed)
    return game
