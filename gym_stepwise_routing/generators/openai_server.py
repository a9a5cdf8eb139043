"""Generator on any OpenAI-compatible server: a vLLM or llama.cpp server, or a closed interface."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Coroutine, Hashable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from typing import Any, TypeVar

from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.generators.attempts import LONGEST_PAUSE, asked_seconds, is_overload, pause
from gym_stepwise_routing.generators.chat import NO_CHAT_FORM, ChatForm
from gym_stepwise_routing.generators.generator import Completion, Failure, GeneratorInfo, Request
from gym_stepwise_routing.generators.open_message import PROBES, MessageHabits, habits_of
from gym_stepwise_routing.generators.openai_answers import AnswerError, completion_of, reason_of, without_stop
from gym_stepwise_routing.generators.openai_requests import (
    CONTINUATIONS,
    OPEN_MESSAGE,
    Continuation,
    Dialect,
    body_of,
)
from gym_stepwise_routing.generators.sampling import GREEDY, Sampling
from gym_stepwise_routing.storage.strict_json import parse_json

__all__ = ["OpenAIGenerator"]

Result = TypeVar("Result")

_OFTEN_ALLOWED = 5
"""Most top log-probabilities that some interfaces allow."""
_REFUSED = re.compile(r": status (?:400|422|501) |: status 403 .*log.?prob", re.IGNORECASE)
"""Beginning of a reason that may be about the log-probabilities asked for; servers name no cause in a common form."""
_QUESTION = "Question: 1 + 1?\nAnswer:\n"
_LOG = logging.getLogger(__name__)


class OpenAIGenerator:
    """One model of an OpenAI-compatible server. Greedy (temperature 0) as far as the server is.

    Requests run in an event loop of their own, at most ``concurrency`` at a time. Time-outs, lost connections, overload
    and server errors are tried again with exponential back-off. ``Retry-After`` is honoured up to
    :data:`gym_stepwise_routing.generators.attempts.LONGEST_PAUSE` seconds, and logged. Every answer must come from the
    model that gave the first one.

    On construction one token is asked for: it shows whether the server is there, knows the model, offers top
    log-probabilities and counts its tokens. A server that refuses as many log-probabilities is asked for five, then for
    none; without them confidence figures are absent and one step is asked for at a time. A server that counts no tokens
    is refused: token counts are never made up. What its refusals ask for is done
    (:class:`gym_stepwise_routing.generators.openai_requests.Dialect`).
    With ``prefill`` and ``continue_final_message`` four more tokens show
    whether it goes on with a half-written answer, and whether it repeats it (:mod:`...generators.open_message`).

    Args:
        model: name of the model on the server.
        base_url: address up to ``/v1``; None: what the client's own environment variables say.
        api_key: key; None: what the client's own environment variable says, for a local server any text.
        name: name in the pool; by default ``model``.
        continuation: see :data:`gym_stepwise_routing.generators.openai_requests.CONTINUATIONS`.
        form: system message and arguments of the chat template (``chat_template_kwargs``); not with ``raw``.
        sampling: how tokens are drawn.
        top_logprobs: log-probabilities asked for per token, >= 2 (closed interfaces give 20 at most, often 5); fewer
            or none where the server refuses.
        timeout: seconds for one attempt in all, however the answer drips.
        retries: attempts after the first.
        concurrency: requests under way at a time.

    Raises:
        ImportError: the ``openai`` package is missing.
        ValueError: there is no key, or the server cannot be reached, does not know the model, counts no tokens, or does
            not continue a half-written answer in the way asked for.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        name: str | None = None,
        continuation: Continuation = "raw",
        form: ChatForm = NO_CHAT_FORM,
        sampling: Sampling = GREEDY,
        top_logprobs: int = 8,
        timeout: float = 120.0,
        retries: int = 4,
        concurrency: int = 16,
    ) -> None:
        check_choice("continuation", continuation, CONTINUATIONS)
        if concurrency < 1 or retries < 0 or not timeout > 0 or top_logprobs < 2:
            raise ValueError(
                f"concurrency={concurrency}, retries={retries}, timeout={timeout}, top_logprobs={top_logprobs}; "
                "allowed: >= 1, >= 0, > 0 and >= 2"
            )
        if continuation == "raw" and form != NO_CHAT_FORM:
            raise ValueError(
                f"model={model!r}: {dict(form.settings())} with continuation='raw', which knows no messages; "
                f"allowed: {', '.join(repr(name) for name in CONTINUATIONS if name != 'raw')}"
            )
        try:
            import openai
        except ImportError as error:
            raise ImportError(
                "the openai generator needs the openai client: pip install 'gym-stepwise-routing[llm]'"
            ) from error
        self.model = model
        self.name = name or model
        self.continuation = continuation
        self.form, self.sampling = form, sampling
        self.top_logprobs = top_logprobs
        self._openai: Any = openai
        self._timeout, self._retries = timeout, retries
        try:
            self._client: Any = openai.AsyncOpenAI(base_url=base_url, api_key=api_key, timeout=timeout, max_retries=0)
        except openai.OpenAIError as error:
            raise ValueError(
                f"model={model!r}: no key; allowed: key=... (any text for a local server), or the environment variable "
                f"OPENAI_API_KEY ({reason_of(error)})"
            ) from None
        self._slots = asyncio.Semaphore(concurrency)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"openai-{self.name}", daemon=True)
        self._thread.start()
        self._running: dict[Future[Completion | Failure], Hashable] = {}
        self._offered = 0
        self._dialect = Dialect()
        self._served: str | None = None
        self._greeted = False
        self._habits: MessageHabits | None = None if continuation in OPEN_MESSAGE else MessageHabits()
        try:
            self._handshake()
            if self._habits is None:
                self._begin_messages()
        except BaseException:
            self.close()
            raise

    def info(self) -> GeneratorInfo:
        """What is needed to repeat the run; weights and context of a remote model are unknown."""
        return GeneratorInfo(
            backend=f"openai {self._openai.__version__}",
            model=self.model,
            parameters=None,
            weights_sha256=None,
            context=None,
            top_logprobs=self._offered,
            tokenizer_sha256=None,
            settings=(
                ("server", str(self._client.base_url)),
                ("continuation", self.continuation),
                ("served", self._served or "not told"),
                *self._dialect.settings(),
                *self.form.settings(),
                *self.sampling.settings(),
            ),
        )

    def count(self, prompts: Sequence[str]) -> list[int]:
        """Tokens of each prompt as the server counts them; costs a request of one token each.

        Raises:
            ValueError: the server did not answer.
        """
        futures = [self._start(self._ask(Request(prompt, "", 1))) for prompt in prompts]
        results = [future.result() for future in futures]
        for result in results:
            if isinstance(result, Failure):
                raise ValueError(result.reason)
        return [result.prompt_tokens for result in results if isinstance(result, Completion)]

    def submit(self, key: Hashable, request: Request) -> None:
        """Queue a request."""
        self._running[self._start(self._ask(request))] = key

    def poll(self) -> list[tuple[Any, Completion | Failure]]:
        """What has come back; waits for the first if nothing has."""
        if not self._running:
            return []
        done, _ = wait(self._running, return_when=FIRST_COMPLETED)
        return [(self._running.pop(future), future.result()) for future in done]

    @property
    def pending(self) -> int:
        """Requests submitted and not yet returned."""
        return len(self._running)

    def cancel(self, key: Hashable) -> None:
        """Drop a request; the connection of one under way is closed, which stops servers that notice."""
        for future in [future for future, other in self._running.items() if other == key and future.cancel()]:
            del self._running[future]

    def close(self) -> None:
        """Close the connections; requests under way are given up."""
        if self._loop.is_closed():
            return
        for future in self._running:
            future.cancel()
        self._running.clear()
        self._start(self._client.close()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _start(self, work: Coroutine[Any, Any, Result]) -> Future[Result]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _handshake(self) -> None:
        first: Completion | Failure | None = None
        for count in dict.fromkeys((self.top_logprobs, min(self.top_logprobs, _OFTEN_ALLOWED), 0)):
            self._offered = count
            result = self._try("")
            first = first or result
            if isinstance(result, Completion):
                self._offered = count if result.has_logprobs else 0
                self._greeted = True
                return
            if not _REFUSED.search(result.reason):
                break
        assert isinstance(first, Failure)
        message = f"model={self.model!r} on {self._client.base_url}: {first.reason}{self._known_models()}"
        raise ValueError(message)

    def _try(self, begun: str) -> Completion | Failure:
        """One token after a begun answer, asked for again where the refusal says how the server wants to be asked."""
        while True:
            result = self._start(self._ask(Request(_QUESTION, begun, 1))).result()
            dialect = self._dialect.after(result.reason) if isinstance(result, Failure) else None
            if dialect is None:
                return result
            self._dialect = dialect

    def _begin_messages(self) -> None:
        runs: list[Completion] = []
        fault = ""
        for begun in PROBES:
            run = self._try(begun)
            if isinstance(run, Failure):
                fault = run.reason
                break
            runs.append(run)
        else:
            self._habits = habits_of(runs)
            fault = self._habits.fault
        if fault:
            raise ValueError(
                f"model={self.model!r} on {self._client.base_url}: continuation={self.continuation!r}: {fault}"
            )

    def _known_models(self) -> str:
        async def names() -> list[str]:
            async with asyncio.timeout(self._timeout):
                return [model.id async for model in self._client.models.list()]

        try:
            return f"; the server offers: {', '.join(self._start(names()).result())}"
        except (self._openai.OpenAIError, RuntimeError, ValueError, TypeError, TimeoutError):
            return ""

    async def _ask(self, request: Request) -> Completion | Failure:
        """The run, with as many attempts as are allowed."""
        async with self._slots:
            attempt, waited = 0, ""
            while True:
                result, asked = await self._attempt(request)
                if isinstance(result, Completion):
                    return result
                if not result.retryable or attempt >= self._retries:
                    return replace(result, reason=result.reason + waited)
                seconds = pause(attempt, asked)
                if asked is not None:
                    waited = f"; it asked to wait {asked:g} s"
                    waited += "" if asked <= LONGEST_PAUSE else f", of which {LONGEST_PAUSE:g} s are the most"
                    _LOG.warning("%s%s", result.reason, waited)
                await asyncio.sleep(seconds)
                attempt += 1

    async def _attempt(self, request: Request) -> tuple[Completion | Failure, float | None]:
        """The run, or why there is none, with the seconds that the server asks to wait."""
        errors = self._openai
        try:
            async with asyncio.timeout(self._timeout):
                answer = await self._post(request)
            return self._read(answer, request), None
        except (errors.APITimeoutError, TimeoutError):
            reason = f"{self.name}: no answer from {self._client.base_url} within {self._timeout:g} s"
            return Failure(reason, retryable=True), None
        except errors.APIConnectionError as error:
            cause = error.__cause__ or error
            told = f"{type(cause).__name__} {reason_of(cause)}".strip()
            return Failure(f"{self.name}: no answer from {self._client.base_url} ({told})", retryable=True), None
        except errors.APIStatusError as error:
            reason = f"{self.name}: status {error.status_code} ({reason_of(error)})"
            asked = asked_seconds(error.response.headers.get("retry-after"))
            return Failure(reason, retryable=is_overload(error.status_code)), asked
        except AnswerError as error:
            return Failure(f"{self.name}: {reason_of(error)}", retryable=error.retryable), None
        except (errors.OpenAIError, ValueError) as error:
            return Failure(f"{self.name}: an answer that cannot be read ({reason_of(error)})", retryable=False), None

    async def _post(self, request: Request) -> Any:
        """The JSON that answers a request."""
        path, body = body_of(
            self.continuation,
            model=self.model,
            prompt=request.prompt,
            prefix=request.prefix,
            max_tokens=request.max_tokens,
            stop=request.stop,
            sampling=self.sampling.of_sample(request.sample),
            top_logprobs=self._offered,
            stream=False,
            dialect=self._dialect,
            form=self.form,
        )
        # The bytes, read here: the client's own reading knows no limit of depth. Everything goes as extra_body, since
        # the client would refuse what is not OpenAI's own.
        if path == "/completions":
            raw = await self._client.completions.with_raw_response.create(
                model=self.model, prompt=body["prompt"], extra_body=body
            )
        else:
            raw = await self._client.chat.completions.with_raw_response.create(
                model=self.model, messages=body["messages"], extra_body=body
            )
        return parse_json(raw.content, "the answer")

    def _read(self, answer: Any, request: Request) -> Completion:
        """The run of an answer.

        Raises:
            ValueError: it cannot be read, or another model gave it.
        """
        if self._habits is None:  # this request finds them out
            run = completion_of(answer, self._offered)
        else:
            run = completion_of(answer, self._offered, prefix=request.prefix, echoes=self._habits.echoes)
        served = answer.get("model")
        if served is not None and not isinstance(served, str):
            raise ValueError(f"model is {served!r:.80}; allowed: a name")
        if not self._greeted:
            self._served = served
        elif served != self._served:
            raise AnswerError(f"model {served!r:.80} answered, {self._served!r} before", retryable=False)
        return run if self._habits is None else without_stop(run, request.stop)
