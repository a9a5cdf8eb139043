"""A deterministic source, tabulated: the rules run ahead of time over every sequence of decisions.

A row of the table stands for one sequence of decisions on one problem. Banks merge identical prefixes, but what was
spent on them depends on who wrote them, so the table unrolls what the bank has merged. Playing is then a matter of
look-ups, with exactly the numbers that :class:`gym_stepwise_routing.game.transitions.Rules` gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.errors import TooManyPathsError
from gym_stepwise_routing.game.transitions import Play, Rules

__all__ = ["GameTable", "count_rows", "tabulate"]

MAX_BYTES = 1 << 29
"""Most bytes of a table, some 1.7 million rows of two models. While it is built it takes three times as much."""


@dataclass(frozen=True, slots=True, eq=False)
class GameTable:
    """Every sequence of decisions of a game. ``N`` rows, parents before children; arrays are read-only.

    Attributes:
        problems: ``int64[P]`` problem numbers, in the order of ``roots``.
        roots: ``int32[P]`` row of the first decision on each problem.
        child: ``int32[N, K]`` row after each action, -1 where the action is masked.
        problem: ``int32[N]`` position of the row's problem in ``problems``.
        observation: ``float32[N, features]``, budget columns 0.
        cost: ``float64[N]`` cost so far, normalised.
        raw_cost: ``float64[N]`` cost so far in the cost unit.
        ledger: ``int64[N, rows, kinds]`` spent so far.
        mask: ``bool[N, K]`` allowed actions.
        depth: ``int32[N]`` steps so far, in *restart* those of attempts that were left included.
        terminal: ``bool[N]`` the trace has ended with (or without) an answer.
        correct: ``bool[N]`` the answer is right.
        stuck: ``bool[N]`` no action is left.
        capped: ``bool[N]`` the trace has as many steps as a trace may have.
        node: ``int64[N]`` the source's own row (``latent["node"]``), -1 if it has none; for texts.
        draft: ``int64[N]`` the source's row of the pending draft (*regenerate*), -1 if there is none.
    """

    problems: NDArray[np.int64]
    roots: NDArray[np.int32]
    child: NDArray[np.int32]
    problem: NDArray[np.int32]
    observation: NDArray[np.float32]
    cost: NDArray[np.float64]
    raw_cost: NDArray[np.float64]
    ledger: NDArray[np.int64]
    mask: NDArray[np.bool_]
    depth: NDArray[np.int32]
    terminal: NDArray[np.bool_]
    correct: NDArray[np.bool_]
    stuck: NDArray[np.bool_]
    capped: NDArray[np.bool_]
    node: NDArray[np.int64]
    draft: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.child)

    def __deepcopy__(self, memo: dict[int, object]) -> GameTable:
        """Its arrays are read-only: copies of an environment share them."""
        return self


def tabulate(rules: Rules, problems: NDArray[np.int64], normaliser: float) -> GameTable:
    """Table of all decisions on ``problems``, level by level, after their number has been counted.

    Raises:
        ValueError: the source is not deterministic.
        TooManyPathsError: the table would need more than ``MAX_BYTES``; nothing of it has been built.
    """
    if not rules.source.deterministic:
        raise ValueError(f"source={rules.source.name!r} is random; allowed: a deterministic source such as a bank")
    rng = np.random.default_rng(0)  # a deterministic source draws nothing from it
    models = len(rules.source.pool)
    play = rules.start(problems, rng)
    problem = np.arange(len(problems), dtype=np.int32)
    levels: list[dict[str, NDArray[Any]]] = []
    offset = 0
    while True:
        level = {"problem": problem, "child": np.full((len(play), models), -1, dtype=np.int32)}
        level |= _level(rules, play, normaliser)
        if not levels:
            most = MAX_BYTES // max(sum(part[:1].nbytes for part in level.values()), 1)
            if len(play) * sum(models**depth for depth in range(rules.longest + 1)) > most:  # else it fits
                count_rows(rules, play, most=most)
        parents, actions = np.nonzero(level["mask"])
        offset += len(play)
        level["child"][parents, actions] = offset + np.arange(len(parents))
        levels.append(level)
        if len(parents) == 0:
            break
        play = rules.step(play.take(parents), actions, rng)
        problem = problem[parents]
    names = list(levels[0])
    columns = {name: np.concatenate([level.pop(name) for level in levels]) for name in names}  # never held twice
    columns |= {"problems": problems.copy(), "roots": np.arange(len(problems), dtype=np.int32)}
    for column in columns.values():
        column.flags.writeable = False
    return GameTable(**columns)


def count_rows(rules: Rules, play: Play, *, most: int) -> int:
    """Rows of the table that begins with the plays ``play``, without unrolling: what goes on alike is walked once.

    Raises:
        TooManyPathsError: there are more than ``most``.
    """
    rng = np.random.default_rng(0)
    paths = np.ones(len(play), dtype=np.int64)
    total = len(play)
    while total <= most:
        parents, actions = np.nonzero(rules.masks(play))
        if len(parents) == 0:
            return total
        paths = paths[parents]
        total += int(paths.sum())
        if total <= most:
            play, paths = _merged(rules.step(play.take(parents), actions, rng), paths)
    other = "" if rules.mode == "escalate" or "escalate" not in rules.source.modes else ", or mode='escalate'"
    raise TooManyPathsError(
        f"source={rules.source.name!r}, mode={rules.mode!r} has more sequences of decisions than a table of "
        f"{MAX_BYTES:,} bytes holds; allowed: fewer problems, fewer models, a shorter horizon{other}"
    )


def _merged(play: Play, paths: NDArray[np.int64]) -> tuple[Play, NDArray[np.int64]]:
    """One play of those whose traces are the same to the source, and how many paths have led to it."""
    trace = play.trace
    parts = [trace.problem, trace.depth, trace.model, trace.terminal, trace.available, *trace.latent.values()]
    if any(part.dtype.hasobject for part in parts):
        return play, paths
    rows = np.hstack([np.ascontiguousarray(part).reshape(len(play), -1).view(np.uint8) for part in parts])
    keys = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.shape[1])))[:, 0]
    _, first, place = np.unique(keys, return_index=True, return_inverse=True)
    if len(first) == len(play):
        return play, paths
    sums = np.zeros(len(first), dtype=np.int64)
    np.add.at(sums, place, paths)
    return play.take(first), sums


def _level(rules: Rules, play: Play, normaliser: float) -> dict[str, NDArray[Any]]:
    raw = rules.cost(play)
    mask = rules.masks(play)
    none = np.full(len(play), -1, dtype=np.int64)
    drafting = rules.mode == "regenerate"
    drafts = none if play.lookahead is None or not drafting else play.lookahead.latent.get("node", none)
    return {
        "observation": rules.observe(play, normaliser),
        "cost": raw / normaliser,
        "raw_cost": raw,
        "ledger": play.account.ledger,
        "mask": mask,
        "depth": play.depth.astype(np.int32),
        "terminal": play.trace.terminal,
        "correct": play.trace.correct,
        "stuck": np.logical_not(mask.any(axis=1)),
        "capped": play.trace.depth >= rules.source.horizon,
        "node": play.trace.latent.get("node", none),
        "draft": np.where(play.drafted, drafts, -1),
    }
