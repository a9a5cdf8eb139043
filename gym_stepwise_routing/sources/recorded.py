"""Recorded steps: a bank as a step source. A step is one look-up in the child table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.sources.contract import ProblemBatch, SourceState
from gym_stepwise_routing.types import CONFIDENCE, Split

__all__ = ["BankSource"]

_PROBE = [CONFIDENCE.index("entropy_first"), CONFIDENCE.index("margin_first")]


class BankSource:
    """Plays the recorded trees of a bank (see :class:`gym_stepwise_routing.sources.contract.StepSource`).

    The latent state is the node that the trace has reached. A model is available where its next step was recorded.

    Args:
        bank: the bank, or what :meth:`gym_stepwise_routing.banks.bank.Bank.open` takes.
    """

    kind: ClassVar[Literal["bank", "simulator", "live"]] = "bank"
    deterministic = True

    def __init__(self, bank: Bank | str | Path) -> None:
        self.bank = bank if isinstance(bank, Bank) else Bank.open(bank)
        self.name = self.bank.name
        self.simulated = self.bank.manifest.simulated
        self.pool = self.bank.pool
        self.horizon = self.bank.manifest.horizon
        self.scores = self.pool.verifier is not None and bool(np.isfinite(self.bank.score).any())
        self.modes = self.bank.manifest.modes
        self.feedback = self.bank.nodes.feedback is not None

    def problems(self, split: Split) -> NDArray[np.int64]:
        """Problems of a split, ascending."""
        return self.bank.split_problems(split)

    def describe(self, problems: NDArray[np.int64]) -> ProblemBatch:
        """Prompt lengths and question counts of the problems."""
        prompt_tokens = self.bank.problems.prompt_tokens[problems]
        shared = np.asarray(self.bank.manifest.prompt.shared_prefix_tokens, dtype=np.int64)
        return ProblemBatch(
            prompt_tokens=prompt_tokens,
            shared_prefix=np.broadcast_to(shared, prompt_tokens.shape).copy(),
            question=self.bank.problems.question[problems],
        )

    def problem_ids(self, problems: NDArray[np.int64]) -> Sequence[str]:
        """Public ids, such as ``gsm8k/test/17``."""
        return [self.bank.problem_ids[problem] for problem in problems]

    def start(self, problems: NDArray[np.int64], rng: np.random.Generator) -> SourceState:
        """The roots of the problems; nothing is drawn from ``rng``."""
        return self._at(self.bank.problems.root[problems].astype(np.int64))

    def step(self, state: SourceState, models: NDArray[np.int64], rng: np.random.Generator) -> SourceState:
        """The recorded step of each model; nothing is drawn from ``rng``.

        Raises:
            ValueError: a step that was not recorded.
        """
        nodes = self.bank.child[state.latent["node"], models].astype(np.int64)
        if (nodes < 0).any():
            row = int(np.argmax(nodes < 0))
            problem = self.bank.problem_ids[state.problem[row]]
            allowed = np.flatnonzero(state.available[row]).tolist()
            raise ValueError(
                f"models[{row}]={models[row]}: bank {self.name!r} has no such step of {problem} at depth "
                f"{state.depth[row]}; allowed: {allowed or 'none, the trace has ended'}"
            )
        return self._at(nodes)

    def probe(
        self, state: SourceState, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], SourceState]:
        """First-token figures of the smallest model's recorded step, NaN where missing, and the state after it.

        Where the step was not recorded, that state is the trace as it was, marked as failed.
        """
        nodes = state.latent["node"]
        ahead = self.bank.child[nodes, 0].astype(np.int64)
        recorded = ahead >= 0
        target = np.where(recorded, ahead, nodes)
        figures = np.where(recorded[:, None], self.bank.confidence[target][:, _PROBE], np.float32(np.nan))
        return figures, recorded, self._at(target, failed=~recorded)

    def texts(self, latent: dict[str, NDArray[Any]]) -> Sequence[str]:
        """Text of the last steps; '' at a root and where texts were not recorded."""
        return [self.bank.text(node) or "" for node in latent["node"]]

    def _at(self, nodes: NDArray[np.int64], failed: NDArray[np.bool_] | None = None) -> SourceState:
        arrays = self.bank.nodes
        return SourceState(
            problem=arrays.problem[nodes].astype(np.int64),
            depth=arrays.depth[nodes].astype(np.int64),
            model=arrays.model[nodes].astype(np.int64),
            tokens=arrays.tokens[nodes].astype(np.int64),
            confidence=arrays.confidence[nodes],
            score=arrays.score[nodes],
            terminal=arrays.terminal[nodes],
            correct=arrays.correct[nodes],
            available=arrays.child[nodes] >= 0,
            failed=np.zeros(len(nodes), dtype=np.bool_) if failed is None else failed,
            latent={"node": nodes},
            feedback=None if arrays.feedback is None else arrays.feedback[nodes],
            context=None if arrays.context is None else arrays.context[nodes],
        )
