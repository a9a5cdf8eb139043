"""Growing of many routing trees at once, so that every model always has a full batch to work on."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from gym_stepwise_routing.datasets.problem import Problem
from gym_stepwise_routing.generators.base import Completion, Failure, Generator, Request
from gym_stepwise_routing.generators.steps import PartialStep, Step, StepRule, read_steps
from gym_stepwise_routing.grading import make_grader
from gym_stepwise_routing.recorder.errors import RecordingError
from gym_stepwise_routing.recorder.settings import RecordingSettings
from gym_stepwise_routing.recorder.tree import RoutingTree, Run

__all__ = ["RecordingStats", "grow_trees"]


@dataclass(slots=True)
class RecordingStats:
    """What a recording has done so far.

    Attributes:
        tokens: tokens decoded, by model; those of unfinished and failed trees count too.
        trees: complete trees.
        nodes: nodes in them, roots not counted.
        failed: problems given up, with the reason.
        started: ``time.monotonic()`` at the start.
    """

    tokens: list[int]
    trees: int = 0
    nodes: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    @property
    def tokens_per_second(self) -> float:
        """Decoded tokens a second, all models together."""
        return sum(self.tokens) / max(time.monotonic() - self.started, 1e-9)


@dataclass(slots=True)
class _Growing:
    """A tree under way with what its requests need."""

    tree: RoutingTree
    prompt: str
    prompt_tokens: dict[int, int] = field(default_factory=dict)
    steps: dict[Run, list[Step]] = field(default_factory=dict)
    partial: dict[Run, PartialStep] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """The complete tree; prompt tokens are one number where all models agree."""
        counts = [self.prompt_tokens[model] for model in sorted(self.prompt_tokens)]
        return self.tree.record(counts[0] if len(set(counts)) == 1 else counts)


def grow_trees(
    problems: Iterable[Problem],
    generators: Sequence[Generator],
    settings: RecordingSettings,
    stats: RecordingStats,
) -> Iterator[dict[str, Any]]:
    """Grow the tree of every problem and give each back as soon as it is complete.

    Args:
        problems: problems in the order in which they are started.
        generators: the model pool, smallest first.
        settings: see there.
        stats: kept up to date.

    Raises:
        RecordingError: ``settings.patience`` problems in a row failed.
        ValueError: fewer than two generators.
    """
    if len(generators) < 2:
        raise ValueError(f"generators={[g.name for g in generators]!r}; allowed: at least 2, smallest first")
    grade = make_grader(settings.grading)
    pool = _Pool(generators, settings.rule)
    waiting = iter(problems)
    growing: dict[str, _Growing] = {}
    failures = 0
    while True:
        for problem in _take(waiting, settings.in_flight - len(growing)):
            tree = RoutingTree(problem, len(generators), settings.mode, settings.rule, grade)
            growing[problem.id] = _Growing(tree, settings.prompt.fill(problem.question))
            pool.submit_ready(problem.id, growing[problem.id])
        if not growing:
            return
        touched = set()
        for key, result in generators[pool.busiest()].poll():
            identity, run = key
            if identity not in growing:  # the rest of a tree that was given up
                continue
            if isinstance(result, Failure):
                stats.failed[identity] = result.reason
                del growing[identity]
                failures += 1
                if failures >= settings.patience:
                    raise RecordingError(f"{failures} problems in a row failed, last {identity}: {result.reason}")
                continue
            stats.tokens[run.model] += result.tokens
            pool.enter(identity, growing[identity], run, result)
            touched.add(identity)
        for identity in touched & growing.keys():
            pool.submit_ready(identity, growing[identity])
            if growing[identity].tree.complete:
                done = growing.pop(identity)
                failures = 0
                stats.trees += 1
                stats.nodes += len(done.tree.nodes) - 1
                yield done.record()


def _take(problems: Iterator[Problem], count: int) -> Iterator[Problem]:
    for _ in range(count):
        problem = next(problems, None)
        if problem is None:
            return
        yield problem


class _Pool:
    """The generators with the way each is asked: for whole runs, or one step at a time if it hides its tokens."""

    def __init__(self, generators: Sequence[Generator], rule: StepRule) -> None:
        self.generators = generators
        self.rule = rule
        self.whole_runs = [generator.info().top_logprobs > 0 for generator in generators]
        self._current = 0

    def submit_ready(self, identity: str, growing: _Growing) -> None:
        """Submit every run of a tree that can start."""
        for run in growing.tree.ready():
            growing.steps[run] = []
            self._submit(identity, growing, run)

    def enter(self, identity: str, growing: _Growing, run: Run, completion: Completion) -> None:
        """Enter a result into its tree, or ask on where the run has not ended."""
        growing.prompt_tokens.setdefault(run.model, completion.prompt_tokens)
        steps = growing.steps[run]
        history = [*growing.tree.texts(run.node), *(step.text for step in steps)]
        if run in growing.partial:
            step = growing.partial[run].add(completion)
            if step is not None:
                del growing.partial[run]
                steps.append(step)
            if step is None or not step.ending:
                self._submit(identity, growing, run)
                return
        else:
            steps.extend(read_steps(completion, self.rule, history))
        growing.tree.add(run, growing.steps.pop(run))

    def busiest(self) -> int:
        """Model to let work next: the same until another has twice its load (full batches are cheap)."""
        loads = [generator.pending for generator in self.generators]
        busiest = max(range(len(loads)), key=loads.__getitem__)
        if not loads[self._current] or 2 * loads[self._current] < loads[busiest]:
            self._current = busiest
        return self._current

    def _submit(self, identity: str, growing: _Growing, run: Run) -> None:
        steps = growing.steps[run]
        history = [*growing.tree.texts(run.node), *(step.text for step in steps)]
        left = max(self.rule.max_tokens - sum(step.tokens for step in steps), 1)
        if self.whole_runs[run.model] or len(history) + 1 == self.rule.horizon:
            request = Request(growing.prompt, self.rule.prefix(history), left, self.rule.stop)
        else:
            partial = growing.partial.setdefault(run, PartialStep(self.rule, history))
            request = partial.request(growing.prompt, left)
        self.generators[run.model].submit((identity, run), request)
