"""One line of the JSON Lines form: a problem and the tree that was recorded of it (see ``docs/banks.md``)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from gym_stepwise_routing.errors import BankError
from gym_stepwise_routing.storage.lines import numbered_lines
from gym_stepwise_routing.storage.strict_json import decode, parse_json

__all__ = [
    "NODE_KEYS",
    "PROBLEM_KEYS",
    "NodeRecord",
    "ProblemRecord",
    "TreeRecord",
    "read_trees",
    "tree_record",
]

_INT32 = 2**31 - 1


def _check_integers(record: object, **lowest: int) -> None:
    for name, low in lowest.items():
        value = getattr(record, name)
        if value is not None and not low <= value <= _INT32:
            raise ValueError(f"{name} is {value!r}; allowed: {low} to {_INT32}")


def _check_texts(*texts: str | None) -> None:
    for text in texts:
        if text is not None:
            text.encode()  # a lone surrogate, which JSON can spell, is a ValueError


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemRecord:
    """A problem, without its text.

    Args:
        dataset: name of the dataset.
        split: split of the official data.
        index: row of the official file.
        question_sha256: SHA-256 of the question's UTF-8 text.
        answer: reference answer.
        prompt_tokens: tokens of the whole prompt; one figure if all models count alike, else one a model.
    """

    dataset: str
    split: str
    index: int
    question_sha256: str
    answer: str
    prompt_tokens: int | tuple[int, ...]

    def __post_init__(self) -> None:
        _check_integers(self, index=0)
        _check_texts(self.dataset, self.split, self.question_sha256, self.answer)
        if not all(1 <= figure <= _INT32 for figure in self.prompt_figures):
            raise ValueError(f"prompt_tokens is {self.prompt_tokens!r}; allowed: 1 to {_INT32}")

    @property
    def prompt_figures(self) -> tuple[int, ...]:
        """``prompt_tokens`` as a tuple: one figure, or one a model."""
        return self.prompt_tokens if isinstance(self.prompt_tokens, tuple) else (self.prompt_tokens,)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """A node: a root (``id``, ``parent`` null and ``depth`` 0 only), or a step.

    Args:
        id: number within the tree.
        parent: id of the node one step earlier.
        depth: steps so far.
        model: who wrote the step.
        text: the step.
        tokens: how many tokens it has.
        first_step_tokens: tokens that its figures are taken over where these are not all: those of the first line
            where a step at the horizon is a whole tail, those that the server told where it hid some.
        logprob_sum: sum over the chosen tokens (of the first line), natural log; so are the others.
        logprob_min: the least of them.
        entropy_mean: nats, from the top log-probabilities and a bucket for the rest.
        entropy_max: the largest of them.
        entropy_first: at the first token of the step.
        margin_first: probability of the most likely minus the second token, at the first token of the step.
        margin_mean: the mean over the step.
        margin_min: the least of the step.
        top1_mean: mean probability of the most likely token.
        verifier_score: a verifier's score of the step, in [0, 1].
        terminal: true where the trace has ended, else absent.
        final_answer: answer of an ended trace, null if it gives none.
        correct: whether that is right.
        ending: why the trace ended: a stated answer, the end of the text or a stop string, the token limit, or
            repetition; absent where nobody kept it.
        same_as: id of the sibling with the same text, whose children serve this node too.
        context_tokens: all input tokens of the call that wrote the step, where they are not the prompt and the steps
            before; this and the rest only where an environment answers the steps.
        answer_error: the environment answered with an error, or the step held no action.
        answer_rows: rows of its answer; absent where that is no table.
        answer_repeat: the trace has taken the same action before.
        propensity: probability with which the step was chosen at its place, in (0, 1]; only where a server explored.
        table_tokens: how many of the tokens that the figures are taken over stand in a word or number of the problem's
            table; this and the rest only where it has one. Both counts are there, or none.
        table_logprob_mean: mean log-probability of these; absent, as the next two, where there are none.
        table_logprob_min: the least of them.
        table_entropy_mean: mean entropy at these, nats.
        other_tokens: how many of the tokens do not.
        other_logprob_mean: mean log-probability of these; absent, as the next two, where there are none.
        other_logprob_min: the least of them.
        other_entropy_mean: mean entropy at these, nats.
    """

    id: int
    parent: int | None
    depth: int
    model: int | None = None
    text: str | None = None
    tokens: int | None = None
    first_step_tokens: int | None = None
    logprob_sum: float | None = None
    logprob_min: float | None = None
    entropy_mean: float | None = None
    entropy_max: float | None = None
    entropy_first: float | None = None
    margin_first: float | None = None
    margin_mean: float | None = None
    margin_min: float | None = None
    top1_mean: float | None = None
    verifier_score: float | None = None
    terminal: bool | None = None
    final_answer: str | None = None
    correct: bool | None = None
    ending: Literal["answer", "stop", "length", "repetition"] | None = None
    same_as: int | None = None
    context_tokens: int | None = None
    answer_error: bool | None = None
    answer_rows: int | None = None
    answer_repeat: bool | None = None
    propensity: float | None = None
    table_tokens: int | None = None
    table_logprob_mean: float | None = None
    table_logprob_min: float | None = None
    table_entropy_mean: float | None = None
    other_tokens: int | None = None
    other_logprob_mean: float | None = None
    other_logprob_min: float | None = None
    other_entropy_mean: float | None = None

    def __post_init__(self) -> None:
        _check_integers(self, id=0, depth=0, model=0, tokens=1, first_step_tokens=1, context_tokens=1, answer_rows=0)
        _check_integers(self, table_tokens=0, other_tokens=0)
        _check_texts(self.text, self.final_answer)
        if self.propensity is not None and not 0 < self.propensity <= 1:
            raise ValueError(f"propensity is {self.propensity!r}; allowed: above 0, at most 1")
        if self.parent is None and not all(getattr(self, name) is None for name in NODE_KEYS[3:]):
            raise ValueError("a node without a parent has a step; allowed: id, parent and depth only")
        if self.parent is not None and (self.model is None or self.tokens is None):
            raise ValueError("a step without model or tokens; allowed: both")


PROBLEM_KEYS = tuple(field.name for field in fields(ProblemRecord))
NODE_KEYS = tuple(field.name for field in fields(NodeRecord))
_ENDING = {"terminal", "final_answer", "correct"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeRecord:
    """A problem and the nodes of its tree, in any order."""

    problem: ProblemRecord
    nodes: tuple[NodeRecord, ...]


def read_trees(path: Path) -> Iterator[tuple[int, TreeRecord]]:
    """Line number and tree of every line that is not blank.

    Raises:
        BankError: missing or unreadable file; malformed line, or unknown, missing or wrong key in it. The message names
            the file, the line and the key.
    """
    for number, line in numbered_lines(path, BankError):
        if line.strip():
            where = f"{path}: line {number}"
            yield number, tree_record(parse_json(line, where, BankError), where)


def tree_record(value: Any, where: str) -> TreeRecord:
    """The tree of one JSON object.

    Raises:
        BankError: an unknown, missing or wrong key; the message names it, after ``where``.
    """
    tree: TreeRecord = decode(TreeRecord, value, where, error=BankError)
    for number, node in enumerate(value["nodes"]):
        place = f"{where}: key 'nodes[{number}]'"
        # A key that is null says no more than one that is absent, and could not be told from it on export.
        if null := [key for key, item in node.items() if item is None and key not in ("parent", "final_answer")]:
            raise BankError(f"{place}: {null[0]} is null; allowed: a value, or no such key")
        if (_ENDING & node.keys()) not in (set(), _ENDING) or node.get("terminal") is False:
            raise BankError(f"{place}: an ended trace has terminal: true, final_answer and correct, an open one none")
        if "ending" in node and "terminal" not in node:
            raise BankError(f"{place}: ending is {node['ending']!r} of an open trace; allowed: no such key")
    return tree
