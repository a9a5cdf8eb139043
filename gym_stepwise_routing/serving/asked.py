"""What a client asks for, and what was done for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from gym_stepwise_routing.generators.openai_requests import Message, Sampling
from gym_stepwise_routing.generators.steps import Step

__all__ = ["Asked", "Finish", "NoModelError", "StepTaken"]

Finish = Literal["stop", "length"]


class NoModelError(Exception):
    """No model is left that may write the next step.

    Attributes:
        reasons: why each did not deliver.
        retry_after: seconds until one of them may be tried again.
    """

    def __init__(self, reasons: Sequence[str], retry_after: float) -> None:
        super().__init__("; ".join(reasons) or "no model is available")
        self.reasons = tuple(reasons)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a client asks for.

    Attributes:
        id: id of the request.
        question: the question, as the router sees it.
        messages: the messages, where they go to the endpoints as they are.
        max_tokens: most tokens of the answer; None: only the step rule's limits.
        stop: strings that end the answer.
        sampling: how tokens are drawn.
        budget: cost allowed, where always-largest costs 1 on average.
        hard_budget: whether exceeding it ends the answer.
        threshold: another threshold than the router's own.
        target: target that chose the router, '' for the first one.
    """

    id: str
    question: str
    messages: tuple[Message, ...] | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    budget: float | None = None
    hard_budget: bool = False
    threshold: float | None = None
    target: str = ""


@dataclass(frozen=True, slots=True)
class StepTaken:
    """One step of an answer.

    Attributes:
        model: name of the model that wrote it.
        chosen: name of the model that the router wanted.
        scores: the router's scores; None where it has none.
        tokens: tokens of the step.
        seconds: time that it took, failed attempts included.
        features: what the router saw.
        written: the step itself.
        probabilities: with which each model was drawn, smallest first; None: the router decided, without a draw.
        draft: the smallest model's draft, which was thrown away (*regenerate*); None: there was none, or it was kept.
    """

    model: str
    chosen: str
    scores: tuple[float, ...] | None
    tokens: int
    seconds: float
    features: tuple[float, ...]
    written: Step
    draft: Step | None
    probabilities: tuple[float, ...] | None = None
