"""A process reward model on recorded figures alone: no text is read, so it costs next to nothing and knows little.

A logistic regression from the confidence, length and writer of a step, and their running aggregates over the trace, to
the soft label of the trace (:func:`soft_labels`). It is fitted on the train split; the scores of train problems are
out of fold, so that a router fitted on them meets scores as good as those on other splits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.baselines.estimators import SoftClassifier
from gym_stepwise_routing.baselines.experience import folds
from gym_stepwise_routing.baselines.verifiers.attach import node_reach, soft_labels, with_verifier
from gym_stepwise_routing.costs.models import Latency, Model, Price
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.game.trace_statistics import confidence_features

__all__ = ["FEATURE_VERIFIER", "feature_verifier", "step_features"]

FEATURE_VERIFIER = "feature-verifier"
FOLDS = 5

Floats = NDArray[np.float64]


def step_features(bank: Bank) -> Floats:
    """What the verifier sees of each trace, ``float64[N, F]``.

    Depth; tokens of the step and of the trace; who wrote the step; the nine confidence figures of the step, and whether
    they are known; least probability, greatest entropy and mean probability over the trace.
    """
    figures = confidence_features(bank.confidence).astype(np.float64)
    known = np.isfinite(figures.sum(axis=1))
    figures = np.where(known[:, None], figures, 0.0)
    writer = np.equal.outer(bank.model, np.arange(len(bank.pool)))
    tokens = bank.tokens.astype(np.float64)
    # running figures: columns 1 least probability, 2 mean entropy, 0 mean probability; unknown steps leave them alone
    worst = np.where(known, figures[:, 1], 1.0)
    entropy = np.where(known, figures[:, 2], 0.0)
    total = np.column_stack([np.where(known, figures[:, 0], 0.0), known, tokens])
    for depth in range(1, int(bank.depth.max()) + 1):
        rows = np.flatnonzero(bank.depth == depth)
        parents = bank.nodes.parent[rows]
        worst[rows] = np.minimum(worst[rows], worst[parents])
        entropy[rows] = np.maximum(entropy[rows], entropy[parents])
        total[rows] += total[parents]
    mean = total[:, 0] / np.maximum(total[:, 1], 1)
    return np.column_stack(
        [
            bank.depth / bank.manifest.horizon,
            np.log1p(tokens),
            np.log1p(total[:, 2]),
            writer,
            figures,
            known,
            worst,
            entropy,
            mean,
        ]
    )


def feature_verifier(bank: Bank, *, seed: int = 0) -> Bank:
    """A copy of the bank with the scores of a verifier that was fitted on its train split.

    Reading is charged at the size of the regression, some tens of parameters: it reads no text. It has no price of its
    own and no measured speed worth speaking of; both count as 0.

    Args:
        bank: the bank.
        seed: seed of the folds.

    Raises:
        NotApplicableError: the train split has too few problems, or all its traces end alike.
    """
    train = np.isin(bank.nodes.problem, bank.split_problems("train")) & (bank.depth > 0)
    groups = bank.nodes.problem.astype(np.int64)
    if len(np.unique(groups[train])) < FOLDS:
        raise NotApplicableError(f"bank {bank.name!r} has fewer than {FOLDS} train problems to fit a verifier on")
    features, labels, weight = step_features(bank), soft_labels(bank), node_reach(bank)
    if not 0 < labels[train].mean() < 1:
        raise NotApplicableError(f"all train traces of bank {bank.name!r} end alike; a verifier needs both kinds")
    rows = np.flatnonzero(train)
    model = SoftClassifier().fit(features[rows], labels[rows], weight[rows], groups[rows])
    scores = model.predict(features)
    fold = folds(groups[rows], FOLDS, seed)
    scores[rows] = model.held_out(features[rows], labels[rows], weight[rows], groups[rows], fold)
    return with_verifier(bank, _as_model(model.parameters), scores)


def _as_model(parameters: int) -> Model:
    free = "a regression of some tens of parameters on recorded figures, run by the router itself"
    return Model(
        FEATURE_VERIFIER,
        parameters=float(parameters),
        price=Price(input=0.0, cached_input=0.0, output=0.0, date="2026-01-01", source=free),
        latency=Latency(prefill=0.0, decode=0.0, overhead=0.0, source=free),
    )
