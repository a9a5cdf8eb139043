"""The two estimators behind the fitted baselines: linear, standardised, with the penalty chosen by grouped folds.

Linear on purpose: with some hundred problems, forests and boosted trees fit the train split almost perfectly and lose
to a ridge on the test split (figures in ``docs/baselines.md``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.baselines.experience import folds

try:
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.preprocessing import StandardScaler
except ImportError as error:
    raise ImportError("fitted baselines need scikit-learn: pip install 'gym-stepwise-routing[agents]'") from error

__all__ = ["OutcomeRegression", "SoftClassifier"]

Floats = NDArray[np.float64]
Features = NDArray[np.floating[Any]]
Groups = NDArray[np.int64]
Predictor = Callable[[Features], Floats]

PENALTIES = (1.0, 10.0, 100.0, 1_000.0)
"""Ridge penalties that are tried, for weights of mean 1."""
FOLDS = 5
_FEWEST_GROUPS = 2 * FOLDS
_SMALLEST = 1e-6


class OutcomeRegression:
    """Ridge regression of one or several targets.

    Args:
        penalties: L2 penalties to choose from, by the squared error on held-out groups.
    """

    def __init__(self, penalties: Sequence[float] = PENALTIES) -> None:
        self.penalties = tuple(penalties)

    def fit(self, features: Features, target: Floats, weight: Floats, groups: Groups) -> Self:
        """Fit.

        Args:
            features: ``float[N, F]``.
            target: ``float64[N]`` or ``float64[N, T]``.
            weight: ``float64[N]`` >= 0.
            groups: ``int64[N]``; rows of one group are kept together in the folds.
        """

        def fitted(rows: Groups, penalty: float) -> Predictor:
            scaler = StandardScaler().fit(features[rows], sample_weight=weight[rows])
            model = Ridge(penalty).fit(
                scaler.transform(features[rows]), target[rows], weight[rows] / weight[rows].mean()
            )
            return lambda x: np.asarray(model.predict(scaler.transform(x)), dtype=np.float64)

        def loss(prediction: Floats, rows: Groups) -> float:
            error = np.square(prediction - target[rows])
            return float(weight[rows] @ (error if error.ndim == 1 else error.sum(axis=1)))

        self.penalty = _best(self.penalties, fitted, loss, features, groups)
        self._predict = fitted(np.arange(len(features)), self.penalty)
        return self

    def predict(self, features: Features) -> Floats:
        """Expected targets, ``float64[B]`` or ``float64[B, T]``."""
        return self._predict(features)


class SoftClassifier:
    """Logistic regression on labels that may be probabilities.

    Args:
        penalties: inverse of scikit-learn's C to choose from, by the log loss on held-out groups.
    """

    def __init__(self, penalties: Sequence[float] = PENALTIES) -> None:
        self.penalties = tuple(penalties)

    def fit(self, features: Features, label: Floats, weight: Floats, groups: Groups) -> Self:
        """Fit.

        Args:
            features: ``float[N, F]``.
            label: ``float64[N]`` in [0, 1].
            weight: ``float64[N]`` >= 0.
            groups: ``int64[N]``; rows of one group are kept together in the folds.

        Raises:
            ValueError: all labels are 0, or all are 1.
        """
        if not 0 < weight @ label < weight.sum():
            raise ValueError("label is the same everywhere; allowed: labels of both kinds")

        def fitted(rows: Groups, penalty: float) -> Predictor:
            scaler = StandardScaler().fit(features[rows], sample_weight=weight[rows])
            scaled, share = scaler.transform(features[rows]), weight[rows] / weight[rows].mean()
            # a soft label is two weighted examples, one of each class
            model = LogisticRegression(C=1.0 / penalty, max_iter=500).fit(
                np.concatenate([scaled, scaled]),
                np.repeat([1, 0], len(rows)),
                np.concatenate([share * label[rows], share * (1 - label[rows])]),
            )
            return lambda x: np.asarray(model.predict_proba(scaler.transform(x))[:, 1], dtype=np.float64)

        def loss(prediction: Floats, rows: Groups) -> float:
            p = np.clip(prediction, _SMALLEST, 1 - _SMALLEST)
            return -float(weight[rows] @ (label[rows] * np.log(p) + (1 - label[rows]) * np.log(1 - p)))

        self.penalty = _best(self.penalties, fitted, loss, features, groups)
        self._predict = fitted(np.arange(len(features)), self.penalty)
        self.parameters = features.shape[1] + 1
        return self

    def predict(self, features: Features) -> Floats:
        """Probability of label 1, ``float64[B]``."""
        return self._predict(features)


def _best(
    penalties: tuple[float, ...],
    fitted: Callable[[Groups, float], Predictor],
    loss: Callable[[Floats, Groups], float],
    features: Features,
    groups: Groups,
) -> float:
    """Penalty with the least loss on held-out groups; the largest where there are too few groups to hold any out."""
    if len(penalties) == 1 or len(np.unique(groups)) < _FEWEST_GROUPS:
        return max(penalties)
    fold = folds(groups, FOLDS)
    losses = dict.fromkeys(penalties, 0.0)
    for held in range(FOLDS):
        rows, rest = np.flatnonzero(fold == held), np.flatnonzero(fold != held)
        for penalty in penalties:
            losses[penalty] += loss(fitted(rest, penalty)(features[rows]), rows)
    return min(losses, key=losses.__getitem__)
