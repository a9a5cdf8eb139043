"""What a decision log says: saving a day, shares, failures, speed, drift and feedback, with n and intervals."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gym_stepwise_routing.costs.ledger import KINDS
from gym_stepwise_routing.costs.units.unit import DECODED
from gym_stepwise_routing.evaluation.bootstrap import Interval, bootstrap_mean
from gym_stepwise_routing.evaluation.p_values import exact_interval
from gym_stepwise_routing.serving.log_reading import (
    LoggedDrift,
    LoggedFeedback,
    LoggedRequest,
    LoggedServer,
    LogReader,
    Own,
)

__all__ = ["Costs", "Failures", "Group", "LogReport", "ModelShare", "Share", "Speed", "report_on"]

AS_CONFIGURED = "as configured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What answers cost beside always-largest, whose cost is an estimate: its mean on a bank's problems.

    Attributes:
        n: answered requests.
        cost: mean cost, where always-largest costs 1 on average.
        saving: 1 minus that; None where there is no answer.
        interval: 95 % bootstrap interval of the saving over requests; None for fewer than 2.
        saved: always-largest's cost minus theirs, summed, in the cost unit.
        largest_alone: the largest model wrote all of it, so that the saving is 0, whatever a bank's problems cost.
    """

    n: int
    cost: float | None
    saving: float | None
    interval: Interval | None
    saved: float
    largest_alone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShare:
    """What one model did. ``steps``: that it wrote; ``instead``: of them, those that the router wanted of another."""

    model: str
    steps: int
    share: float
    instead: int
    ledger: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """An endpoint that did not deliver, for one reason; ``kept``: how often a part of its text was kept."""

    model: str
    reason: str
    count: int
    kept: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Median and 95th percentile of seconds over ``n`` answers; None where there are none."""

    n: int
    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """``count`` of ``n``, with the exact 95 % interval."""

    count: int
    n: int
    low: float
    high: float

    @classmethod
    def of(cls, said: Sequence[bool]) -> Share | None:
        """None where nothing was said."""
        if not said:
            return None
        low, high = exact_interval(sum(said), len(said))
        return cls(count=sum(said), n=len(said), low=low, high=high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Requests of one router that were routed alike.

    Attributes:
        router: the router.
        mode: its mode.
        cost_unit: its cost unit.
        routed: ``as configured``, or what the requests had of their own.
        always_largest: where the estimate of always-largest's cost comes from.
        outcomes: requests by outcome.
        unanswered_cost: normalised cost of the requests that were not answered, summed.
        costs: of the answers.
        days: the same by day (UTC).
        models: by model, smallest first.
        steps_by_day: steps that each model wrote, by day.
        failures: endpoint failures, the most frequent first.
        seconds: to the end of an answer.
        first_text: to its first text.
        thresholds: first, last, least and greatest threshold; None where the router has none.
        right: feedback: answers that were right.
        largest_right: of the feedback that says so: whether always-largest would have been right.
        right_beside: answers that were right among these.
    """

    router: str
    mode: str
    cost_unit: str
    routed: str
    always_largest: str
    outcomes: dict[str, int]
    unanswered_cost: float
    costs: Costs
    days: dict[str, Costs]
    models: tuple[ModelShare, ...]
    steps_by_day: dict[str, dict[str, int]]
    failures: tuple[Failures, ...]
    seconds: Speed
    first_text: Speed
    thresholds: tuple[float, float, float, float] | None
    right: Share | None
    largest_right: Share | None
    right_beside: Share | None

    @property
    def name(self) -> str:
        """Router, mode and how it was routed."""
        return f"{self.router}, {self.mode}, {self.routed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogReport:
    """What a log says.

    Attributes:
        files: the files that were read, oldest first.
        first: time of the first request.
        last: time of the last.
        requests: requests in it.
        torn: where half-written lines stand (a process was killed).
        servers: ids of the servers that wrote it.
        groups: the requests, by router and by what they asked for themselves; as configured and the largest first.
        drift_windows: windows that were tested for drift.
        drift_alarms: time and message of each alarm.
        feedback: answers of which something was said.
        feedback_elsewhere: of them, those that are not in this log.
    """

    files: tuple[str, ...]
    first: str
    last: str
    requests: int
    torn: tuple[str, ...]
    servers: tuple[str, ...]
    groups: tuple[Group, ...]
    drift_windows: int
    drift_alarms: tuple[tuple[str, str], ...]
    feedback: int
    feedback_elsewhere: int


@dataclass(slots=True)
class _Gathered:
    """What is kept of the requests of a group while a log is read; texts and features are not."""

    always_largest: str
    outcomes: Counter[str] = field(default_factory=Counter)
    unanswered_cost: float = 0.0
    costs: dict[str, list[float]] = field(default_factory=dict)
    saved: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    steps: dict[str, Counter[str]] = field(default_factory=dict)
    instead: Counter[str] = field(default_factory=Counter)
    ledger: dict[str, Counter[str]] = field(default_factory=dict)
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    kept: Counter[tuple[str, str]] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    first_text: list[float] = field(default_factory=list)
    thresholds: list[float] = field(default_factory=list)
    said: list[LoggedFeedback] = field(default_factory=list)

    def add(self, request: LoggedRequest) -> None:
        self.outcomes[request.outcome] += 1
        for model, spent in request.ledger.items():
            self.ledger.setdefault(model, Counter()).update(spent)
        steps = self.steps.setdefault(request.day, Counter())
        for step in request.steps:
            steps[step.model] += 1
            self.instead[step.model] += step.model != step.chosen
        for failure in request.failures:
            self.failures[failure.model, failure.reason] += 1
            self.kept[failure.model, failure.reason] += failure.kept_characters > 0
        if request.threshold is not None:
            self.thresholds.append(request.threshold)
        if request.outcome != "answered":
            self.unanswered_cost += request.cost.normalised
            return
        self.costs.setdefault(request.day, []).append(request.cost.normalised)
        self.saved[request.day] += request.always_largest.raw - request.cost.raw
        self.seconds.append(request.seconds)
        if request.first_text_seconds is not None:
            self.first_text.append(request.first_text_seconds)

    def writers(self) -> set[str]:
        """Models that have decoded anything."""
        kinds = [KINDS[kind] for kind in DECODED]
        return {model for model, spent in self.ledger.items() if any(spent[kind] for kind in kinds)}

    def group(
        self, router: str, mode: str, cost_unit: str, routed: str, resamples: int, largest: Set[str] = frozenset()
    ) -> Group:
        """The figures; ``largest``: names of models that are the largest of their pools."""
        writers = self.writers()
        alone = len(writers) == 1 and writers <= largest
        steps = sum(self.steps.values(), Counter())
        total = max(steps.total(), 1)
        every = [cost for day in sorted(self.costs) for cost in self.costs[day]]
        beside = [said for said in self.said if said.largest_right is not None]
        limits = self.thresholds
        return Group(
            router=router,
            mode=mode,
            cost_unit=cost_unit,
            routed=routed,
            always_largest=self.always_largest,
            outcomes=dict(self.outcomes.most_common()),
            unanswered_cost=self.unanswered_cost,
            costs=_costs(every, sum(self.saved.values()), resamples, alone),
            days={day: _costs(self.costs[day], self.saved[day], resamples, alone) for day in sorted(self.costs)},
            models=tuple(
                ModelShare(
                    model=model,
                    steps=steps[model],
                    share=steps[model] / total,
                    instead=self.instead[model],
                    ledger={kind: self.ledger[model][kind] for kind in KINDS},
                )
                for model in self.ledger
            ),
            steps_by_day={day: dict(self.steps[day]) for day in sorted(self.steps)},
            failures=tuple(
                Failures(model=key[0], reason=key[1], count=count, kept=self.kept[key])
                for key, count in self.failures.most_common()
            ),
            seconds=_speed(self.seconds),
            first_text=_speed(self.first_text),
            thresholds=(limits[0], limits[-1], min(limits), max(limits)) if limits else None,
            right=Share.of([said.right for said in self.said]),
            largest_right=Share.of([bool(said.largest_right) for said in beside]),
            right_beside=Share.of([said.right for said in beside]),
        )


def report_on(path: Path, *, resamples: int = 10_000) -> LogReport:
    """Read a log and its rotated files.

    Args:
        path: the log.
        resamples: bootstrap resamples over requests, for each interval.

    Raises:
        ValueError: no such log, a line that cannot be read (the message names file and line), or no request in it.
    """
    log = LogReader(path)
    groups: dict[tuple[str, str, str, str], _Gathered] = {}
    home: dict[str, _Gathered] = {}
    times: list[str] = []
    servers: dict[str, str] = {}
    said: dict[str, LoggedFeedback] = {}
    drift: list[LoggedDrift] = []
    for record in log:
        if isinstance(record, LoggedRequest):
            key = (record.router, record.mode, record.cost_unit, routed(record.own))
            gathered = groups.setdefault(key, _Gathered(record.always_largest.from_))
            gathered.add(record)
            home[record.id] = gathered
            times.append(record.time)
        elif isinstance(record, LoggedServer):
            servers[record.id] = record.models[-1].name
        elif isinstance(record, LoggedFeedback):
            said[record.id] = record
        else:
            drift.append(record)
    if not times:
        raise ValueError(f"{path}: no request is in it; allowed: the log of a server that was asked something")
    for id, one in said.items():
        if id in home:
            home[id].said.append(one)
    ordered = sorted(groups.items(), key=lambda item: (item[0][-1] != AS_CONFIGURED, -item[1].outcomes.total()))
    return LogReport(
        files=tuple(str(file) for file in log.files),
        first=min(times),
        last=max(times),
        requests=len(times),
        torn=tuple(log.torn),
        servers=tuple(servers),
        groups=tuple(gathered.group(*key, resamples, set(servers.values())) for key, gathered in ordered),
        drift_windows=len(drift),
        drift_alarms=tuple((test.time, test.message) for test in drift if test.alarm),
        feedback=len(said),
        feedback_elsewhere=sum(id not in home for id in said),
    )


def routed(own: Own) -> str:
    """How a request was routed: as configured, or by what it had of its own."""
    parts = [
        f"target {own.target}" if own.target else "",
        "threshold of its own" if own.threshold is not None else "",
        "budget of its own" if own.budget is not None else "",
    ]
    return " and ".join(filter(None, parts)) or AS_CONFIGURED


def _costs(costs: Sequence[float], saved: float, resamples: int, largest_alone: bool) -> Costs:
    if not costs:
        return Costs(n=0, cost=None, saving=None, interval=None, saved=0.0)
    cost = float(np.mean(costs))
    if largest_alone:
        return Costs(n=len(costs), cost=cost, saving=0.0, interval=None, saved=0.0, largest_alone=True)
    savings = 1.0 - np.asarray(costs)
    interval = bootstrap_mean(savings, resamples=resamples) if len(costs) > 1 else None
    return Costs(n=len(costs), cost=cost, saving=float(savings.mean()), interval=interval, saved=float(saved))


def _speed(seconds: Sequence[float]) -> Speed:
    if not seconds:
        return Speed(n=0, p50=None, p95=None)
    p50, p95 = np.quantile(seconds, [0.5, 0.95])
    return Speed(n=len(seconds), p50=float(p50), p95=float(p95))
