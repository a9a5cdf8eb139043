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

__all__ = ["Design", "OutcomeRegression", "SoftClassifier"]

Floats = NDArray[np.float64]
Features = NDArray[np.floating[Any]]
Groups = NDArray[np.int64]
Predictor = Callable[[Features], Floats]

PENALTIES = (1.0, 10.0, 100.0, 1_000.0)
"""Ridge penalties that are tried, for weights of mean 1."""
FOLDS = 5
_FEWEST_GROUPS = 2 * FOLDS
_SMALLEST = 1e-6


class _Standard:
    """Features with weighted mean 0 and variance 1; constant ones become 0.

    Args:
        features: ``float[N, F]``.
        share: ``float64[N]`` weights of mean 1.
    """

    def __init__(self, features: Features, share: Floats) -> None:
        self._centre = share @ features / len(features)
        spread = np.sqrt(share @ np.square(features - self._centre) / len(features))
        self._scale = np.where(spread > _SMALLEST, spread, np.inf)

    def __call__(self, features: Features) -> Floats:
        return np.asarray((features - self._centre) / self._scale, dtype=np.float64)


def _columns(standard: _Standard, features: Features) -> Floats:
    return np.column_stack([np.ones(len(features)), standard(features)])


class Design:
    """What a regression needs of its inputs, whatever the target: made once where many targets are fitted.

    Args:
        features: ``float[N, F]``.
        weight: ``float64[N]`` >= 0.
        groups: ``int64[N]``; rows of one group are kept together in the folds.
    """

    def __init__(self, features: Features, weight: Floats, groups: Groups) -> None:
        self.features, self.weight, self.groups = features, weight, groups
        self.share = weight / weight.mean()
        self.standard = _Standard(features, self.share)
        columns = self.columns(features)
        fold = _fold(groups)
        self.parts = [np.flatnonzero(fold == held) for held in np.unique(fold)]
        self.held = [columns[rows] for rows in self.parts]
        shares = [self.share[rows, None] for rows in self.parts]
        self.gram = np.stack([own.T @ (share * own) for own, share in zip(self.held, shares, strict=True)])

    def columns(self, features: Features) -> Floats:
        """The inputs as the regression sees them, ``float64[B, 1 + F]``."""
        return _columns(self.standard, features)

    def moment(self, target: Floats) -> Floats:
        """Products of inputs and target, by fold, ``float64[folds, 1 + F]``."""
        pairs = zip(self.held, self.parts, strict=True)
        return np.stack([own.T @ (self.share[rows] * target[rows]) for own, rows in pairs])


class OutcomeRegression:
    """Ridge regression, standardised, with an unpenalised intercept.

    Solved from the Gram matrices of the folds, so that trying a penalty costs one small linear system.

    Args:
        penalties: L2 penalties to choose from, by the squared error on held-out groups.
    """

    def __init__(self, penalties: Sequence[float] = PENALTIES) -> None:
        self.penalties = tuple(penalties)

    def fit(self, features: Features, target: Floats, weight: Floats, groups: Groups) -> Self:
        """Fit.

        Args:
            features: ``float[N, F]``.
            target: ``float64[N]``.
            weight: ``float64[N]`` >= 0.
            groups: ``int64[N]``; rows of one group are kept together in the folds.
        """
        return self.fit_design(Design(features, weight, groups), target)

    def fit_design(self, design: Design, target: Floats) -> Self:
        """Fit a target, ``float64[N]``, of inputs that are prepared."""
        self._standard = design.standard
        parts, gram, moment = design.parts, design.gram, design.moment(target)

        def loss(penalty: float) -> float:
            error = 0.0
            for held in range(len(parts)):
                solved = _ridge(gram.sum(axis=0) - gram[held], moment.sum(axis=0) - moment[held], penalty)
                error += float(solved @ gram[held] @ solved - 2 * solved @ moment[held])
            return error

        self.penalty = max(self.penalties) if len(parts) < FOLDS else min(self.penalties, key=loss)
        self._coefficients = _ridge(gram.sum(axis=0), moment.sum(axis=0), self.penalty)
        return self

    def predict(self, features: Features) -> Floats:
        """Expected target, ``float64[B]``."""
        return self.predict_columns(_columns(self._standard, features))

    def predict_columns(self, columns: Floats) -> Floats:
        """The same of :meth:`Design.columns`, where they are at hand."""
        return np.asarray(columns @ self._coefficients)


def predict_all(models: Sequence[OutcomeRegression], features: Features) -> Floats:
    """Expected target by each of K regressions, ``float64[B, K]``."""
    return np.stack([model.predict(features) for model in models], axis=1)


def _ridge(gram: Floats, moment: Floats, penalty: float) -> Floats:
    punished = gram + penalty * np.diag([_SMALLEST] + [1.0] * (len(gram) - 1))
    return np.asarray(np.linalg.solve(punished, moment))


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
        try:
            from sklearn.linear_model import LogisticRegression
        except ImportError as error:
            raise ImportError("this needs scikit-learn: pip install 'gym-stepwise-routing[agents]'") from error
        if not 0 < weight @ label < weight.sum():
            raise ValueError("label is the same everywhere; allowed: labels of both kinds")

        def fitted(rows: Groups, penalty: float) -> Predictor:
            share = weight[rows] / weight[rows].mean()
            standard = _Standard(features[rows], share)
            scaled = standard(features[rows])
            # a soft label is two weighted examples, one of each class
            model = LogisticRegression(C=1.0 / penalty, max_iter=500).fit(
                np.concatenate([scaled, scaled]),
                np.repeat([1, 0], len(rows)),
                np.concatenate([share * label[rows], share * (1 - label[rows])]),
            )
            return lambda x: np.asarray(model.predict_proba(standard(x))[:, 1], dtype=np.float64)

        fold = _fold(groups)

        def loss(penalty: float) -> float:
            total = 0.0
            for held in range(FOLDS):
                rows = np.flatnonzero(fold == held)
                p = fitted(np.flatnonzero(fold != held), penalty)(features[rows])
                p = np.clip(p, _SMALLEST, 1 - _SMALLEST)
                total -= float(weight[rows] @ (label[rows] * np.log(p) + (1 - label[rows]) * np.log(1 - p)))
            return total

        choice = len(self.penalties) > 1 and fold.any()
        self.penalty = min(self.penalties, key=loss) if choice else max(self.penalties)
        self._predict = fitted(np.arange(len(features)), self.penalty)
        self.parameters = features.shape[1] + 1
        return self

    def predict(self, features: Features) -> Floats:
        """Probability of label 1, ``float64[B]``."""
        return self._predict(features)

    def held_out(self, features: Features, label: Floats, weight: Floats, groups: Groups, fold: Groups) -> Floats:
        """Probability of label 1 of the rows that it was fitted on, each from a fit on the other folds, ``float64[N]``.

        Args:
            features: as fitted on.
            label: as fitted on.
            weight: as fitted on.
            groups: as fitted on.
            fold: ``int64[N]`` fold of each row; rows of one group have the same.

        Raises:
            ValueError: all labels of the other folds are 0, or all are 1.
        """
        predicted = np.empty(len(features))
        for held in np.unique(fold):
            rest, out = np.flatnonzero(fold != held), np.flatnonzero(fold == held)
            part = SoftClassifier([self.penalty]).fit(features[rest], label[rest], weight[rest], groups[rest])
            predicted[out] = part.predict(features[out])
        return predicted


def _fold(groups: Groups) -> Groups:
    """Fold of each row; one single fold where there are too few groups to hold any out."""
    if len(np.unique(groups)) < _FEWEST_GROUPS:
        return np.zeros(len(groups), dtype=np.int64)
    return folds(groups, FOLDS)
