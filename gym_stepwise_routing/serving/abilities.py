"""What an endpoint can do, found out by asking it for a few tokens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from gym_stepwise_routing.generators.generator import Completion, Request
from gym_stepwise_routing.generators.open_message import PROBES, MessageHabits, habits_of
from gym_stepwise_routing.generators.openai_answers import reason_of
from gym_stepwise_routing.generators.openai_requests import OPEN_MESSAGE
from gym_stepwise_routing.serving.endpoint_config import EndpointConfig
from gym_stepwise_routing.serving.endpoint_failures import StatusError, UnreadableError
from gym_stepwise_routing.serving.wire import UsageChunk

__all__ = ["Abilities", "Written", "find_abilities"]

_OFTEN_ALLOWED = 5
_REFUSED = (400, 404, 422, 501)


@dataclass(slots=True)
class Written:
    """What has come of a request so far, also if it breaks.

    Attributes:
        text: the text so far.
        tokens: its tokens, None where the endpoint does not tell them one by one.
        usage_chunk: in which chunk of a stream its token counts came.
    """

    text: str = ""
    tokens: int | None = None
    usage_chunk: UsageChunk = ""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What an endpoint can do.

    Attributes:
        top_logprobs: log-probabilities that come back per token, 0 where none do.
        streams: whether its streams tell their tokens; else a step comes all at once.
        tokenizes: whether it counts a prompt's tokens without writing one (``/tokenize``, as vLLM has it).
        missing_logprobs: where there are none, whether it refused them or left them out without a word.
        usage_chunk: in which chunk of a stream it counts its tokens.
        habits: what it does with a half-written answer.
        fault: why no step can be continued with it, '' where one can.
    """

    top_logprobs: int
    streams: bool
    tokenizes: bool = False
    missing_logprobs: Literal["", "refused", "left out"] = ""
    usage_chunk: UsageChunk = ""
    habits: MessageHabits = field(default_factory=MessageHabits)
    fault: str = ""


async def find_abilities(
    config: EndpointConfig,
    question: str,
    ask: Callable[[Request, Abilities, Written], Awaitable[Completion]],
    tokenizes: Callable[[], Awaitable[bool]],
) -> Abilities:
    """Ask an endpoint for a few tokens.

    Args:
        config: the endpoint.
        question: a prompt.
        ask: asks it as it would be asked with those abilities; its text is what came back, any copy of the prefix too.
        tokenizes: whether it has a ``/tokenize``.

    Raises:
        StatusError: it refuses in every form, or fails.
        UnreadableError: it never counts its tokens.
    """
    found = await _streams_and_logprobs(config, question, ask)
    found = replace(found, tokenizes=await tokenizes())
    if config.continuation not in OPEN_MESSAGE:
        return found
    try:
        runs = [await ask(Request(question, begun, 1), found, Written()) for begun in PROBES]
    except StatusError as error:
        if error.status not in _REFUSED:
            raise
        return replace(found, fault=f"status {error.status} ({reason_of(error)})")
    habits = habits_of(runs)
    return replace(found, habits=habits, fault=habits.fault)


async def _streams_and_logprobs(
    config: EndpointConfig,
    question: str,
    ask: Callable[[Request, Abilities, Written], Awaitable[Completion]],
) -> Abilities:
    refusal: Exception | None = None
    for streams in (True, False):
        for top in dict.fromkeys((config.top_logprobs, min(config.top_logprobs, _OFTEN_ALLOWED), 0)):
            written = Written()
            try:
                answer = await ask(Request(question, "", 1), Abilities(top, streams), written)
            except (StatusError, UnreadableError) as error:
                if isinstance(error, StatusError) and error.status not in _REFUSED:
                    raise
                refusal = refusal or error
                continue
            offered = top if answer.has_logprobs else 0
            missing: Literal["", "refused", "left out"] = "" if offered else "left out" if top else "refused"
            return Abilities(offered, streams, missing_logprobs=missing, usage_chunk=written.usage_chunk)
    assert refusal is not None
    raise refusal
