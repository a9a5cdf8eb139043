"""A deterministic source, tabulated: the rules run ahead of time over every sequence of decisions.

A row of the table stands for one sequence of decisions on one problem. Banks merge identical prefixes, but what was
spent on them depends on who wrote them, so the table unrolls what the bank has merged. Playing is then a matter of
look-ups, with exactly the numbers that :class:`gym_stepwise_routing.game.transitions.Rules` gives.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.game.transitions import Play, Rules

__all__ = ["GameTable", "tabulate"]

MAX_ROWS = 20_000_000
"""Most rows of a table; beyond, the unrolled tree no longer fits a workstation's memory."""


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
        ledger: ``int32[N, rows, kinds]`` spent so far.
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
    ledger: NDArray[np.int32]
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
    """Table of all decisions on ``problems``, level by level.

    Raises:
        ValueError: the source is not deterministic, or the unrolled tree has more than ``MAX_ROWS`` rows.
    """
    if not rules.source.deterministic:
        raise ValueError(f"source={rules.source.name!r} is random; allowed: a deterministic source such as a bank")
    rng = np.random.default_rng(0)  # a deterministic source draws nothing from it
    models = len(rules.source.pool)
    levels: list[dict[str, NDArray[np.generic]]] = []
    play = rules.start(problems, rng)
    problem = np.arange(len(problems), dtype=np.int32)
    offset = 0
    while len(play):
        level = _level(rules, play, normaliser)
        level["problem"] = problem
        rows, actions = np.nonzero(level["mask"])
        child = np.full((len(play), models), -1, dtype=np.int32)
        offset += len(play)
        if offset + len(rows) > MAX_ROWS:
            raise ValueError(
                f"source={rules.source.name!r} unrolls to more than {MAX_ROWS:,} sequences of decisions; "
                "allowed: fewer problems, a shorter horizon, or mode='escalate'"
            )
        child[rows, actions] = offset + np.arange(len(rows))
        level["child"] = child
        levels.append(level)
        if len(rows) == 0:
            break
        play = rules.step(play.take(rows), actions, rng)
        problem = problem[rows]
    columns = {name: np.concatenate([level[name] for level in levels]) for name in levels[0]}
    columns |= {"problems": problems.copy(), "roots": np.arange(len(problems), dtype=np.int32)}
    for column in columns.values():
        column.flags.writeable = False
    return GameTable(**columns)  # type: ignore[arg-type]


def _level(rules: Rules, play: Play, normaliser: float) -> dict[str, NDArray[np.generic]]:
    raw = rules.cost(play)
    mask = rules.masks(play)
    none = np.full(len(play), -1, dtype=np.int64)
    drafting = rules.mode == "regenerate"
    drafts = none if play.lookahead is None or not drafting else play.lookahead.latent.get("node", none)
    return {
        "observation": rules.observe(play, normaliser),
        "cost": raw / normaliser,
        "raw_cost": raw,
        "ledger": play.account.ledger.astype(np.int32),
        "mask": mask,
        "depth": play.depth.astype(np.int32),
        "terminal": play.trace.terminal,
        "correct": play.trace.correct,
        "stuck": np.logical_not(mask.any(axis=1)),
        "capped": play.trace.depth >= rules.source.horizon,
        "node": play.trace.latent.get("node", none),
        "draft": np.where(play.drafted, drafts, -1),
    }
