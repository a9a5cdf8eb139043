"""Accounts in a manifest: what a judge was asked, what a server served, how traces ended."""

from __future__ import annotations

from dataclasses import dataclass, field

from gym_stepwise_routing.storage.strict_json import ABSENT_IF_NONE

__all__ = ["Asked", "Endings", "Served"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What grading by a model took: replies, those that say nothing, and the tokens that it read and wrote."""

    calls: int
    unread: int
    prompt_tokens: int
    completion_tokens: int

    @property
    def tokens(self) -> int:
        """All tokens, read and written."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Where the traces of a bank come from that was made from a server's log: only steps that were taken are in it.

    Args:
        router: names of the routers that chose the steps.
        first: time of the first request that is in the bank, ISO 8601.
        last: time of the last one.
        requests: how many are in it; requests that came the same way are one trace.
        propensity: probability with which each step was chosen at its place; 1: the routers are deterministic; None:
            the server explored, and each node has its own in the column ``propensity`` of ``nodes.parquet``.
    """

    router: tuple[str, ...]
    first: str
    last: str
    requests: int
    propensity: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endings:
    """How the traces ended whose last step one model wrote.

    Args:
        traces: how many there are.
        unanswered: those without an answer that the grader reads.
        answer: ended by a stated answer.
        stop: ended by the end of the text or a stop string.
        length: ended by the token limit.
        repetition: ended because the model repeated itself.
        empty: without an answer, and the last model wrote nothing.
        hidden: steps of the model, ended or not, with more tokens than their text can have: thoughts that its server
            does not show; None: there is none, or nobody counted.
    """

    traces: int
    unanswered: int
    answer: int
    stop: int
    length: int
    repetition: int
    empty: int
    hidden: int | None = field(default=None, metadata=ABSENT_IF_NONE)

    def __post_init__(self) -> None:
        parts = (self.answer, self.stop, self.length, self.repetition, self.empty)
        if min(self.unanswered, *parts) < 0 or sum(parts) > self.traces or self.unanswered > self.traces:
            raise ValueError(f"endings {self!r}; allowed: counts >= 0 of no more than all traces")
