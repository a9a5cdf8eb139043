"""How close ``math-qwen2.5`` comes to what it was fitted to: TRIM's published figures (arXiv 2601.10245)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.sources.simulator.parameters import STATUSES
from gym_stepwise_routing.sources.simulator.score_signals import measured_scores
from gym_stepwise_routing.sources.simulator.simulator_source import SimulatorSource
from gym_stepwise_routing.sources.simulator.threshold_curves import Expected, solo, threshold_rule
from studies.simulator.published import MODELS, PROBLEMS, PublishedCurve, histograms, threshold_curve

__all__ = ["SMOOTHING", "Distance", "Fidelity", "measure_fidelity", "smoothed", "total_variation"]

Floats = NDArray[np.float64]
SMOOTHING = (0.03, 0.12, 0.12)
"""Widest Gaussian kernels, by status, that could have made the released score distributions.

See docs/results/simulator_measured.md.
"""


@dataclass(frozen=True, slots=True)
class Distance:
    """Total variation distance between a simulated distribution and the measured one, in [0, 1]."""

    what: str
    distance: float


@dataclass(frozen=True, slots=True, eq=False)
class Fidelity:
    """Published curve and ours, and distances between distributions.

    Attributes:
        published: TRIM's threshold rule on MATH-500, n = 500, one run.
        ours: exact expectations of the same rule.
        distances: solution lengths, first errors and verifier scores.
    """

    published: PublishedCurve
    ours: Expected
    distances: tuple[Distance, ...]

    @property
    def accuracy_difference(self) -> Floats:
        """Ours minus published, ``float64[21]``."""
        return self.ours.accuracy - self.published.accuracy

    @property
    def standard_error(self) -> Floats:
        """Sampling error of the published accuracies, ``float64[21]``."""
        return np.sqrt(self.published.accuracy * (1 - self.published.accuracy) / PROBLEMS)

    @property
    def token_ratio(self) -> Floats:
        """Large-model tokens, ours to published; 1 where both are 0, ``float64[21]``."""
        return _ratio(self.ours.large_tokens, self.published.large_tokens)

    @property
    def small_token_ratio(self) -> Floats:
        """The same of the small model's, kept and discarded."""
        return _ratio(self.ours.small_tokens, self.published.small_tokens)

    @property
    def chi_square(self) -> float:
        """Squared accuracy differences in standard errors, summed over the 21 thresholds."""
        return float(((self.accuracy_difference / self.standard_error) ** 2).sum())


def _ratio(ours: Floats, published: Floats) -> Floats:
    both = published > 0
    return np.where(both, ours / np.where(both, published, 1), 1.0)


def measure_fidelity(source: SimulatorSource) -> Fidelity:
    """Compare a simulator of TRIM's pair with the published figures.

    Raises:
        NotApplicableError: a simulator of other models, or of another set of problems.
    """
    scores = source.parameters.scores
    if source.pool.names != MODELS or scores is None or scores.measured != "math-train":
        raise NotApplicableError(
            f"simulator {source.name!r}: nothing was published for it; allowed: one of {' and '.join(MODELS)} on MATH"
        )
    published = threshold_curve()
    process, distances = source.process, []
    for number, model in enumerate(MODELS):
        alone, measured = solo(process, number), histograms(model)
        for what, mine, theirs in (
            ("steps of right solutions", alone.right_length, measured.right_length),
            ("step of the first error in wrong solutions", alone.wrong_error, measured.wrong_error),
        ):
            distances.append(Distance(f"{model}, {what}", total_variation(mine, theirs)))
    joint = measured_scores(scores.measured)
    for status, name in enumerate(STATUSES):
        mine = np.einsum("m,ms->s", joint[status].sum(axis=1), process.scores[process.group, status])
        theirs = joint[status].sum(axis=0)
        width = SMOOTHING[status]
        distances.append(Distance(f"verifier scores, {name}", total_variation(mine, theirs)))
        distances.append(
            Distance(
                f"verifier scores, {name}, ours smoothed by {width}", total_variation(smoothed(mine, width), theirs)
            )
        )
    return Fidelity(published, threshold_rule(process, published.thresholds.tolist()), tuple(distances))


def total_variation(first: Floats, second: Floats) -> float:
    """Half the summed differences of two histograms, each scaled to 1."""
    return float(abs(first / first.sum() - second / second.sum()).sum() / 2)


def smoothed(shares: Floats, width: float) -> Floats:
    """Shares of score bins after smoothing with a Gaussian kernel, reflected at 0 and 1.

    Released distributions are smooth like this; the scores behind the released curve cannot have been.
    """
    centres = (np.arange(len(shares)) + 0.5) / len(shares)
    images = [centres, -centres, 2 - centres]
    kernel = np.sum([np.exp(-0.5 * ((centres[:, None] - image) / width) ** 2) for image in images], axis=0)
    return np.asarray(kernel / kernel.sum(axis=0) @ shares)
