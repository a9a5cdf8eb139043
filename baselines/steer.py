"""STEER (arXiv 2511.06190): two Gaussians tell confident steps from unconfident ones; no labels, no training.

A mixture of two Gaussians is fitted by EM to the small model's confidence in its own steps. The large model writes
where the posterior of the component with the larger mean, "confident", is below a threshold.

The paper's figure is the mean of the largest logit, which others read as the mean of the largest probability; both are
here, and a third: the mean log-probability of the chosen token, which is the most likely one where decoding is greedy,
its largest logit less the normaliser. Logits before normalisation are not in banks, as most engines do not tell them:
they are read off the model afterwards (``verifiers.hub.MaxLogit``) and come as scores, a file of their own. In
*regenerate* the figure is that of the drafted next step, as in the paper; in *route* and *escalate* it is that of the
last step.
"""

from __future__ import annotations

from functools import partial
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.baselines.experience import experience
from gym_stepwise_routing.baselines.fitted_router import FittedRouter
from gym_stepwise_routing.baselines.observed_figures import (
    VERIFIED,
    given,
    known_on_all_splits,
    logit_name,
    needs_figure,
)
from gym_stepwise_routing.errors import NotApplicableError, check_choice
from gym_stepwise_routing.game.config import RoutingSpec
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.base import columns_of
from gym_stepwise_routing.routers.families import ROUTERS, BuildContext, Family, Thresholds
from gym_stepwise_routing.types import Block

__all__ = ["Reading", "Steer"]

Reading = Literal["max-logit", "probability", "log-probability"]
_FIGURES = {
    "max-logit": ("score", "score_known"),
    "probability": ("top1_mean", "confidence_known"),
    "log-probability": ("p_mean", "confidence_known"),
}
_SMALLEST_PROBABILITY = 1e-6
_FEWEST_STEPS = 20


class Steer(FittedRouter):
    """Score = log-odds of "not confident" squashed to [0, 1] by x / (1 + ``|x|``); 0 where the figure is not known.

    A threshold on the posterior is one on its log-odds. These do not saturate: where the components are narrow, most
    posteriors round to 0 or 1.

    Args:
        reading: which confidence figure, see the module.
        threshold: 0 (always-largest) to above 1 (always-smallest).
        seed: seed of the mixture's start.
    """

    def __init__(self, reading: Reading = "probability", threshold: float = 0.5, seed: int = 0) -> None:
        check_choice("reading", reading, get_args(Reading))
        super().__init__(threshold)
        self.reading = reading
        self.seed = seed
        self.name = f"steer-{reading}"

    def bind(self, spec: RoutingSpec) -> None:
        """Find the confidence figure."""
        super().bind(spec)
        self._columns = columns_of(spec, *_FIGURES[self.reading])

    def fit(self, game: Game) -> Self:
        """Fit the mixture to the steps (*regenerate*: drafts) of the smallest model. No label is looked at.

        Raises:
            NotApplicableError: no step, or hardly any, has the figure.
        """
        try:
            from sklearn.mixture import GaussianMixture
        except ImportError as error:
            raise ImportError("STEER needs scikit-learn: pip install 'gym-stepwise-routing[agents]'") from error
        self.bind_to(game)
        figure, flag = _FIGURES[self.reading]
        needs_figure(game, figure, flag, seed=self.seed)
        known = experience(game, seed=self.seed)
        shown = given(*known.observation[:, self._columns].T)
        if game.spec.mode != "regenerate":
            (writer,) = columns_of(game.spec, "writer_0")
            shown &= known.observation[:, writer] > 0
        if shown.sum() < _FEWEST_STEPS:
            raise NotApplicableError(f"{shown.sum()} steps have {figure}; STEER's mixture needs {_FEWEST_STEPS}")
        values = self._values(known.observation[shown])
        self._mixture = GaussianMixture(2, n_init=3, random_state=self.seed).fit(values)
        self._confident = int(np.argmax(self._mixture.means_))
        return self

    def _values(self, observation: NDArray[np.float32]) -> NDArray[np.float64]:
        value = observation[:, self._columns[:1]].astype(np.float64)
        return np.log(np.maximum(value, _SMALLEST_PROBABILITY)) if self.reading == "log-probability" else value

    def scores(self, observation: NDArray[np.float32]) -> NDArray[np.float64]:
        """Evidence against "confident", ``float64[B]`` in [0, 1]; 1/2 where the posterior is."""
        mixture = self._mixture
        joint = np.log(mixture.weights_) + _log_density(self._values(observation), mixture.means_, mixture.covariances_)
        odds = joint[:, 1 - self._confident] - joint[:, self._confident]
        return np.where(given(*observation[:, self._columns].T), 0.5 + 0.5 * odds / (1 + np.abs(odds)), 0.0)


def _log_density(
    values: NDArray[np.float64], means: NDArray[np.float64], covariances: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Log density of each one-dimensional component up to a constant, ``[B, 2]``."""
    variance = covariances.reshape(-1)
    density: NDArray[np.float64] = -0.5 * (np.square(values - means.reshape(-1)) / variance + np.log(variance))
    return density


def _steered(reading: Reading, blocks: tuple[Block, ...], arena: BuildContext) -> Thresholds:
    logits = logit_name(arena.source.pool.names[0]) if reading == "max-logit" else ""
    if logits:
        known_on_all_splits(arena, logits)
    router = Steer(reading, seed=arena.seed)
    return Thresholds(router.fit(arena.game("train", blocks, verifier=logits)), verifier=logits)


for _reading in get_args(Reading):
    _logits = _reading == "max-logit"
    _blocks: tuple[Block, ...] = VERIFIED if _logits else ("progress", "confidence")
    ROUTERS.register(
        Family(
            name=f"STEER {_reading}",
            group="handcrafted",
            paper="arXiv 2511.06190",
            router=Steer,
            build=partial(_steered, _reading, _blocks),
            sees=_blocks,
            needs=("largest logits of the smallest model",) if _logits else (),
            fitted=True,
        )
    )
