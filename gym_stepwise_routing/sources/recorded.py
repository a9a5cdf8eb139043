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
    Where several samples of it were recorded, the source is random: each is as likely.

    Args:
        bank: the bank, or what :meth:`gym_stepwise_routing.banks.bank.Bank.open` takes.
    """

    kind: ClassVar[Literal["bank", "simulator", "live"]] = "bank"

    def __init__(self, bank: Bank | str | Path) -> None:
        self.bank = bank if isinstance(bank, Bank) else Bank.open(bank)
        self.name = self.bank.name
        self.simulated = self.bank.manifest.simulated
        self.pool = self.bank.manifest.played
        self.samples = self.bank.manifest.samples or 1
        self.deterministic = self.samples == 1
        self.horizon = self.bank.manifest.horizon
        self.scores = self.pool.verifier is not None and bool(np.isfinite(self.bank.score).any())
        self.modes = self.bank.manifest.modes
        self.feedback = self.bank.nodes.feedback is not None
        self.token_classes = self.bank.nodes.classes is not None

    def problems(self, split: Split) -> NDArray[np.int64]:
        """Problems of a split, ascending."""
        return self.bank.split_problems(split)

    def describe(self, problems: NDArray[np.int64]) -> ProblemBatch:
        """Prompt lengths and question counts of the problems."""
        prompt_tokens = self.bank.problems.prompt_tokens[problems][:, :: self.samples]
        shared = np.asarray(self.bank.manifest.prompt.shared_prefix_tokens, dtype=np.int64)[:: self.samples]
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
        """The recorded step of each model; nothing is drawn from ``rng`` where each has one.

        Raises:
            ValueError: a step that was not recorded.
        """
        nodes = self._drawn(state.latent["node"], models, rng)
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
        ahead = self._drawn(nodes, np.zeros(len(nodes), dtype=np.int64), rng)
        recorded = ahead >= 0
        target = np.where(recorded, ahead, nodes)
        figures = np.where(recorded[:, None], self.bank.confidence[target][:, _PROBE], np.float32(np.nan))
        return figures, recorded, self._at(target, failed=~recorded)

    def step_sample(self, state: SourceState, models: NDArray[np.int64], sample: int) -> tuple[SourceState, Any]:
        """The state after one sample (0 to ``samples - 1``) of each step, and ``bool[B]`` where there is none."""
        nodes = self.bank.child[state.latent["node"], models * self.samples + sample].astype(np.int64)
        return self._at(np.where(nodes < 0, state.latent["node"], nodes)), nodes < 0

    def _drawn(
        self, nodes: NDArray[np.int64], models: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Node after each model's step, -1 where it was not recorded; of several samples one is drawn."""
        if self.samples == 1:
            return self.bank.child[nodes, models].astype(np.int64)
        columns = models[:, None] * self.samples + np.arange(self.samples)
        children = self.bank.child[nodes[:, None], columns].astype(np.int64)
        chosen = np.argmax(np.where(children >= 0, rng.random(children.shape), -1.0), axis=1)
        drawn: NDArray[np.int64] = children[np.arange(len(children)), chosen]
        return drawn

    def texts(self, latent: dict[str, NDArray[Any]]) -> Sequence[str]:
        """Text of the last steps; '' at a root and where texts were not recorded."""
        return [self.bank.text(node) or "" for node in latent["node"]]

    def _at(self, nodes: NDArray[np.int64], failed: NDArray[np.bool_] | None = None) -> SourceState:
        arrays = self.bank.nodes
        recorded: NDArray[np.bool_] = arrays.child[nodes] >= 0
        if self.samples > 1:
            recorded = np.asarray(recorded.reshape(len(nodes), -1, self.samples).any(axis=2))
        return SourceState(
            problem=arrays.problem[nodes].astype(np.int64),
            depth=arrays.depth[nodes].astype(np.int64),
            model=arrays.model[nodes].astype(np.int64) // self.samples,
            tokens=arrays.tokens[nodes].astype(np.int64),
            confidence=arrays.confidence[nodes],
            score=arrays.score[nodes],
            terminal=arrays.terminal[nodes],
            correct=arrays.correct[nodes],
            available=recorded,
            failed=np.zeros(len(nodes), dtype=np.bool_) if failed is None else failed,
            latent={"node": nodes},
            feedback=None if arrays.feedback is None else arrays.feedback[nodes],
            context=None if arrays.context is None else arrays.context[nodes],
            classes=None if arrays.classes is None else arrays.classes[nodes],
        )
