"""One routing tree while it is being recorded: which runs are still wanted, and what has been written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gym_stepwise_routing.datasets.problem import Problem
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.generators.step_rule import StepRule
from gym_stepwise_routing.generators.steps import Step
from gym_stepwise_routing.grading import Grade, GradeFunction
from gym_stepwise_routing.grading.thoughts import without_thoughts
from gym_stepwise_routing.types import MODES, Mode

__all__ = ["Node", "RoutingTree", "Run"]


@dataclass(slots=True)
class Node:
    """A prefix of steps; the root is the question alone."""

    id: int
    parent: int | None
    depth: int
    model: int | None
    step: Step | None
    same_as: int | None = None
    grade: Grade | None = None
    children: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """A model asked to go on from a node until it ends or the horizon is reached."""

    node: int
    model: int


class RoutingTree:
    """Tree of one problem, grown run by run.

    The mode is what the router may do, hence which branches are recorded: ``route`` and ``regenerate`` need every
    model's next step at every prefix; ``escalate`` only ever goes to a larger model and stays there, which is linear in
    the horizon for two models; ``restart`` needs one run of each model.

    A run is only handed out once it is certain that no other run gives its result: a switch to model ``m`` at a node
    waits until ``m``'s step at the parent is known, because if the two wrote the same step, the run that wrote it goes
    on through this very node.

    Args:
        problem: what is solved.
        models: size of the pool.
        mode: the mode that the tree is for.
        rule: the step rule; its horizon is the depth of the tree.
        grade: grader of the final text.
    """

    def __init__(self, problem: Problem, models: int, mode: Mode, rule: StepRule, grade: GradeFunction) -> None:
        check_choice("mode", mode, MODES)
        self.problem = problem
        self.models = models
        self.mode = mode
        self.rule = rule
        self.nodes = [Node(0, None, 0, None, None)]
        self._grade = grade
        self._wanted = [Run(0, model) for model in range(models)]
        self._under_way: set[Run] = set()

    @property
    def complete(self) -> bool:
        """Whether every branch that the mode can reach has ended."""
        return not self._wanted and not self._under_way

    @property
    def timed_out(self) -> int:
        """Ends whose grading was cut off."""
        return sum(node.grade is not None and node.grade.timed_out for node in self.nodes)

    def texts(self, node: int) -> list[str]:
        """Step texts from the first to that of ``node``."""
        texts = []
        here = self.nodes[node]
        while here.step is not None and here.parent is not None:
            texts.append(here.step.text)
            here = self.nodes[here.parent]
        return texts[::-1]

    def ready(self) -> Iterator[Run]:
        """Hand out the runs that can start now; each is handed out once."""
        waiting = []
        for run in self._wanted:
            if run.model in self.nodes[run.node].children:  # a run that wrote the same step came through here
                continue
            parent = self.nodes[run.node].parent
            if parent is None or run.model in self.nodes[parent].children or not self._reachable(parent, run.model):
                self._under_way.add(run)
                yield run
            else:
                waiting.append(run)
        self._wanted = waiting

    def add(self, run: Run, steps: Sequence[Step]) -> None:
        """Enter the steps that a run has written.

        Raises:
            ValueError: the run was not handed out, or its steps leave the trace without an end.
        """
        if run not in self._under_way:
            raise ValueError(f"run={run!r}; allowed: runs handed out by ready() and not yet entered")
        if not steps:
            raise ValueError(f"run={run!r}: no steps; allowed: at least one")
        self._under_way.remove(run)
        parent = run.node
        for step in steps:
            node = Node(len(self.nodes), parent, self.nodes[parent].depth + 1, run.model, step)
            twin = self._twin(parent, step)
            self.nodes.append(node)
            self.nodes[parent].children[run.model] = node.id
            if step.ending:
                texts = [*self.texts(parent), step.text]
                node.grade = self._grade(without_thoughts(self.rule.delimiter.join(texts)), self.problem)
                parent = node.id
            elif twin is not None:
                node.same_as = twin
                parent = twin
                self._want(twin, run.model)
            else:
                parent = node.id
                self._want(parent, run.model)

    def record(self, prompt_tokens: int | list[int]) -> dict[str, Any]:
        """The tree as one JSON object of the interchange form (docs/recording.md).

        Nodes are numbered in an order that does not depend on which run came back first: every node before its
        children, these by their models. Of children with the same text the smallest model's is the one that the others
        repeat.

        Args:
            prompt_tokens: tokens of the prompt; a list, one entry a model, where their tokenizers differ.
        """
        reference = self.problem.reference() | {"prompt_tokens": prompt_tokens}
        owners = self._owners()
        order = self._order(owners)
        numbers = {node: number for number, node in enumerate(order)}
        return {"problem": reference, "nodes": [self._entry(self.nodes[node], numbers, owners) for node in order]}

    def _owners(self) -> dict[int, int]:
        """Node that each node with the text of a sibling repeats, itself included: the smallest model's."""
        alike: dict[int, list[int]] = {}
        for node in self.nodes:
            alike.setdefault(node.id if node.same_as is None else node.same_as, []).append(node.id)
        smallest = [min(group, key=lambda node: self.nodes[node].model or 0) for group in alike.values()]
        return {node: owner for owner, group in zip(smallest, alike.values(), strict=True) for node in group}

    def _order(self, owners: Mapping[int, int]) -> list[int]:
        """All nodes, each before its children and these by their models; what is shared stands below its owner."""
        order, waiting = [], [0]
        while waiting:
            node = waiting.pop()
            order.append(node)
            if owners[node] == node:
                original = self.nodes[node].same_as
                children = self.nodes[node if original is None else original].children
                waiting += [children[model] for model in sorted(children, reverse=True)]
        return order

    def _reachable(self, node: int, model: int) -> bool:
        writer = self.nodes[node].model
        if writer is None or self.mode in ("route", "regenerate"):
            return True
        return model >= writer if self.mode == "escalate" else model == writer

    def _want(self, node: int, model: int) -> None:
        """Ask for all models at a new node, but for ``model``, which goes on by itself."""
        known = self.nodes[node].children.keys() | {run.model for run in self._wanted if run.node == node}
        known |= {run.model for run in self._under_way if run.node == node}
        for other in range(self.models):
            if other != model and other not in known and self._wants(node, model, other):
                self._wanted.append(Run(node, other))

    def _wants(self, node: int, writer: int, model: int) -> bool:
        if self.mode == "restart":  # a larger model begins at the root, where all are asked anyway
            return False
        return self.mode != "escalate" or model > writer

    def _twin(self, parent: int, step: Step) -> int | None:
        """Sibling with the same text that goes on, if there is one."""
        if step.ending:
            return None
        for child in self.nodes[parent].children.values():
            other = self.nodes[child]
            if (
                other.same_as is None
                and other.step is not None
                and not other.step.ending
                and other.step.text == step.text
            ):
                return child
        return None

    def _entry(self, node: Node, numbers: Mapping[int, int], owners: Mapping[int, int]) -> dict[str, Any]:
        parent = None if node.parent is None else numbers[owners[node.parent]]
        entry: dict[str, Any] = {"id": numbers[node.id], "parent": parent, "depth": node.depth}
        if node.step is None:
            return entry
        entry |= {"model": node.model, "text": node.step.text, "tokens": node.step.tokens}
        if node.depth == self.rule.horizon or node.step.first_tokens != node.step.tokens:
            entry["first_step_tokens"] = node.step.first_tokens
        if node.step.confidence is not None:
            entry |= node.step.confidence.rounded()
        if node.step.classes is not None:
            entry |= node.step.classes.rounded()
        if owners[node.id] != node.id:
            entry["same_as"] = numbers[owners[node.id]]
        if node.grade is not None:
            entry |= {"terminal": True, "final_answer": node.grade.answer, "correct": node.grade.correct}
            entry["ending"] = node.step.ending
        return entry
