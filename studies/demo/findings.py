"""What the demo asks for and what it finds, in sentences that carry n, seeds and intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from scipy import stats

from gym_stepwise_routing.calibration import Certificate, RelativeAccuracy
from gym_stepwise_routing.evaluation.bootstrap import Interval, bootstrap_difference
from gym_stepwise_routing.evaluation.evaluate import Evaluation
from gym_stepwise_routing.evaluation.p_values import certifiable_errors, required_n
from gym_stepwise_routing.reporting import Row

__all__ = [
    "COST_LIMIT",
    "DELTA",
    "DRAWS",
    "FEW_ERRORS",
    "NAME",
    "RESAMPLES",
    "TARGET",
    "findings",
    "limit_kept",
    "promises",
    "schedule_found",
    "second_promises",
    "second_target",
    "settled",
]

NAME = "lagrangian-ppo"
COST_LIMIT = 0.5
TARGET = RelativeAccuracy(0.95)
DELTA = 0.1
RESAMPLES = 10_000
DRAWS = 20
"""How often each seed's policy, which draws its actions, is played on the test problems."""
FEW_ERRORS = 2
"""Errors on the calibration problems that the second target leaves room for, so that it can save something."""


def settled(solved: int) -> str:
    """What is known of the target before anything is trained: the number of problems alone may rule it out."""
    needed = required_n(TARGET.alpha, DELTA)
    head = f"Before training: {TARGET} is tested on the {solved} calibration problems that always-largest solves; "
    if needed is None or solved < needed:
        return (
            f"{head}so few cannot certify it at delta = {DELTA:g}, even without a single error: {needed} would be "
            "needed. Whatever is trained, it will not be certified."
        )
    allowed = certifiable_errors(solved, TARGET.alpha, DELTA)
    return f"{head}up to {allowed} errors among them would certify it at delta = {DELTA:g}."


def second_target(solved: int) -> RelativeAccuracy | None:
    """The strictest share that ``FEW_ERRORS`` errors certify, where the target itself leaves less room; else None.

    It follows from the number of problems alone, so looking for it spends nothing of delta: the largest risk that the
    exact binomial test refutes (Clopper and Pearson's upper limit), rounded up to a thousandth.
    """
    allowed = certifiable_errors(solved, TARGET.alpha, DELTA) if solved else None
    if allowed is not None and allowed >= FEW_ERRORS:
        return None
    if solved <= FEW_ERRORS:
        return None
    risk = float(stats.beta.ppf(1 - DELTA, FEW_ERRORS + 1, solved - FEW_ERRORS))
    share = math.floor(1000 * (1 - risk)) / 1000
    return RelativeAccuracy(share) if share > 0 else None


def promises(certificates: Sequence[Certificate]) -> tuple[str, ...]:
    """What was asked for, and for how many seeds it is certified."""
    first = certificates[0]
    lines = [
        f"Asked for: {first.target}, with probability {1 - DELTA:g} over the calibration problems "
        f"(n = {first.n[0]}: those that always-largest solves count)."
    ]
    return (*lines, *_kept(certificates))


def second_promises(certificates: Sequence[Certificate]) -> tuple[str, ...]:
    """The same of the second target; nothing if there is none."""
    if not certificates:
        return ()
    first = certificates[0]
    return (
        f"Second target, not what was asked for: {first.target}, the strictest that these data can certify with "
        f"{FEW_ERRORS} errors (n = {first.n[0]}, delta = {DELTA:g}).",
        *_kept(certificates),
    )


def _kept(certificates: Sequence[Certificate]) -> Iterator[str]:
    """For how many seeds a target is certified, and what holds for the others."""
    kept = [certificate for certificate in certificates if certificate.certified]
    missing = [certificate for certificate in certificates if not certificate.certified]
    if kept:
        yield f"Certified for {len(kept)} of {len(certificates)} seeds: {kept[0].promise}."
    if missing:
        yield (
            f"Not certified for {len(missing)} of {len(certificates)} seeds, which promise {missing[0].promise}; "
            "that is always-largest."
        )


def limit_kept(rows: Sequence[Row], on_train: float) -> str:
    """Whether the constraint that was trained for holds where it was not trained."""
    row = next(row for row in rows if row.router == NAME)
    cost = row.costs["large_tokens"]
    if cost.high <= COST_LIMIT:
        verdict = "kept"
    elif cost.low > COST_LIMIT:
        verdict = "NOT kept"
    else:
        seen = "kept" if cost.estimate <= COST_LIMIT else "exceeded"
        verdict = f"{seen} on these problems, but the interval reaches to both sides of it"
    return (
        f"LagrangianPPO, actions drawn, limit {COST_LIMIT:g} on large-model tokens: {on_train:.3f} on the training "
        f"problems, {_span(cost)} on the test problems ({_counts(row)}): {verdict}."
    )


def schedule_found(schedules: Sequence[Evaluation], drawn: Sequence[Evaluation], seeds: int) -> str:
    """The most accurate schedule that keeps the agent's limit, or costs no more than it, if it beats the agent."""
    agent = np.stack([run.right.astype(np.float64) for run in drawn]).reshape(seeds, DRAWS, -1).mean(axis=1)
    cost = float(np.mean([run.mean_cost for run in drawn]))
    allowed = max(cost, COST_LIMIT)
    affordable = [run for run in schedules if run.mean_cost <= allowed]
    tail = f"(n = {agent.shape[1]}, {_number(seeds)}, {DRAWS} draws each)"
    if not affordable or max(run.accuracy for run in affordable) <= agent.mean():
        return f"No schedule within {allowed:.2f} large-model tokens is more accurate than that agent {tail}."
    best = max(affordable, key=lambda run: run.accuracy)
    gap = bootstrap_difference(best.right.astype(np.float64), agent, resamples=RESAMPLES)
    return (
        f"The schedule {best.router} beats that agent: accuracy {_difference(gap)} above it, at {best.mean_cost:.2f} "
        f"against {cost:.2f} large-model tokens {tail}; the best of {len(schedules)} schedules within {allowed:.2f}, "
        "picked in hindsight on the test problems."
    )


def findings(largest: Evaluation, runs: dict[str, list[Evaluation]], rows: Sequence[Row]) -> tuple[str, ...]:
    """What each calibrated agent keeps of always-largest's accuracy, and at which cost."""
    lines = []
    labels = {"empirical": "tuned", "exact": "certified", "second": "2nd target"}
    named = {row.router: row for row in rows}
    for key in (key for key in labels if key in runs):
        row = named[f"{NAME}, {labels[key]}"]
        right = np.stack([run.right.astype(np.float64) for run in runs[key]])
        gap = bootstrap_difference(right, largest.right.astype(np.float64), resamples=RESAMPLES)
        words = {"empirical": "tuned without guarantee"}.get(key, labels[key])
        lines.append(
            f"LagrangianPPO, {words}: accuracy minus always-largest's {_difference(gap)} at "
            f"{_span(row.costs['large_tokens'])} of its large-model tokens ({_counts(row)})."
        )
    row = named[f"{NAME}, tuned"]
    lines.append(
        f"In FLOPs, with prefill, the tuned one costs {_span(row.costs['flops'])} of always-largest ({_counts(row)}): "
        "a model that takes over late has to read everything that it did not write."
    )
    return tuple(lines)


def _span(interval: Interval) -> str:
    return f"{interval.estimate:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def _difference(interval: Interval) -> str:
    return f"{interval.estimate:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"


def _counts(row: Row) -> str:
    return f"n = {row.n}, {_number(row.seeds)}"


def _number(seeds: int) -> str:
    return f"{seeds} seed{'s' if seeds != 1 else ''}"
