"""InterCode's released SQL trajectories (Yang et al., arXiv 2306.14898; MIT), read and checked.

A run is a model's turns on one task: each turn a command, what the database answered, and a reward of at most 1. It
ends at a reward of 1, which is told to the model, after ten turns, or where the provider blocked the request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gym_stepwise_routing.storage.strict_json import read_json

__all__ = ["LIMIT", "Run", "Turn", "read_runs", "row_ends"]

LIMIT = 10
"""Most turns of a run."""
_BLOCKED = "blocked"  # how the release writes a request that the provider refused


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn.

    Attributes:
        action: the command, as the release has it: without what the model wrote around it.
        answer: what the database answered; None where the provider blocked the request.
        reward: the reward, in [-1, 1].
        valid: the command was one, and ran.
    """

    action: str
    answer: str | None
    reward: float
    valid: bool


@dataclass(frozen=True, slots=True)
class Run:
    """The turns of one model on one task.

    Attributes:
        query: the question.
        turns: the turns, 1 to ``LIMIT``.
    """

    query: str
    turns: tuple[Turn, ...]

    @property
    def right(self) -> bool:
        """Whether the last reward is 1."""
        return self.turns[-1].reward == 1


def read_runs(path: Path) -> Mapping[int, Run]:
    """The runs of one model by task.

    Args:
        path: one of the released files, ``.json.gz``.

    Raises:
        ValueError: a run without a reward or an answer for each turn, of more turns than ``LIMIT``, or that stops or
            goes on where it should not; the message names file and task.
    """
    tasks: dict[str, Any] = read_json(path)
    runs = {}
    for number, task in tasks.items():
        try:
            runs[int(number)] = _run(task["query"], task["turn_history"])
        except (ValueError, KeyError) as error:
            fault = f"no {error}" if isinstance(error, KeyError) else error
            raise ValueError(f"{path}: task {number}: {fault}") from None
    return runs


def _run(query: str, history: Mapping[str, Sequence[Any]]) -> Run:
    actions, rewards = history["actions"], history["rewards"]
    answers, valid = history["observations"], history["valid_action"]
    if not 1 <= len(actions) <= LIMIT:
        raise ValueError(f"{len(actions)} turns; allowed: 1 to {LIMIT}")
    if len(rewards) != len(actions):
        raise ValueError(f"{len(actions)} turns and {len(rewards)} rewards; allowed: one a turn")
    blocked = actions[-1] == _BLOCKED and len(answers) == len(actions) - 1
    answered = len(actions) - blocked
    if not len(answers) == len(valid) == answered:
        raise ValueError(f"{answered} commands, {len(answers)} answers and {len(valid)} flags; allowed: equally many")
    if 1 in rewards[:-1]:
        raise ValueError(f"goes on after reward 1 at turn {rewards.index(1) + 1}; allowed: it ends there")
    if rewards[-1] != 1 and not blocked and len(actions) < LIMIT:
        raise ValueError(f"stops after {len(actions)} turns without reward 1; allowed: {LIMIT} turns, or 'blocked'")
    turns = [
        Turn(action, answer, float(reward), bool(flag))
        for action, answer, reward, flag in zip(actions, [*answers, None], rewards, [*valid, False], strict=False)
    ]
    return Run(query, tuple(turns))


def row_ends(answer: str) -> list[int] | None:
    """Where the rows of a table end in its text, a Python list of tuples; None if the answer is no table.

    Example:
        >>> row_ends("[('a, b', 1), (None,)]")
        [12, 21]
    """
    if not (answer.startswith("[") and answer.endswith("]")):
        return None
    ends, depth, quote, skip = [], 0, "", False
    for place, letter in enumerate(answer[1:-1], start=1):
        if quote:  # within a string, whose own quotes are escaped
            if skip:
                skip = False
            elif letter == "\\":
                skip = True
            elif letter == quote:
                quote = ""
        elif letter in "'\"":
            quote = letter
        elif letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
            if depth == 0:
                ends.append(place + 1)
    return ends
