"""What another router would have done with served requests, from a log in which steps were drawn (exploration)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.costs.models import ModelPool
from gym_stepwise_routing.evaluation.bootstrap import Interval, percentile_interval, resampled_means
from gym_stepwise_routing.game.row_table import project_actions
from gym_stepwise_routing.generators.prompts import PromptTemplate
from gym_stepwise_routing.serving.log_reading import LoggedFeedback, LoggedRequest, LoggedServer, LogReader
from gym_stepwise_routing.serving.served_router import ServedRouter, ready_router

__all__ = ["OffPolicy", "off_policy"]

_LEVEL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class OffPolicy:
    """An estimate from served requests; intervals are 95 % percentile bootstrap intervals over requests.

    Attributes:
        router: name of the router that was asked.
        mode: mode of the requests.
        n: explored requests that feedback speaks of.
        effective: as how many requests of its own the router's weigh, ``(sum w)^2 / sum w^2`` (Kong, 1992).
        accuracy: share of right answers that it would have had; self-normalised importance sampling.
        cost: mean normalised cost, likewise.
        served_accuracy: share of right answers as they were served.
        served_cost: mean normalised cost as they were served.
        left_out: requests that say nothing of it, by reason.
    """

    router: str
    mode: str
    n: int
    effective: float
    accuracy: Interval
    cost: Interval
    served_accuracy: Interval
    served_cost: Interval
    left_out: dict[str, int]


def off_policy(
    log: Path, router: str, *, bank: str | None = None, trust: bool = False, seed: int = 0, resamples: int = 10_000
) -> OffPolicy:
    """Estimate accuracy and cost of a router that did not serve.

    A request weighs the product over its steps of ``1 / p`` where the router would have taken the model that wrote the
    step, which had the probability ``p``, and 0 where it would not. Sums of weighted figures are divided by the sum of
    weights (self-normalised importance sampling: Precup, Sutton and Singh, "Eligibility traces for off-policy policy
    evaluation", 2000). Requests without feedback are taken to be like those with it.

    Args:
        log: decision log of a server with ``exploration``.
        router: folder of a run or of a calibrated router, or a rule's name.
        bank: the bank that a rule's costs are measured by.
        trust: allow a pickled router.
        seed: of the bootstrap.
        resamples: of it, at least 100.

    Raises:
        ValueError: no explored request with feedback, requests of several games, a router of another pool, mode, cost
            unit or observation, or one that took none of the logged ways.
    """
    requests, said, servers, left_out = _read(log)
    if not requests:
        told = "; ".join(f"{count} {reason}" for reason, count in left_out.items()) or "no request is in it"
        raise ValueError(f"{log}: nothing can be estimated ({told}); allowed: explored requests with feedback")
    games = {(r.mode, r.cost_unit, r.always_largest.raw, r.observation) for r in requests}
    server = servers[0]
    if len(games) > 1 or any(other.models != server.models for other in servers):
        raise ValueError(f"{log}: requests of {len(games)} games; allowed: one mode, cost unit, normaliser and pool")
    mode, cost_unit, normaliser, observation = games.pop()
    asked = ready_router(
        router,
        pool=ModelPool(server.models),
        bank=bank,
        mode=mode,
        cost_unit=cost_unit,
        trust=trust,
        prompt=PromptTemplate(server.prompt.name, "{question}"),
        rule=server.rule,
    )
    if asked.blocks != observation:
        raise ValueError(f"{log}: the observation is {list(observation)}; that of {router!r} is {list(asked.blocks)}")
    if asked.arguments["mode"] != mode or asked.arguments["cost_unit"] != cost_unit:
        raise ValueError(f"{log}: mode {mode}, cost unit {cost_unit}; allowed with {router!r}: its own")
    scale = normaliser / asked.normaliser
    weight = np.array([_weight(request, asked) for request in requests])
    if not weight.any():
        raise ValueError(f"{log}: {router!r} took none of the {len(requests)} logged ways; allowed: more requests")
    right = np.array([said[request.id] for request in requests], dtype=np.float64)
    cost = np.array([request.cost.normalised for request in requests]) * scale
    rng = np.random.default_rng(seed)
    rows = np.stack([weight, weight * right, weight * cost, right, cost])
    means = resampled_means(rows, resamples, rng)
    with np.errstate(invalid="ignore"):
        drawn = (means[1] / means[0], means[2] / means[0], means[3], means[4])
    own = rows.mean(axis=1)
    values = (own[1] / own[0], own[2] / own[0], own[3], own[4])
    accuracy, cost_interval, served_accuracy, served_cost = (
        percentile_interval(samples, float(value), len(requests), _LEVEL)
        for samples, value in zip(drawn, values, strict=True)
    )
    return OffPolicy(
        router=asked.called,
        mode=mode,
        n=len(requests),
        effective=float(weight.sum() ** 2 / (weight**2).sum()),
        accuracy=accuracy,
        cost=cost_interval,
        served_accuracy=served_accuracy,
        served_cost=served_cost,
        left_out=dict(left_out),
    )


def _read(log: Path) -> tuple[list[LoggedRequest], dict[str, bool], list[LoggedServer], Counter[str]]:
    """Requests that count, feedback by request, the servers that wrote them, and why others do not count."""
    requests: list[LoggedRequest] = []
    servers: dict[str, LoggedServer] = {}
    said: dict[str, bool] = {}
    for record in LogReader(log):
        if isinstance(record, LoggedServer):
            servers[record.id] = record
        elif isinstance(record, LoggedFeedback):
            said[record.id] = record.right
        elif isinstance(record, LoggedRequest):
            requests.append(record)
    left_out: Counter[str] = Counter()
    chosen = []
    for request in requests:
        reason = _unfit(request, said)
        if reason:
            left_out[reason] += 1
        else:
            chosen.append(request)
    missing = [request.server for request in chosen if request.server not in servers]
    if missing:
        raise ValueError(f"{log}: the line of the server {missing[0]!r} that wrote a request is missing")
    return chosen, said, [servers[id] for id in dict.fromkeys(request.server for request in chosen)], left_out


def _unfit(request: LoggedRequest, said: dict[str, bool]) -> str:
    if request.outcome != "answered":
        return f"not answered ({request.outcome})"
    if not request.steps or any(step.probabilities is None for step in request.steps):
        return "not explored"
    return "" if request.id in said else "without feedback"


def _weight(request: LoggedRequest, router: ServedRouter) -> float:
    weight = 1.0
    names = list(router.models)
    for step in request.steps:
        probabilities: Sequence[float] = step.probabilities or ()
        allowed: NDArray[np.bool_] = np.array(probabilities) > 0
        decision = router.decide(np.array(step.features, dtype=np.float32), None, len(names))
        action = int(project_actions(np.array([decision.model]), allowed[None])[0])
        if names[action] != step.model:
            return 0.0
        weight /= probabilities[action]
    return weight
