"""Mistakes of a selection of problems, found before a model is loaded and told by file and line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from gym_stepwise_routing.datasets.problem import Problem
from gym_stepwise_routing.generators.generator import Generator
from gym_stepwise_routing.grading import GRADERS, Grading
from gym_stepwise_routing.recorder.finished_bank import split_rule_of
from gym_stepwise_routing.recorder.problem_selection import UNSPLIT, Selection
from gym_stepwise_routing.recorder.settings import RecordingSettings
from gym_stepwise_routing.types import SPLITS

__all__ = ["check_contexts", "check_selections", "notes", "repeated_questions", "without_duplicates"]

Placed = tuple[Selection, Problem]


def check_selections(selections: Sequence[Selection], grading: Grading) -> None:
    """Check that a bank can be built of the problems, and that their answers can be graded.

    Raises:
        ValueError: selections that are graded in different ways, a problem that is selected twice, a question that is
            in two splits, or a reference answer that the grader cannot read.
    """
    gradings = {selection.grading for selection in selections}
    if gradings != {grading}:
        raise ValueError(f"grading of the datasets is {sorted(gradings)}; allowed: one, {grading!r}")
    placed = [(selection, problem) for selection in selections for problem in selection.problems]
    twice = [identity for identity, count in Counter(problem.id for _, problem in placed).items() if count > 1]
    if twice:
        raise ValueError(f"dataset: {len(twice)} problems are selected twice, such as {twice[0]}; allowed: once each")
    pairs = [pair for pair in repeated_questions(selections) if pair[0][1].split != pair[1][1].split]
    if pairs:
        (one, first), (other, second) = pairs[0]
        raise ValueError(
            f"dataset: {len(pairs)} questions are in two splits, such as that of {one.place(first)}, in "
            f"{first.split!r}, and {other.place(second)}, in {second.split!r}; "
            "allowed: each in one, or --drop-duplicates"
        )
    spelled = [pair for pair in repeated_questions(selections) if pair[0][1].sha256 != pair[1][1].sha256]
    if spelled:  # their hashes may put them into different splits
        (one, first), (other, second) = spelled[0]
        raise ValueError(
            f"dataset: {len(spelled)} questions repeat another but for white space, such as that of "
            f"{other.place(second)} that of {one.place(first)}; allowed: one spelling, or --drop-duplicates"
        )
    grader = GRADERS.get(grading)
    if unreadable := [entry for entry in placed if not grader.reads(entry[1])]:
        selection, first = unreadable[0]
        raise ValueError(
            f"{len(unreadable)} reference answers cannot be graded, such as problem {first.id} "
            f"({selection.place(first)}): answer={first.answer!r}; allowed: {grader.allowed}"
        )


def repeated_questions(selections: Sequence[Selection]) -> list[tuple[Placed, Placed]]:
    """Each problem whose question was selected before, but for white space, behind the first with that question."""
    seen: dict[str, Placed] = {}
    pairs = []
    for selection in selections:
        for problem in selection.problems:
            first = seen.setdefault(" ".join(problem.question.split()), (selection, problem))
            if first[1] is not problem:
                pairs.append((first, (selection, problem)))
    return pairs


def without_duplicates(selections: Sequence[Selection]) -> tuple[Selection, ...]:
    """The selections with each question once: its first problem, in the order of the selections.

    Raises:
        ValueError: nothing is left of a selection.
    """
    dropped = {second.id for _, (_, second) in repeated_questions(selections)}
    kept = tuple(
        replace(selection, problems=tuple(p for p in selection.problems if p.id not in dropped))
        for selection in selections
    )
    for selection in kept:
        if not selection.problems:
            raise ValueError(f"dataset={selection.name!r}: all its questions were selected before; allowed: new ones")
    return kept


def notes(selections: Sequence[Selection], name: str) -> list[str]:
    """What a user may not expect of the bank that the problems make: how files are split, and questions that repeat.

    Args:
        selections: the problems.
        name: name of the bank, which its split rule hangs on.
    """
    told = []
    rule = split_rule_of(name, {problem.split for selection in selections for problem in selection.problems})
    for selection in selections:
        splits = Counter(rule.assign(problem.split, problem.sha256) for problem in selection.problems)
        if selection.problems[0].split == UNSPLIT:
            shares = ", ".join(f"{splits[split]} {split}" for split in SPLITS)
            told.append(
                f"{selection.file}: no @SPLIT, so its problems are split by the hash of their questions: {shares}"
            )
            empty = [split for split in SPLITS if not splits[split]]
            if empty:
                told.append(f"{selection.file}: nothing falls to {', '.join(empty)}; more problems, or another --name")
    if pairs := repeated_questions(selections):
        (one, first), (other, second) = pairs[0]
        told.append(
            f"{len(pairs)} problems repeat a question, such as {other.place(second)} that of {one.place(first)}; "
            "--drop-duplicates leaves them out"
        )
    if odd := [pair for pair in pairs if pair[0][1].answer.split() != pair[1][1].answer.split()]:
        (one, first), (other, second) = odd[0]
        told.append(
            f"{len(odd)} of them have another answer, such as {other.place(second)}, {second.answer!r}, and "
            f"{one.place(first)}, {first.answer!r}: one of the two is graded by a wrong reference"
        )
    return told


def check_contexts(
    selections: Sequence[Selection], generators: Sequence[Generator], settings: RecordingSettings
) -> None:
    """Check that every prompt leaves room for an answer in every model whose context is known.

    Raises:
        ValueError: one does not.
    """
    placed = [(selection, problem) for selection in selections for problem in selection.problems]
    prompts = [settings.prompt.fill(problem.question) for _, problem in placed]
    for generator in generators:
        context = generator.info().context
        if context is None:
            continue
        counts = generator.count(prompts)
        if long := [number for number, count in enumerate(counts) if count >= context]:
            selection, problem = placed[long[0]]
            raise ValueError(
                f"{generator.name}: {len(long)} prompts do not fit its context of {context} tokens, such as that of "
                f"{selection.place(problem)}, {counts[long[0]]} tokens; allowed: rows that fit, or a larger context"
            )
