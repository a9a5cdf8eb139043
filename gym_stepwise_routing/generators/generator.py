"""The generator interface: one language model that writes text, many requests at a time.

A generator is fed (:meth:`Generator.submit`) and drained (:meth:`Generator.poll`), so that an engine with continuous
batching never waits for the slowest request of a batch. :func:`generate` is the plain batched call on top.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Completion",
    "Failure",
    "Finish",
    "Generator",
    "GeneratorInfo",
    "Request",
    "generate",
    "shared_prefix_tokens",
]

Finish = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Request:
    """One run of a model.

    Args:
        prompt: everything up to the answer: few-shot head and question.
        prefix: the answer so far, which the model continues; '' at the start.
        max_tokens: most tokens to decode, >= 1.
        stop: strings that end the run; the text is cut before the first of them.
        sample: which of several runs of the same request it is; they differ where tokens are drawn.
    """

    prompt: str
    prefix: str
    max_tokens: int
    stop: tuple[str, ...] = ()
    sample: int = 0

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens={self.max_tokens!r}; allowed: an integer >= 1")
        if "" in self.stop:
            raise ValueError(f"stop={self.stop!r}; allowed: non-empty strings")


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model wrote.

    Attributes:
        text: the text, without the stop string.
        tokens: tokens decoded, as the engine counts them, the one that ended the run included.
        pieces: text that each token added; empty where the server tells no tokens, and possibly without the last few
            where it hides what ended the run. Joined they start with ``text`` and may go on with the stop string; with
            hidden tokens the end of ``text`` may be missing, if one of them began with it.
        logprob: ``float64[len(pieces)]`` natural log-probability of each chosen token; empty where absent.
        top: ``float64[len(pieces), k]`` log-probabilities of the k most likely tokens, descending, NaN where fewer
            are known; shape ``[0, 0]`` where absent.
        finish: ``"stop"`` (stop string or end-of-text token) or ``"length"`` (``max_tokens`` reached).
        prompt_tokens: tokens of prompt and prefix.
        cached_tokens: how many of them the engine's prefix cache served; None where it does not tell.
    """

    text: str
    tokens: int
    pieces: tuple[str, ...]
    logprob: NDArray[np.float64]
    top: NDArray[np.float64]
    finish: Finish
    prompt_tokens: int
    cached_tokens: int | None = None

    @property
    def has_logprobs(self) -> bool:
        """Whether the confidence figures can be computed."""
        return len(self.logprob) > 0


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that came to nothing: the model was down, too slow, or refused it.

    Attributes:
        reason: one line for people, naming the model.
        retryable: a later attempt may succeed (time-outs, overload), or not (prompt over the context length); the
            recorder then takes the problem up once more at its end.
    """

    reason: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class GeneratorInfo:
    """What the manifest says of a generator.

    Attributes:
        backend: ``"transformers"``, ``"vllm"`` or ``"openai"``, with the version of the library.
        model: name in the pool, or on the server; a hub name is among the settings, with its revision.
        parameters: number of parameters, None where unknown.
        weights_sha256: hash over the weights files in the order of their names, None for a remote model.
        context: longest prompt plus completion in tokens, None where unknown.
        top_logprobs: how many top log-probabilities come back per token, 0 where none do.
        tokenizer_sha256: hash of the tokenizer's vocabulary, None where unknown.
        settings: further settings, as text, needed to repeat the run.
    """

    backend: str
    model: str
    parameters: int | None
    weights_sha256: str | None
    context: int | None
    top_logprobs: int
    tokenizer_sha256: str | None
    settings: tuple[tuple[str, str], ...] = ()


@runtime_checkable
class Generator(Protocol):
    """One language model. Decoding is greedy throughout: recorded trees must be repeatable."""

    name: str

    def info(self) -> GeneratorInfo:
        """What is needed to repeat the run."""
        ...

    def count(self, prompts: Sequence[str]) -> list[int]:
        """Tokens of each prompt as the model sees it, chat template included."""
        ...

    def submit(self, key: Hashable, request: Request) -> None:
        """Queue a request under a key that :meth:`poll` gives back."""
        ...

    def poll(self) -> list[tuple[Any, Completion | Failure]]:
        """Let the engine work and return what has finished since; waits only if nothing has, never if all is idle."""
        ...

    @property
    def pending(self) -> int:
        """Requests submitted and not yet returned."""
        ...

    def cancel(self, key: Hashable) -> None:
        """Drop a request that is no longer wanted, where that is still possible; else it comes back like any other."""
        ...

    def close(self) -> None:
        """Free the model, its processes and its connections."""
        ...


def generate(generator: Generator, requests: Sequence[Request]) -> list[Completion | Failure]:
    """Run a batch of requests and return their results in the same order.

    Raises:
        RuntimeError: the generator still has requests of somebody else.
    """
    if generator.pending:
        raise RuntimeError(f"{generator.name}: {generator.pending} requests are still under way")
    for key, request in enumerate(requests):
        generator.submit(key, request)
    results: dict[Hashable, Completion | Failure] = {}
    while generator.pending:
        results.update(generator.poll())
    return [results[key] for key in range(len(requests))]


def shared_prefix_tokens(generator: Generator, head: str) -> int:
    """Tokens of a prompt's head that all problems share, a lower bound.

    The head's last token may merge with the question, and what a chat template adds is left out.
    """
    if not head:
        return 0
    counted, template = generator.count([head, "."])
    return max(counted - (template - 1) - 1, 0)
