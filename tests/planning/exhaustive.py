"""Optima by exhaustive recursion over everything that can happen, written independently of the planner.

Steps of a toy have one length per model, so that what is unread is a number that follows from the history.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gym_stepwise_routing.costs.ledger import CALLS, KEPT, PREFILL
from gym_stepwise_routing.costs.units import CostUnit, cost_weights
from gym_stepwise_routing.sources.simulator.process import Process
from gym_stepwise_routing.sources.simulator.simulator_source import SimulatorSource

CORRECT, FRESH, PROPAGATED = range(3)


@dataclass
class Toy:
    process: Process
    unit: CostUnit
    source: SimulatorSource
    escalate: bool = False

    def __post_init__(self) -> None:
        self.weights = cost_weights(self.unit, self.source.pool)
        self.models = len(self.source.pool)
        self.length = [int(self.process.mean_tokens[k, 0, 0]) for k in range(self.models)]
        self.prompt = np.array(self.source.parameters.prompt.tokens) - np.array(self.source.parameters.prompt.shared)
        self.scale = 1.0
        self.scale = self.always_largest()

    def always_largest(self) -> float:
        cost, going, unread = 0.0, 1.0, self.prompt[-1]
        for t in range(self.process.horizon):
            cost += going * self.call(self.models - 1, unread)
            going *= 1 - self.process.stop[-1, t]
            unread = 0
        return cost

    def call(self, model: int, unread: int, *, decodes: bool = True) -> float:
        w = self.weights[model]
        return float((w[CALLS] + w[PREFILL] * unread + w[KEPT] * self.length[model] * decodes) / self.scale)

    def goal(self, x: tuple[int, int]) -> float:
        return float(self.process.recovery[x[0]]) if x[1] else 1.0

    def step(self, x: tuple[int, int], model: int, t: int) -> list[tuple[float, tuple[int, int], int]]:
        """Outcomes of a step: chance, hidden state, status."""
        level, wrong = x
        flip = float(self.process.flip[wrong, model, level, t])
        if wrong:
            return [(flip, (level, 0), CORRECT), (1 - flip, (level, 1), PROPAGATED)]
        return [(1 - flip, (level, 0), CORRECT), (flip, (level, 1), FRESH)]

    def rewrite(
        self, x: tuple[int, int], flipped: bool, model: int, t: int
    ) -> list[tuple[float, tuple[int, int], int]]:
        """The same for a step that replaces a draft that flipped the trace (or did not)."""
        level, wrong = x
        small = float(self.process.flip[wrong, 0, level, t])
        own = float(self.process.flip[wrong, model, level, t])
        rho = self.process.coupling
        both = rho * min(small, own) + (1 - rho) * small * own
        flip = both / small if flipped else (own - both) / (1 - small)
        now = ((level, 1 - wrong), CORRECT if wrong else FRESH)
        held = ((level, wrong), PROPAGATED if wrong else CORRECT)
        return [(flip, *now), (1 - flip, *held)]


def full_route(toy: Toy, multiplier: float) -> float:
    def value(t: int, x: tuple[int, int], unread: tuple[int, ...], last: int) -> float:
        options = []
        for m in range(last if toy.escalate else 0, toy.models):
            after = tuple(0 if k == m else unread[k] + toy.length[m] for k in range(toy.models))
            stop = float(toy.process.stop[m, t])
            worth = -multiplier * toy.call(m, unread[m])
            for chance, y, _ in toy.step(x, m, t):
                ahead = value(t + 1, y, after, m) if stop < 1 else 0.0
                worth += chance * (stop * toy.goal(y) + (1 - stop) * ahead)
            options.append(worth)
        return max(options)

    start = tuple(int(p) for p in toy.prompt)
    return sum(float(s) * value(0, (level, 0), start, 0) for level, s in enumerate(toy.process.shares))


def full_restart(toy: Toy, multiplier: float) -> float:
    """A larger model may take the problem afresh: of the same level, nothing is wrong, and it reads the prompt."""

    def written(t: int, x: tuple[int, int], m: int, unread: int) -> float:
        stop = float(toy.process.stop[m, t])
        worth = -multiplier * toy.call(m, unread)
        for chance, y, _ in toy.step(x, m, t):
            worth += chance * (stop * toy.goal(y) + (1 - stop) * (value(t + 1, y, m) if stop < 1 else 0.0))
        return worth

    def value(t: int, x: tuple[int, int], m: int) -> float:
        afresh = [written(0, (x[0], 0), k, int(toy.prompt[k])) for k in range(m + 1, toy.models)]
        return max(written(t, x, m, 0), *afresh, -np.inf)

    def start(level: int) -> float:
        return max(written(0, (level, 0), m, int(toy.prompt[m])) for m in range(toy.models))

    return sum(float(s) * start(level) for level, s in enumerate(toy.process.shares))


def full_drafts(toy: Toy, multiplier: float) -> float:
    def value(t: int, x: tuple[int, int], unread: tuple[int, ...]) -> float:
        total = -multiplier * toy.call(0, unread[0])
        for flipped, (chance, drafted, _) in zip((bool(x[1]), not x[1]), toy.step(x, 0, t), strict=True):
            stop = float(toy.process.stop[0, t])
            after = tuple(0 if k == 0 else unread[k] + toy.length[0] for k in range(toy.models))
            options = [stop * toy.goal(drafted) + (1 - stop) * (value(t + 1, drafted, after) if stop < 1 else 0.0)]
            for m in range(1, toy.models):
                stop = float(toy.process.stop[m, t])
                after = tuple(0 if k == m else (unread[k] if k else 0) + toy.length[m] for k in range(toy.models))
                worth = -multiplier * toy.call(m, unread[m])
                for share, y, _ in toy.rewrite(x, flipped, m, t):
                    ahead = value(t + 1, y, after) if stop < 1 else 0.0
                    worth += share * (stop * toy.goal(y) + (1 - stop) * ahead)
                options.append(worth)
            total += chance * max(options)
        return total

    start = tuple(int(p) for p in toy.prompt)
    return sum(float(s) * value(0, (level, 0), start) for level, s in enumerate(toy.process.shares))


Belief = dict[tuple[int, int], float]


def seen_step(toy: Toy, belief: Belief, m: int, t: int, seen: int) -> Belief:
    """The states after a step of model ``m`` whose confidence fell into bin ``seen``, with their joint weights."""
    now: Belief = {}
    for x, b in belief.items():
        for chance, y, status in toy.step(x, m, t):
            now[y] = now.get(y, 0.0) + b * chance * float(toy.process.confidence[m, status, seen])
    return now


def belief_route(toy: Toy, multiplier: float) -> float:
    """Optimum of a router that sees the confidence bins of the steps."""
    bins = range(toy.process.confidence.shape[2])

    def value(t: int, belief: Belief, unread: tuple[int, ...]) -> float:
        mass = sum(belief.values())
        options = []
        for m in range(toy.models):
            after = tuple(0 if k == m else unread[k] + toy.length[m] for k in range(toy.models))
            stop = float(toy.process.stop[m, t])
            worth = -multiplier * toy.call(m, unread[m]) * mass
            for seen in bins:
                now = seen_step(toy, belief, m, t, seen)
                worth += stop * sum(b * toy.goal(y) for y, b in now.items())
                if stop < 1:
                    worth += (1 - stop) * value(t + 1, now, after)
            options.append(worth)
        return max(options)

    start = tuple(int(p) for p in toy.prompt)
    return value(0, {(level, 0): float(s) for level, s in enumerate(toy.process.shares)}, start)


def belief_restart(toy: Toy, multiplier: float) -> float:
    """Restart for a router that sees the confidence bins; what an attempt has shown of the level is not forgotten."""
    bins = range(toy.process.confidence.shape[2])

    def written(t: int, belief: Belief, m: int, unread: int) -> float:
        stop = float(toy.process.stop[m, t])
        worth = -multiplier * toy.call(m, unread) * sum(belief.values())
        for seen in bins:
            now = seen_step(toy, belief, m, t, seen)
            worth += stop * sum(b * toy.goal(y) for y, b in now.items())
            if stop < 1:
                worth += (1 - stop) * value(t + 1, now, m)
        return worth

    def value(t: int, belief: Belief, m: int) -> float:
        afresh: Belief = {}
        for (level, _), b in belief.items():
            afresh[level, 0] = afresh.get((level, 0), 0.0) + b
        others = [written(0, afresh, k, int(toy.prompt[k])) for k in range(m + 1, toy.models)]
        return max(written(t, belief, m, 0), *others, -np.inf)

    start = {(level, 0): float(s) for level, s in enumerate(toy.process.shares)}
    return max(written(0, start, m, int(toy.prompt[m])) for m in range(toy.models))


def belief_drafts(toy: Toy, multiplier: float) -> float:
    """The same for drafts; the router sees the draft before it decides, and the rewritten step after."""
    bins = range(toy.process.confidence.shape[2])

    def value(t: int, belief: Belief, unread: tuple[int, ...]) -> float:
        total = -multiplier * toy.call(0, unread[0]) * sum(belief.values())
        for seen in bins:
            joint = {}
            for x, b in belief.items():
                for flipped, (chance, y, status) in zip((bool(x[1]), not x[1]), toy.step(x, 0, t), strict=True):
                    joint[x, flipped, y] = b * chance * float(toy.process.confidence[0, status, seen])
            stop = float(toy.process.stop[0, t])
            kept: Belief = {}
            for (_, _, y), b in joint.items():
                kept[y] = kept.get(y, 0.0) + b
            after = tuple(0 if k == 0 else unread[k] + toy.length[0] for k in range(toy.models))
            worth = stop * sum(b * toy.goal(y) for y, b in kept.items())
            options = [worth + ((1 - stop) * value(t + 1, kept, after) if stop < 1 else 0.0)]
            options += [rewritten(t, joint, m, unread) for m in range(1, toy.models)]
            total += max(options)
        return total

    def rewritten(t: int, joint: dict, m: int, unread: tuple[int, ...]) -> float:  # type: ignore[type-arg]
        stop = float(toy.process.stop[m, t])
        after = tuple(0 if k == m else (unread[k] if k else 0) + toy.length[m] for k in range(toy.models))
        worth = -multiplier * toy.call(m, unread[m]) * sum(joint.values())
        for again in bins:
            now: Belief = {}
            for (x, flipped, _), b in joint.items():
                for share, y, status in toy.rewrite(x, flipped, m, t):
                    now[y] = now.get(y, 0.0) + b * share * float(toy.process.confidence[m, status, again])
            worth += stop * sum(b * toy.goal(y) for y, b in now.items())
            if stop < 1:
                worth += (1 - stop) * value(t + 1, now, after)
        return worth

    start = tuple(int(p) for p in toy.prompt)
    return value(0, {(level, 0): float(s) for level, s in enumerate(toy.process.shares)}, start)
