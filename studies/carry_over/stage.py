"""A task on which routers are compared, and what they gain there, whether fitted on it or on another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gym_stepwise_routing.agents.agent import AGENTS
from gym_stepwise_routing.comparison.arena import Arena
from gym_stepwise_routing.comparison.choose import Rule
from gym_stepwise_routing.comparison.contenders import Contender, Points, Signals, contender
from gym_stepwise_routing.comparison.roster import roster
from gym_stepwise_routing.comparison.run import ready_arena
from gym_stepwise_routing.comparison.signals import auroc
from gym_stepwise_routing.costs.units import CostUnit
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.evaluation import curves
from gym_stepwise_routing.evaluation.bootstrap import bootstrap_curve_differences, bootstrap_difference
from gym_stepwise_routing.evaluation.evaluate import threshold_grid
from gym_stepwise_routing.evaluation.outcomes import SweepOutcomes
from gym_stepwise_routing.reporting import span_text
from gym_stepwise_routing.routers.families import GROUPS
from gym_stepwise_routing.routers.policy_network import PolicyNetwork
from gym_stepwise_routing.types import DEFAULT_BLOCKS, Block, Mode, Split
from studies.agents.sweeps import fit, games_of, stack, swept
from studies.baselines.claims import ZERO

__all__ = ["CARRIED", "TASKS", "Carried", "Ends", "Gain", "Span", "Stage", "Task", "carried_over", "gains_of"]

CARRIED = "exact"
"""Agent whose policies are played on other tasks: it has one policy for all thresholds."""
THRESHOLDS = 41
GAIN = {"aiq": curves.aiq}
HELD_OUT: tuple[Split, ...] = ("calibration", "test")
Span = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Task:
    """A task that is routed.

    Attributes:
        name: short name.
        bank: bundled bank.
        mode: mode of the game; that in which most banks were recorded.
        cost_unit: unit of the costs.
        more: blocks that agents see here beside the default ones, which are all that a policy sees that is carried.
    """

    name: str
    bank: str
    mode: Mode = "escalate"
    cost_unit: CostUnit = "flops"
    more: tuple[Block, ...] = ()


TASKS = (
    Task("GSM8K", "gsm8k-qwen2.5-coder"),
    Task("MATH-500", "math500-qwen2.5-coder"),
    Task("MBPP", "mbpp-qwen2.5-coder"),
    Task("HumanEval", "humaneval-qwen2.5-coder"),
    Task("WikiTableQuestions", "wikitablequestions-qwen2.5-coder"),
    Task("InterCode SQL", "intercode-sql-gpt", "restart", "dollars", ("feedback",)),
)
CHOSEN = {
    "first k large": ("first k large",),
    "best handcrafted": GROUPS[1],
    "best verifier": GROUPS[2],
    "query classifier": ("query classifier",),
    "fitted Q": ("fitted Q",),
    "oracle (a bound)": ("oracle",),
}
"""Lines of the table of gains: the families that each is the best of, by name or all of a group."""


@dataclass(frozen=True, slots=True)
class Ends:
    """The constants and the oracle on a task's test problems."""

    task: str
    problems: Mapping[str, int]
    small: float
    large: float
    small_cost: float
    oracle: float
    oracle_cost: float
    """Least mean cost at which an oracle is as often right as the larger model, in its costs."""

    def cells(self) -> tuple[str, ...]:
        """As a row of a table."""
        counts = " / ".join(str(count) for count in self.problems.values())
        figures = (self.small, self.large, self.small_cost, self.oracle, self.oracle_cost)
        return self.task, counts, *(f"{figure:.3f}" for figure in figures)


@dataclass(frozen=True, slots=True)
class Gain:
    """AIQ minus that of mixing, on test; ``who`` is the family, where a line has several."""

    task: str
    line: str
    who: str
    gain: Span | None

    def cell(self) -> str:
        """As a cell of a table."""
        if self.gain is None:
            return "-"
        who = f" ({self.who})" if self.who != self.line else ""
        return span_text(*self.gain, signed=True) + who


@dataclass(frozen=True, slots=True)
class Carried:
    """A policy trained on one task and played on another.

    ``gain`` is AIQ minus that of mixing; ``lost`` and ``saved`` are what the threshold chosen on the other task's
    calibration problems loses in accuracy and saves of always-largest's cost, on its test problems.
    """

    trained: str
    played: str
    gain: Span
    lost: Span | None
    saved: Span | None


class Stage:
    """A task made ready: its games, the constants, and what mixing reaches."""

    def __init__(self, task: Task, resamples: int) -> None:
        self.task, self.resamples = task, resamples
        self.arena: Arena = ready_arena(task.bank, mode=task.mode, cost_unit=task.cost_unit)
        self.games = games_of(self.arena.source, task.mode, task.cost_unit)
        self.own_games = (
            games_of(self.arena.source, task.mode, task.cost_unit, self.blocks) if task.more else self.games
        )
        self.families = {family.name: family for family in roster()}
        self._ready: dict[str, Contender] = {}
        self.mixing = self.points(ZERO, "test")

    @property
    def blocks(self) -> tuple[Block, ...]:
        """What an agent sees on this task."""
        return (*DEFAULT_BLOCKS, *self.task.more)

    def family(self, name: str) -> Contender:
        """A family, fitted once."""
        if name not in self._ready:
            self._ready[name] = contender(self.arena, self.families[name])
        return self._ready[name]

    def points(self, name: str, split: Split) -> Points:
        """Its points on a split."""
        return self.family(name).points(split)

    def ends(self) -> Ends:
        """Constants and oracle."""
        known = self.arena.reference("test")
        anchors, ceiling = known.anchors, known.ceiling
        if ceiling is None:
            raise ValueError(f"bank={self.task.bank!r} has no table; allowed: recorded trees")
        cheapest = np.interp(float(anchors.accuracy_large), ceiling.accuracies, ceiling.costs)
        return Ends(
            self.task.name,
            {split: len(game.problems) for split, game in self.games.items()},
            float(anchors.accuracy_small),
            float(anchors.accuracy_large),
            float(anchors.cost_small) / float(anchors.cost_large),
            float(ceiling.accuracies[-1]),
            float(cheapest) / float(anchors.cost_large),
        )

    def best(self, names: Sequence[str]) -> str | None:
        """Of several families the one with the highest AIQ on calibration; None where none can be played."""
        anchors = self.arena.reference("calibration").anchors
        heights = {}
        for name in names:
            try:
                points = self.points(name, "calibration")
            except (NotApplicableError, ImportError):
                continue
            one = curves.Curves(costs=points.costs, accuracies=points.accuracies, anchors=anchors)
            heights[name] = float(curves.aiq(one))
        return max(heights, key=lambda name: heights[name]) if heights else None

    def gain(self, outcomes: SweepOutcomes) -> Span:
        """AIQ on test minus that of mixing; costs in the arena's units."""
        mixing = SweepOutcomes(right=self.mixing.right, cost=self.mixing.cost)
        anchors = self.arena.reference("test").outcomes
        gap = bootstrap_curve_differences(outcomes, mixing, anchors, GAIN, resamples=self.resamples)["aiq"]
        assert gap is not None  # the larger model costs more
        return gap.estimate, gap.low, gap.high

    def played(
        self, agent: str, network: PolicyNetwork, splits: Sequence[Split], *, carried: bool = True
    ) -> list[SweepOutcomes]:
        """A policy's sweep on splits, costs in the arena's units; thresholds are quantiles on calibration.

        A policy that is ``carried`` sees the default blocks, any other what agents see on this task.
        """
        games = self.games if carried else self.own_games
        shown = AGENTS.get(agent).budgets  # which need no thresholds
        grid = None if shown else threshold_grid(network, games["calibration"], THRESHOLDS)
        found = []
        for split in splits:
            outcomes = swept(agent, network, games[split], grid)
            scale = games[split].normaliser / self.arena.game(split, ("progress",)).normaliser
            found.append(SweepOutcomes(right=outcomes.right, cost=np.asarray(outcomes.cost) * scale))
        return found

    def calibrated(self, known: SweepOutcomes, unseen: SweepOutcomes, rule: Rule) -> tuple[Span, Span] | None:
        """Accuracy lost and cost saved on test (``unseen``) at the threshold that calibration (``known``) chooses.

        None where no threshold meets the rule.
        """
        points = Points(right=np.asarray(known.right, dtype=np.float64), cost=np.asarray(known.cost))
        choice = rule.choose(points, self.arena.reference("calibration").anchors)
        if choice is None:
            return None
        large = self.arena.reference("test").outcomes
        lost = bootstrap_difference(
            np.asarray(unseen.right, dtype=np.float64)[choice], large.right_large, resamples=self.resamples
        )
        saved = bootstrap_difference(large.cost_large, np.asarray(unseen.cost)[choice], resamples=self.resamples)
        return (lost.estimate, lost.low, lost.high), (saved.estimate, saved.low, saved.high)

    def trained(self, agent: str, seeds: int, *, carried: bool = False) -> list[PolicyNetwork]:
        """Policies of an agent, a seed each: with what it sees on this task, or with what can be carried."""
        task, blocks = self.task, DEFAULT_BLOCKS if carried else self.blocks
        return [
            fit(agent, self.arena.source, task.mode, task.cost_unit, seed, observation=blocks) for seed in range(seeds)
        ]

    def signals(self, after: int = 0) -> dict[str, Span]:
        """Area under the ROC curve of every family's score: does it tell where the larger model helps?

        Decisions before step ``after`` are left out: before the first step there is no last step's confidence.
        """
        found = {}
        for name in self.families:
            try:
                opponent = self.family(name)
            except (NotApplicableError, ImportError):
                continue
            told = opponent.signal("test", after) if isinstance(opponent, Signals) else None
            area = None if told is None else auroc(told)
            if area is not None:
                found[name] = (area.estimate, area.low, area.high)
        return found


def _members(names: str | Sequence[str]) -> list[str]:
    """Families of a line: those named, or all of a group."""
    if isinstance(names, str):
        return [family.name for family in roster() if family.group == names]
    return list(names)


def gains_of(stage: Stage, policies: Mapping[str, Sequence[PolicyNetwork]]) -> list[Gain]:
    """What each line of the table gains on a task."""
    found = []
    for line, names in CHOSEN.items():
        who = stage.best(_members(names))
        if who is None:
            found.append(Gain(stage.task.name, line, line, None))
            continue
        points = stage.points(who, "test")
        found.append(Gain(stage.task.name, line, who, stage.gain(SweepOutcomes(right=points.right, cost=points.cost))))
    for agent, networks in policies.items():
        sweeps = stack([stage.played(agent, network, ("test",), carried=False)[0] for network in networks])
        found.append(Gain(stage.task.name, agent, agent, stage.gain(sweeps)))
    return found


def carried_over(stages: Sequence[Stage], policies: Mapping[str, Sequence[PolicyNetwork]]) -> list[Carried]:
    """Every task's policies of the agent that is carried, on every task; thresholds are those of the first seed."""
    found = []
    for origin, networks in policies.items():
        for stage in stages:
            known, unseen = stage.played(CARRIED, networks[0], HELD_OUT)
            others = [stage.played(CARRIED, network, ("test",))[0] for network in networks[1:]]
            gain = stage.gain(stack([unseen, *others]))
            at = stage.calibrated(known, unseen, Rule())
            found.append(Carried(origin, stage.task.name, gain, *(at or (None, None))))
    return found
