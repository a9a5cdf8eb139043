"""One endpoint as the server sees it: writes with a stream, counts prompts, and is left alone while it is down."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from gym_stepwise_routing.generators.generator import Completion, Failure, Request
from gym_stepwise_routing.generators.openai_answers import completion_of
from gym_stepwise_routing.generators.openai_requests import Message, Sampling, body_of
from gym_stepwise_routing.grading.thoughts import in_thought
from gym_stepwise_routing.serving.abilities import Abilities, Written, find_abilities
from gym_stepwise_routing.serving.circuit import Circuit
from gym_stepwise_routing.serving.connection import Connection
from gym_stepwise_routing.serving.endpoint_failures import (
    BrokenError,
    ContinuationError,
    UnreadableError,
    failure_of,
)
from gym_stepwise_routing.serving.pool_config import CircuitConfig, EndpointConfig, Timeouts
from gym_stepwise_routing.serving.wire import GatheredAnswer

__all__ = ["Endpoint", "Spent"]

Result = TypeVar("Result")

_REMEMBERED = 4096
_QUESTION = "Question: 1 + 1?\nAnswer:\n"


@dataclass(slots=True)
class Spent:
    """What endpoints have reported for one client's request, all kinds of requests to them together."""

    requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    unreported: int = 0

    def add(self, answer: Completion) -> None:
        """Count an answer."""
        self.requests += 1
        self.prompt_tokens += answer.prompt_tokens
        self.cached_tokens += answer.cached_tokens or 0
        self.completion_tokens += answer.tokens


@dataclass
class Endpoint:
    """One model on one OpenAI-compatible server.

    Args:
        config: the endpoint.
        timeouts: its time-outs.
        retries: attempts after the first, before anything has come back.
        circuit: when it is left alone.
        key: key of the server.
    """

    config: EndpointConfig
    timeouts: Timeouts
    retries: int
    circuit_config: CircuitConfig
    key: str = field(repr=False)

    def __post_init__(self) -> None:
        self.circuit = Circuit(**self.circuit_config.model_dump())
        self.abilities: Abilities | None = None
        self.failures = 0
        """Requests that came to nothing."""
        self.head: int | None = None
        """Tokens of the prompt template's head, once they have been counted."""
        seconds = self.timeouts
        self._connection = Connection(
            self.config.url, self.key, connect=seconds.connect, read=seconds.request, retries=self.retries
        )
        self._slots = asyncio.Semaphore(self.config.concurrency)
        self._greeting = asyncio.Lock()
        self._counts: OrderedDict[str, int] = OrderedDict()

    @property
    def name(self) -> str:
        """Name in the pool."""
        return self.config.name

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.close()

    async def write(
        self,
        request: Request,
        *,
        prompt: str | Sequence[Message],
        sampling: Sampling,
        spent: Spent,
        written: Written | None = None,
        show: Callable[[str], None] | None = None,
    ) -> Completion | Failure:
        """Have the model write, and tell of its text as it comes.

        Args:
            request: prefix, token limit and stop strings.
            prompt: the prompt, or the messages that stand for it.
            sampling: how tokens are drawn.
            spent: where the endpoint's own counts are added up.
            written: is kept up to date, and holds what had come if the endpoint breaks.
            show: told all of the text so far, each time that it has grown.

        Returns:
            The run, or why there is none: down, too slow, refused, or broken in the middle.
        """

        async def ask() -> Completion:
            abilities = await self._greet(spent)
            return await self._ask(request, prompt, sampling, abilities, written or Written(), show)

        result = await self._guarded(ask)
        if isinstance(result, Completion):
            spent.add(result)
        else:
            spent.unreported += 1
        return result

    async def count(self, prompt: str | Sequence[Message], spent: Spent) -> int | Failure:
        """Tokens of a prompt as the model reads it; a request of one token where there is no other way."""
        remembered = json.dumps(prompt)
        if (known := self._counts.get(remembered)) is not None:
            return known

        async def ask() -> int:
            abilities = await self._greet(spent)
            if abilities.tokenizes and (count := await self._tokenize(prompt)) is not None:
                return count
            answer = await self._ask(Request("", "", 1), prompt, Sampling(), abilities, Written(), None)
            spent.add(answer)
            return answer.prompt_tokens

        async def ask_in_time() -> int:
            async with asyncio.timeout(self.timeouts.count):
                return await ask()

        result = await self._guarded(ask_in_time)
        if isinstance(result, int):
            self._counts[remembered] = result
            while len(self._counts) > _REMEMBERED:
                self._counts.popitem(last=False)
        return result

    async def try_again(self) -> bool:
        """Ask for one token, and find out what the endpoint can do if that is not known yet; whether it answered."""

        async def ask() -> bool:
            abilities = await self._greet(Spent())
            await self._ask(Request("", "", 1), _QUESTION, Sampling(), abilities, Written(), None)
            return True

        return (await self._guarded(ask)) is True

    async def served_models(self) -> list[str]:
        """Names of the models that the server says it has; none where it does not say."""
        try:
            return [model["id"] for model in (await self._connection.get("/models"))["data"]]
        except Exception as error:
            if failure_of(self.name, error)[0] is None and not isinstance(error, TypeError | KeyError):
                raise
            return []

    async def count_head(self, head: str) -> int:
        """Tokens of the template's head that all problems share, a lower bound; 0 while nobody can count them."""
        if self.head is None:
            if not head:
                self.head = 0
                return 0
            counted, template = await self.count(head, Spent()), await self.count(".", Spent())
            if isinstance(counted, Failure) or isinstance(template, Failure):
                return 0
            self.head = max(counted - (template - 1) - 1, 0)
        return self.head

    async def _guarded(self, ask: Callable[[], Awaitable[Result]]) -> Result | Failure:
        """The result of a request, or a :class:`Failure`; the circuit is told how it went."""
        if not self.circuit.admit():
            return Failure(f"{self.name}: left alone for {self.circuit.seconds_left:.1f} s more", retryable=True)
        try:
            async with self._slots:
                result = await ask()
        except BaseException as error:
            failure, pause = failure_of(self.name, error)
            if failure is None:
                self.circuit.abandoned()
                raise
            failure = replace(failure, reason=failure.reason.replace(self.key, "***") if self.key else failure.reason)
            self.failures += 1
            if failure.retryable:
                self.circuit.failure(pause)
            else:
                self.circuit.abandoned()
            return failure
        self.circuit.success()
        return result

    async def _greet(self, spent: Spent) -> Abilities:
        if self.abilities is not None:
            return self.abilities
        async with self._greeting:
            if self.abilities is None:
                self.abilities = await self._handshake(spent)
        return self.abilities

    async def _handshake(self, spent: Spent) -> Abilities:
        async def ask(request: Request, abilities: Abilities, written: Written) -> Completion:
            answer = await self._ask(request, _QUESTION, Sampling(), abilities, written, None, whole=True)
            spent.add(answer)
            return answer

        async def tokenizes() -> bool:
            return await self._tokenize(_QUESTION) is not None

        return await find_abilities(self.config, _QUESTION, ask, tokenizes)

    async def _ask(
        self,
        request: Request,
        prompt: str | Sequence[Message],
        sampling: Sampling,
        abilities: Abilities,
        written: Written,
        show: Callable[[str], None] | None,
        *,
        whole: bool = False,
    ) -> Completion:
        """The run; ``whole``: with the copy of the prefix that the server may have sent."""
        if request.prefix and abilities.fault:
            raise ContinuationError(f"continuation={self.config.continuation!r}: {abilities.fault}")
        prefix, echoes = "" if whole else request.prefix, abilities.habits.echoes
        path, body = body_of(
            self.config.continuation,
            model=self.config.served_name,
            prompt=prompt,
            prefix=request.prefix,
            max_tokens=request.max_tokens,
            stop=request.stop,
            sampling=sampling,
            top_logprobs=abilities.top_logprobs,
            stream=abilities.streams,
        )
        async with asyncio.timeout(self.timeouts.request):
            if abilities.streams:
                gathered = GatheredAnswer(prefix if echoes else "", opened=in_thought(request.prefix))
                answer = await self._gather(path, body, gathered, written, show)
            else:
                answer = await self._connection.post(path, body)
        try:
            run = completion_of(answer, abilities.top_logprobs, prefix=prefix, echoes=echoes)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise UnreadableError(str(error)) from None
        found = [at for at in (run.text.find(stop) for stop in request.stop) if at >= 0]
        run = replace(run, text=run.text[: min(found)], finish="stop") if found else run
        if not abilities.streams and show is not None:
            written.text = run.text
            show(run.text)
        return run

    async def _gather(
        self,
        path: str,
        body: dict[str, Any],
        gathered: GatheredAnswer,
        written: Written,
        show: Callable[[str], None] | None,
    ) -> dict[str, Any]:
        """The answer that a stream makes up; what is new of its text is told as it grows."""
        seconds = self.timeouts
        async with aclosing(
            self._connection.stream(path, body, first=seconds.first_token, between=seconds.between_tokens)
        ) as stream:
            async for chunks in stream:
                grown, broken = False, None
                try:
                    for chunk in chunks:
                        grown = bool(gathered.add(chunk)) or grown
                except (ValueError, TypeError, AttributeError, KeyError) as error:
                    broken = BrokenError(str(error))
                if grown:
                    written.text, written.tokens = gathered.news, gathered.tokens
                    if show is not None:
                        show(gathered.news)
                if broken is not None:
                    raise broken
        if not gathered.finished:
            raise BrokenError("the stream broke off")
        written.usage_chunk = gathered.usage_chunk
        return gathered.answer()

    async def _tokenize(self, prompt: str | Sequence[Message]) -> int | None:
        """The count of vLLM's ``/tokenize``, which lies beside ``/v1``; None where there is none."""
        address = self.config.url.rstrip("/").removesuffix("/v1") + "/tokenize"
        body: dict[str, Any] = {"model": self.config.served_name}
        if self.config.continuation == "raw":
            body["prompt"] = prompt
        else:
            body["messages"] = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
        try:
            answer = await self._connection.post(address, body, retries=0)
        except Exception as error:
            if failure_of(self.name, error)[0] is None:
                raise
            return None
        count = answer.get("count") if isinstance(answer, dict) else None
        return count if isinstance(count, int) else None
