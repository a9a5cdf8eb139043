"""Contract 1: where the next step comes from.

A source answers two questions, always for a batch of traces at once: how does a problem start, and what does the trace
look like once model *m* has written the next step. It knows nothing of money, budgets, observations or rewards; those
are rules (:mod:`gym_stepwise_routing.game.transitions`) and hold alike for recorded, simulated and live steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.costs.models import ModelPool
from gym_stepwise_routing.types import Batch, SourceKind, Split

__all__ = ["ProblemBatch", "SourceState", "StepSource", "tells_token_classes"]


@dataclass(frozen=True, slots=True)
class ProblemBatch(Batch):
    """What is known of ``B`` problems before the first step.

    Attributes:
        prompt_tokens: ``int64[B, K]`` tokens of the whole prompt, as each model's tokenizer counts them; 0 for a
            model that could not count them and is therefore not available.
        shared_prefix: ``int64[B, K]`` how many of them are the same for every problem, hence served by a prefix cache;
            0 for such a model, too.
        question: ``float32[B, len(QUESTION)]``, NaN where unknown.
        shown: the block ``question`` of the observation, once the rules have worked it out; of a source None.
    """

    prompt_tokens: NDArray[np.int64]
    shared_prefix: NDArray[np.int64]
    question: NDArray[np.float32]
    shown: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class SourceState(Batch):
    """``B`` traces. Every array has ``B`` rows; a state is never changed, a step makes a new one.

    Attributes:
        problem: ``int64[B]`` problem number within the source.
        depth: ``int64[B]`` steps written so far.
        model: ``int64[B]`` model that wrote the last step, -1 at the start.
        tokens: ``int64[B]`` tokens of the last step, 0 at the start.
        confidence: ``float32[B, len(CONFIDENCE)]`` of the last step, NaN where missing.
        score: ``float32[B]`` verifier score of the last step in [0, 1], NaN where missing.
        terminal: ``bool[B]`` the trace has ended with (or without) an answer.
        correct: ``bool[B]`` the final answer is right; False until terminal.
        available: ``bool[B, K]`` models that can write the next step. All False only where the trace has ended.
        failed: ``bool[B]`` the model that was asked did not deliver: the trace is as before, without that model.
        latent: whatever the source needs to go on, as arrays with ``B`` rows.
        feedback: ``float32[B, len(FEEDBACK)]`` what the environment answered to the last step, NaN where missing; None
            of a source in which no environment answers.
        context: ``int64[B]`` all input tokens of the call that wrote the last step, where the source recorded them, -1
            where the rules have to count; None of a source that records none.
        served: ``int64[B]`` input tokens that the server of the model that wrote the last step says its cache served,
            -1 where it says nothing; None of a source without servers.
        classes: ``float32[B, len(TOKEN_CLASS_FIGURES)]`` of the last step, NaN where missing; None of a source that
            does not tell tokens by their class.
    """

    problem: NDArray[np.int64]
    depth: NDArray[np.int64]
    model: NDArray[np.int64]
    tokens: NDArray[np.int64]
    confidence: NDArray[np.float32]
    score: NDArray[np.float32]
    terminal: NDArray[np.bool_]
    correct: NDArray[np.bool_]
    available: NDArray[np.bool_]
    failed: NDArray[np.bool_]
    latent: dict[str, NDArray[Any]]
    feedback: NDArray[np.float32] | None = None
    context: NDArray[np.int64] | None = None
    served: NDArray[np.int64] | None = None
    classes: NDArray[np.float32] | None = None


@runtime_checkable
class StepSource(Protocol):
    """Source of reasoning steps. Implementations: bank (recorded), simulator (measured constants), live (generators).

    Attributes:
        kind: which of the three it is; its number in ``types.SOURCES`` is ``info["source"]``.
        name: name of the bank, the preset or the live pool.
        simulated: True if any figure comes from a random process instead of a language model.
        pool: the models, smallest first.
        horizon: most steps a trace can have; a trace that has not ended by then is truncated.
        scores: whether the pool's verifier scores steps; a step without a score is possible all the same.
        deterministic: the same choices always give the same trace, so that the game can be tabulated.
        modes: the modes that it can be played in, some of ``route``, ``escalate``, ``regenerate``, ``restart``.
        feedback: whether steps are actions that an environment answers; one without an answer is possible all the same.
    """

    kind: ClassVar[SourceKind]
    name: str
    simulated: bool
    pool: ModelPool
    horizon: int
    scores: bool
    deterministic: bool
    modes: tuple[str, ...]
    feedback: bool

    def problems(self, split: Split) -> NDArray[np.int64]:
        """Numbers of the problems of a split (finite sources), or of the problems that it may draw from."""
        ...

    def describe(self, problems: NDArray[np.int64]) -> ProblemBatch:
        """What is known of the problems before the first step."""
        ...

    def problem_ids(self, problems: NDArray[np.int64]) -> Sequence[str]:
        """Stable public ids, for example ``gsm8k/test/17``."""
        ...

    def start(self, problems: NDArray[np.int64], rng: np.random.Generator) -> SourceState:
        """State before the first step of each problem."""
        ...

    def step(self, state: SourceState, models: NDArray[np.int64], rng: np.random.Generator) -> SourceState:
        """State after ``models[b]`` has written the next step of trace ``b`` (never called for ended traces)."""
        ...

    def probe(
        self, state: SourceState, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], SourceState | None]:
        """Smallest model's first token of the next step: ``float32[B, 2]`` (entropy in nats, top-1 minus top-2 margin).

        The second part, ``bool[B]``, says where the token was decoded, be its figures known or not. The third is the
        state after the smallest model's *whole* next step where the source knows it already, else None. The rules
        charge every decoded token, unless the smallest model goes on to write the step.
        """
        ...

    def texts(self, latent: dict[str, NDArray[Any]]) -> Sequence[str]:
        """Text of the last step of each trace of a state with this ``latent``, '' where there is none."""
        ...


def tells_token_classes(source: StepSource) -> bool:
    """Whether steps of a source have figures by class of token; one without them is possible all the same.

    A source says so by an attribute ``token_classes``; one that has none, as most, has no such figures.
    """
    return bool(getattr(source, "token_classes", False))
