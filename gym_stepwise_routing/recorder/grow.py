"""Growing of many routing trees at once, so that every model always has a full batch to work on."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gym_stepwise_routing.banks.jsonl import check_tree
from gym_stepwise_routing.datasets.problem import Problem
from gym_stepwise_routing.errors import BankError, RecordingError
from gym_stepwise_routing.generators.generator import Completion, Failure, Generator, Request
from gym_stepwise_routing.generators.partial_step import PartialStep
from gym_stepwise_routing.generators.step_rule import StepRule
from gym_stepwise_routing.generators.steps import Step, can_be_cut, read_steps
from gym_stepwise_routing.generators.token_classes import TableWords, table_words
from gym_stepwise_routing.grading import GRADERS
from gym_stepwise_routing.grading.judge import Judge
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
        timed_out: final answers in the complete trees whose grading was cut off, and which therefore count as wrong.
        started: ``time.monotonic()`` at the start.
    """

    tokens: list[int]
    trees: int = 0
    nodes: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    timed_out: int = 0
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
    key: tuple[str, int]
    words: TableWords | None
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
    *,
    shared_prefix: Sequence[int] | None = None,
) -> Iterator[dict[str, Any]]:
    """Grow the tree of every problem and give each back as soon as it is complete.

    A problem that fails for a reason that may pass is tried once more after all others. A tree that could be no part of
    a bank, because of what a server told, is a failure of its problem.

    Args:
        problems: problems in the order in which they are started.
        generators: the model pool, smallest first.
        settings: see there.
        stats: kept up to date.
        shared_prefix: prompt tokens that all problems share, by model; None: nothing is known to be shared.

    Raises:
        RecordingError: ``settings.patience`` problems in a row failed.
        ValueError: fewer than two generators.
    """
    if len(generators) < 2:
        raise ValueError(f"generators={[g.name for g in generators]!r}; allowed: at least 2, smallest first")
    grade = GRADERS.get(settings.grading).make()
    if isinstance(grade, Judge) and settings.judgements is not None:
        grade.keep(settings.judgements)
    pool = _Pool(generators, settings.rule, settings.samples)
    again: deque[Problem] = deque()
    waiting = iter(problems)
    growing: dict[str, _Growing] = {}
    failures = 0
    shared = [0] * len(generators) if shared_prefix is None else shared_prefix
    shared = [tokens for tokens in shared for _ in range(settings.samples)]

    def fail(problem: Problem, failure: Failure) -> None:
        nonlocal failures
        if failure.retryable and problem.id not in stats.failed:
            again.append(problem)
        stats.failed[problem.id] = failure.reason
        failures += 1
        if failures >= settings.patience:
            raise RecordingError(f"{failures} problems in a row failed, last {problem.id}: {failure.reason}")

    while True:
        for problem in _take(waiting, again, settings.in_flight - len(growing)):
            writers = len(generators) * settings.samples
            tree = RoutingTree(problem, writers, settings.mode, settings.rule, grade)
            key = (problem.id, int(problem.id in stats.failed))
            filled = settings.prompt.fill(problem.question)
            growing[problem.id] = _Growing(tree, filled, key, table_words(problem))
            pool.submit_ready(growing[problem.id])
        if not growing:
            return
        touched = set()
        for key, result in generators[pool.busiest()].poll():
            (identity, attempt), run = key
            if isinstance(result, Completion):
                stats.tokens[run.model // settings.samples] += result.tokens
            if identity not in growing or growing[identity].key != (identity, attempt):  # of a tree that was given up
                continue
            if isinstance(result, Failure):
                pool.give_up(growing[identity])
                fail(growing.pop(identity).tree.problem, result)
                continue
            pool.enter(growing[identity], run, result)
            touched.add(identity)
        for identity in sorted(touched & growing.keys()):
            pool.submit_ready(growing[identity])
            if growing[identity].tree.complete:
                done = growing.pop(identity)
                recorded = done.record()
                try:
                    check_tree(recorded, horizon=settings.rule.horizon, shared_prefix=shared)
                except BankError as error:
                    fail(done.tree.problem, Failure(str(error), retryable=False))
                    continue
                failures = 0
                stats.failed.pop(identity, None)
                stats.trees += 1
                stats.nodes += len(done.tree.nodes) - 1
                stats.timed_out += done.tree.timed_out
                yield recorded


def _take(problems: Iterator[Problem], again: deque[Problem], count: int) -> Iterator[Problem]:
    """At most ``count`` problems that have not been started, and once there are none, of those to be tried again."""
    for _ in range(count):
        problem = next(problems, None)
        if problem is None:
            if not again:
                return
            problem = again.popleft()
        yield problem


class _Pool:
    """The generators with the way each is asked: for whole runs, or one step at a time if it hides its tokens.

    Of several samples each is a model of the tree: those of the first generator, then those of the second.
    """

    def __init__(self, generators: Sequence[Generator], rule: StepRule, samples: int = 1) -> None:
        self.samples = samples
        self.generators = generators
        self.rule = rule
        self.whole_runs = [generator.info().top_logprobs > 0 for generator in generators]
        self._current = 0

    def submit_ready(self, growing: _Growing) -> None:
        """Submit every run of a tree that can start."""
        for run in growing.tree.ready():
            growing.steps[run] = []
            self._submit(growing, run)

    def enter(self, growing: _Growing, run: Run, completion: Completion) -> None:
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
                self._submit(growing, run)
                return
        elif can_be_cut(completion, self.rule, history):
            steps.extend(read_steps(completion, self.rule, history, growing.words))
        else:  # the server told too little of this one: the run is asked for once more, step by step
            self._submit(growing, run, whole=False)
            return
        growing.tree.add(run, growing.steps.pop(run))

    def busiest(self) -> int:
        """Model to let work next: the same until another has twice its load (full batches are cheap)."""
        loads = [generator.pending for generator in self.generators]
        busiest = max(range(len(loads)), key=loads.__getitem__)
        if not loads[self._current] or 2 * loads[self._current] < loads[busiest]:
            self._current = busiest
        return self._current

    def give_up(self, growing: _Growing) -> None:
        """Withdraw the requests of a tree that is not wanted any more."""
        for run in growing.steps:
            self.generators[run.model // self.samples].cancel((growing.key, run))

    def _submit(self, growing: _Growing, run: Run, *, whole: bool = True) -> None:
        steps = growing.steps[run]
        history = [*growing.tree.texts(run.node), *(step.text for step in steps)]
        left = max(self.rule.max_tokens - sum(step.tokens for step in steps), 1)
        whole = whole and self.whole_runs[run.model // self.samples] and not steps and run not in growing.partial
        if whole or len(history) + 1 == self.rule.horizon:
            request = Request(growing.prompt, self.rule.prefix(history), left, self.rule.engine_stops)
        else:
            partial = growing.partial.setdefault(run, PartialStep(self.rule, history, growing.words))
            request = partial.request(growing.prompt, left)
        request = replace(request, sample=run.model % self.samples)
        self.generators[run.model // self.samples].submit((growing.key, run), request)
