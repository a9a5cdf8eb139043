"""Generator on vLLM's offline engine: continuous batching and prefix caching, on GPUs or CPUs."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.generators.chat import NO_CHAT_FORM, ChatForm
from gym_stepwise_routing.generators.generator import Completion, Failure, GeneratorInfo, Request
from gym_stepwise_routing.generators.sampling import GREEDY, Sampling
from gym_stepwise_routing.generators.tokenizers import (
    begun_thought,
    end_tokens,
    fingerprint,
    full_prompt,
    hub_settings,
    pieces_of,
    prompt_tokens,
    weights_sha256,
)

__all__ = ["VllmGenerator"]


class VllmGenerator:
    """One model in a vLLM engine of its own.

    Args:
        model: local folder or hub name.
        name: name in the pool; by default the last part of ``model``.
        chat: put the prompt into the model's chat template.
        form: what stands before the prompt there, and the template's arguments.
        sampling: how tokens are drawn.
        top_logprobs: top log-probabilities per token, >= 2.
        max_model_len: longest prompt plus completion in tokens.
        block_size: tokens per block of the key-value cache. Cached prefixes are re-used in whole blocks, and steps are
            short, so small blocks save much reading on CPUs (32 is the smallest there that is fast); None: vLLM's own.
        max_num_seqs: most requests decoded at a time.
        gpu_memory_utilization: share of a GPU's memory for this model; two models of a pool share one GPU.
        cpu_cache_gib: memory for the key-value cache on a CPU, in GiB.
        dtype: number format of weights and activations.

    Raises:
        ImportError: vLLM is not installed.
    """

    def __init__(
        self,
        model: str,
        *,
        name: str | None = None,
        chat: bool = False,
        form: ChatForm = NO_CHAT_FORM,
        sampling: Sampling = GREEDY,
        top_logprobs: int = 8,
        max_model_len: int = 2048,
        block_size: int | None = 32,
        max_num_seqs: int = 32,
        gpu_memory_utilization: float = 0.45,
        cpu_cache_gib: int = 2,
        dtype: str = "bfloat16",
    ) -> None:
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", str(cpu_cache_gib))
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
        try:
            from vllm import EngineArgs, LLMEngine, SamplingParams
            from vllm.platforms import current_platform
        except ImportError as error:
            raise ImportError(
                "the vllm generator needs vLLM: pip install 'gym-stepwise-routing[vllm]' (on CPUs: docs/recording.md)"
            ) from error
        if current_platform.is_cpu():
            # An engine in a process of its own outlives a recording that is killed, with its memory, so that the same
            # command could not start again; and it runs on with one request while the other model's batch is full.
            os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        self.model = model
        self.name = name or model.rstrip("/").split("/")[-1]
        self.chat = chat
        self._form, self._drawn = form, sampling
        self._begun: dict[str, str] = {}
        self.top_logprobs = top_logprobs
        self.max_model_len = max_model_len
        self._settings = {
            "block_size": block_size,
            "batch": max_num_seqs,
            "dtype": dtype,
            "max_model_len": max_model_len,
            "chat": chat,
        }
        arguments = EngineArgs(
            model=model,
            dtype=dtype,
            max_model_len=max_model_len,
            block_size=block_size,
            max_num_seqs=max_num_seqs,
            gpu_memory_utilization=gpu_memory_utilization,
            enable_prefix_caching=True,
            enforce_eager=True,
            max_logprobs=max(top_logprobs, 20),
            seed=0,
        )
        self._more = (*form.settings(), *sampling.settings())
        self._sampling = SamplingParams
        self._engine = LLMEngine.from_engine_args(arguments)
        self._tokenizer: Any = self._engine.get_tokenizer()
        config = self._engine.model_config.try_get_generation_config() or {}
        self._end = end_tokens(self._tokenizer, config.get("eos_token_id"))
        self._keys: dict[str, Hashable] = {}
        self._refused: list[tuple[Hashable, Failure]] = []
        self._count = 0

    def info(self) -> GeneratorInfo:
        """What is needed to repeat the run."""
        import vllm

        return GeneratorInfo(
            backend=f"vllm {vllm.__version__}",
            model=self.name,
            parameters=None,
            weights_sha256=weights_sha256(self.model),
            context=self.max_model_len,
            top_logprobs=self.top_logprobs,
            tokenizer_sha256=fingerprint(self._tokenizer),
            settings=(
                *((key, str(value)) for key, value in self._settings.items()),
                *self._more,
                *hub_settings(self.model),
            ),
        )

    def count(self, prompts: Sequence[str]) -> list[int]:
        """Tokens of each prompt as the model sees it."""
        return prompt_tokens(self._tokenizer, prompts, self.chat, self._form)

    def submit(self, key: Hashable, request: Request) -> None:
        """Queue a request; one that does not fit the context comes back from :meth:`poll` as a failure."""
        text = full_prompt(self._tokenizer, request, self.chat, self._form)
        ids = self._tokenizer(text, add_special_tokens=not self.chat)["input_ids"]
        if len(ids) >= self.max_model_len:
            reason = f"{self.name}: prompt of {len(ids)} tokens; its context is {self.max_model_len}"
            self._refused.append((key, Failure(reason, retryable=False)))
            return
        drawn = self._drawn.of_sample(request.sample)
        parameters = self._sampling(
            **drawn.fields(),
            max_tokens=min(request.max_tokens, self.max_model_len - len(ids)),
            stop=list(request.stop) or None,
            stop_token_ids=self._end,
            logprobs=self.top_logprobs,
            skip_special_tokens=True,
            output_kind=_final_only(),
        )
        self._count += 1
        identity = f"{self._count}"
        self._keys[identity], self._begun[identity] = key, begun_thought(text, self.chat)
        self._engine.add_request(identity, {"prompt_token_ids": ids}, parameters)

    def poll(self) -> list[tuple[Any, Completion | Failure]]:
        """Step the engine until something has finished; if it dies, all that is pending comes back as failures."""
        from vllm.v1.engine.exceptions import EngineDeadError

        done: list[tuple[Any, Completion | Failure]] = list(self._refused)
        self._refused.clear()
        while not done and self._keys:
            try:
                outputs = self._engine.step()
            except EngineDeadError as error:
                done = [(key, Failure(f"{self.name}: the engine died ({error})", False)) for key in self._keys.values()]
                self._keys.clear()
                return done
            finished = (output for output in outputs if output.finished)
            done += [(self._keys.pop(output.request_id), self._completion(output)) for output in finished]
        return done

    @property
    def pending(self) -> int:
        """Requests submitted and not yet returned."""
        return len(self._keys) + len(self._refused)

    def cancel(self, key: Hashable) -> None:
        """Drop a request, even under way."""
        dropped = [identity for identity, other in self._keys.items() if other == key]
        for identity in dropped:
            del self._keys[identity], self._begun[identity]
        if dropped:
            self._engine.abort_request(dropped)

    def close(self) -> None:
        """Shut the engine and its worker processes down."""
        core = getattr(self._engine, "engine_core", None)
        if core is not None:
            core.shutdown()

    def _completion(self, output: Any) -> Completion:
        result, begun = output.outputs[0], self._begun.pop(output.request_id, "")
        ids = [int(i) for i in result.token_ids]
        pieces = pieces_of(self._tokenizer, ids)
        pieces = (begun + pieces[0], *pieces[1:]) if pieces else pieces
        chosen = np.array([table[i].logprob for table, i in zip(result.logprobs, ids, strict=True)])
        return Completion(
            text=begun + result.text,
            tokens=len(ids),
            pieces=pieces,
            logprob=chosen,
            top=_top(result.logprobs, self.top_logprobs),
            finish="length" if result.finish_reason == "length" else "stop",
            prompt_tokens=len(output.prompt_token_ids),
            cached_tokens=output.num_cached_tokens,
        )


def _final_only() -> Any:
    from vllm.sampling_params import RequestOutputKind

    return RequestOutputKind.FINAL_ONLY


def _top(tables: Sequence[Mapping[int, Any]], k: int) -> NDArray[np.float64]:
    """Top log-probabilities, descending; vLLM adds the chosen token where it is not among them."""
    top = np.full((len(tables), k), np.nan)
    for row, table in enumerate(tables):
        values = sorted((entry.logprob for entry in table.values()), reverse=True)[:k]
        top[row, : len(values)] = values
    return top
