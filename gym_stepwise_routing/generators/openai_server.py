"""Generator on any OpenAI-compatible server: a vLLM or llama.cpp server, or a closed interface."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any, Literal, get_args

from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.generators.generator import Completion, Failure, GeneratorInfo, Request
from gym_stepwise_routing.generators.open_message import PROBES, MessageHabits, habits_of
from gym_stepwise_routing.generators.openai_answers import completion_of, reason_of

__all__ = ["CONTINUATIONS", "OPEN_MESSAGE", "Continuation", "OpenAIGenerator"]

Continuation = Literal["raw", "continue_final_message", "prefill", "ask"]
CONTINUATIONS: tuple[Continuation, ...] = get_args(Continuation)
"""How a model is made to go on with a half-written answer.

========================== ======================================================================================
``raw``                    plain completion of prompt and prefix (``/completions``)
``continue_final_message`` chat; the prefix is an open assistant message (vLLM, SGLang)
``prefill``                chat; a trailing assistant message is continued by itself (llama.cpp, some closed ones)
``ask``                    chat; the prefix is a closed assistant message, then a request to go on (any other)
========================== ======================================================================================
"""
OPEN_MESSAGE: tuple[Continuation, ...] = ("continue_final_message", "prefill")
"""Those that need a server which leaves the last message open."""
_OFTEN_ALLOWED = 5
"""Most top log-probabilities that some interfaces allow."""
_REFUSED = re.compile(r": status (?:400|422|501) ")
"""Beginning of a reason that may be about the log-probabilities asked for; servers name no cause in a common form."""
_QUESTION = "Question: 1 + 1?\nAnswer:\n"
_GO_ON = "Continue exactly where you stopped. Do not repeat anything and do not comment."


class OpenAIGenerator:
    """One model of an OpenAI-compatible server. Greedy (temperature 0) as far as the server is.

    Requests run in threads, at most ``concurrency`` at a time; the ``openai`` client retries time-outs, lost
    connections, overload and server errors with exponential back-off, and honours ``Retry-After``.

    On construction one token is asked for: it shows whether the server is there, knows the model, offers top
    log-probabilities and counts its tokens. A server that refuses as many log-probabilities is asked for five, then for
    none; without them confidence figures are absent and one step is asked for at a time. A server that counts no tokens
    is refused: token counts are never made up. With ``prefill`` and ``continue_final_message`` four more tokens show
    whether it goes on with a half-written answer, and whether it repeats it (:mod:`...generators.open_message`).

    Args:
        model: name of the model on the server.
        base_url: address up to ``/v1``; None: what the client's own environment variables say.
        api_key: key; None: what the client's own environment variable says, for a local server any text.
        name: name in the pool; by default ``model``.
        continuation: see :data:`CONTINUATIONS`.
        top_logprobs: log-probabilities asked for per token, >= 2 (closed interfaces give 20 at most, often 5); fewer
            or none where the server refuses.
        timeout: seconds for one attempt.
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
        try:
            import openai
        except ImportError as error:
            raise ImportError(
                "the openai generator needs the openai client: pip install 'gym-stepwise-routing[llm]'"
            ) from error
        self.model = model
        self.name = name or model
        self.continuation = continuation
        self.top_logprobs = top_logprobs
        self._openai: Any = openai
        try:
            self._client: Any = openai.OpenAI(base_url=base_url, api_key=api_key, timeout=timeout, max_retries=retries)
        except openai.OpenAIError as error:
            raise ValueError(
                f"model={model!r}: no key; allowed: key=... (any text for a local server), or the environment variable "
                f"OPENAI_API_KEY ({reason_of(error)})"
            ) from None
        self._threads = ThreadPoolExecutor(max_workers=concurrency, thread_name_prefix=f"openai-{self.name}")
        self._running: dict[Future[Completion | Failure], Hashable] = {}
        self._offered = 0
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
            settings=(("server", str(self._client.base_url)), ("continuation", self.continuation)),
        )

    def count(self, prompts: Sequence[str]) -> list[int]:
        """Tokens of each prompt as the server counts them; costs a request of one token each.

        Raises:
            ValueError: the server did not answer.
        """
        results = list(self._threads.map(self._ask, [Request(prompt, "", 1) for prompt in prompts]))
        for result in results:
            if isinstance(result, Failure):
                raise ValueError(result.reason)
        return [result.prompt_tokens for result in results if isinstance(result, Completion)]

    def submit(self, key: Hashable, request: Request) -> None:
        """Queue a request."""
        self._running[self._threads.submit(self._ask, request)] = key

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
        """Drop a request that has not started; one under way comes back all the same."""
        for future in [future for future, other in self._running.items() if other == key and future.cancel()]:
            del self._running[future]

    def close(self) -> None:
        """Close the connections; requests under way are given up."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _handshake(self) -> None:
        first: Completion | Failure | None = None
        for count in dict.fromkeys((self.top_logprobs, min(self.top_logprobs, _OFTEN_ALLOWED), 0)):
            self._offered = count
            result = self._ask(Request(_QUESTION, "", 1))
            first = first or result
            if isinstance(result, Completion):
                self._offered = count if result.has_logprobs else 0
                return
            if not _REFUSED.search(result.reason):
                break
        assert isinstance(first, Failure)
        message = f"model={self.model!r} on {self._client.base_url}: {first.reason}{self._known_models()}"
        raise ValueError(message)

    def _begin_messages(self) -> None:
        runs: list[Completion] = []
        fault = ""
        for begun in PROBES:
            run = self._ask(Request(_QUESTION, begun, 1))
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
        try:
            return f"; the server offers: {', '.join(model.id for model in self._client.models.list())}"
        except (self._openai.OpenAIError, RuntimeError, ValueError, TypeError):
            return ""

    def _ask(self, request: Request) -> Completion | Failure:
        errors = self._openai
        try:
            answer = self._raw(request) if self.continuation == "raw" else self._chat(request)
            if self._habits is None:  # this request finds them out
                return completion_of(answer, self._offered)
            run = completion_of(answer, self._offered, prefix=request.prefix, echoes=self._habits.echoes)
            return _without_stop(run, request.stop)
        except (errors.APITimeoutError, errors.APIConnectionError) as error:
            return Failure(f"{self.name}: no answer from {self._client.base_url} ({reason_of(error)})", retryable=True)
        except errors.APIStatusError as error:
            overloaded = error.status_code == 429 or error.status_code >= 500
            return Failure(f"{self.name}: status {error.status_code} ({reason_of(error)})", retryable=overloaded)
        except (errors.OpenAIError, json.JSONDecodeError, ValueError, TypeError, AttributeError, KeyError) as error:
            return Failure(f"{self.name}: an answer that cannot be read ({reason_of(error)})", retryable=False)

    def _raw(self, request: Request) -> dict[str, Any]:
        answer = self._client.completions.with_raw_response.create(
            model=self.model,
            prompt=request.prompt + request.prefix,
            max_tokens=request.max_tokens,
            temperature=0.0,
            stop=list(request.stop) or None,
            **({"logprobs": self._offered} if self._offered else {}),
        )
        return dict(json.loads(answer.text))

    def _chat(self, request: Request) -> dict[str, Any]:
        messages = [{"role": "user", "content": request.prompt}]
        extra: dict[str, Any] = {}
        if request.prefix:
            messages.append({"role": "assistant", "content": request.prefix})
            if self.continuation == "continue_final_message":
                extra = {"continue_final_message": True, "add_generation_prompt": False}
            elif self.continuation == "ask":
                messages.append({"role": "user", "content": _GO_ON})
        answer = self._client.chat.completions.with_raw_response.create(
            model=self.model,
            messages=messages,
            max_tokens=request.max_tokens,
            temperature=0.0,
            stop=list(request.stop) or None,
            **({"logprobs": True, "top_logprobs": self._offered} if self._offered else {}),
            extra_body=extra or None,
        )
        return dict(json.loads(answer.text))


def _without_stop(completion: Completion, stops: Sequence[str]) -> Completion:
    """The run up to its first stop string, which some servers (transformers') leave in the text."""
    found = [at for at in (completion.text.find(stop) for stop in stops) if at >= 0]
    return replace(completion, text=completion.text[: min(found)], finish="stop") if found else completion
