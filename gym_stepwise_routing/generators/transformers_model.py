"""Generator on transformers: local path or hub name, CPU or GPU, batched, with key-value caches kept across steps."""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gym_stepwise_routing.generators.chat import NO_CHAT_FORM, ChatForm
from gym_stepwise_routing.generators.generator import Completion, Failure, Finish, GeneratorInfo, Request
from gym_stepwise_routing.generators.prefix_cache import CachedRun, PrefixCache
from gym_stepwise_routing.generators.sampling import GREEDY, Sampling
from gym_stepwise_routing.generators.tokenizers import (
    begun_thought,
    end_tokens,
    fingerprint,
    full_prompt,
    hub_settings,
    prompt_tokens,
    weights_sha256,
)
from gym_stepwise_routing.storage.hugging_face import unloadable

__all__ = ["TransformersGenerator"]


@dataclass(slots=True)
class _Sequence:
    """One request while it is decoded."""

    key: Hashable
    request: Request
    prompt: list[int]
    stream: Any
    cached: int = 0
    ids: list[int] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    logprob: list[float] = field(default_factory=list)
    top: list[list[float]] = field(default_factory=list)
    text: str = ""
    begun: str = ""
    rng: np.random.Generator | None = None
    finish: Finish | None = None


class TransformersGenerator:
    """One causal language model.

    Args:
        model: local folder or hub name.
        name: name in the pool; by default the last part of ``model``.
        chat: put the prompt into the model's chat template.
        form: what stands before the prompt there, and the template's arguments.
        sampling: how tokens are drawn: temperature, ``top_p`` and seed; penalties are not known here.
        device: ``"cpu"``, ``"cuda"``, ...; None: a GPU if there is one.
        dtype: number format; None: bfloat16 on GPUs, float32 on CPUs (where bfloat16 is often slower).
        top_logprobs: top log-probabilities per token, >= 2.
        batch_size: most requests decoded at a time.
        cache_tokens: tokens whose keys and values are kept between runs, over all traces.

    Raises:
        ImportError: torch or transformers is missing.
        ValueError: no such model, or one whose attention cannot be cached across steps (sliding windows, recurrences).
    """

    def __init__(
        self,
        model: str,
        *,
        name: str | None = None,
        chat: bool = False,
        form: ChatForm = NO_CHAT_FORM,
        sampling: Sampling = GREEDY,
        device: str | None = None,
        dtype: str | None = None,
        top_logprobs: int = 8,
        batch_size: int = 16,
        cache_tokens: int = 16_384,
    ) -> None:
        if top_logprobs < 2 or batch_size < 1:
            raise ValueError(f"top_logprobs={top_logprobs}, batch_size={batch_size}; allowed: >= 2 and >= 1")
        try:
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer
        except ImportError as error:
            raise ImportError(
                "the transformers generator needs torch and transformers: pip install 'gym-stepwise-routing[llm]'"
            ) from error
        self._torch = torch
        self.model = model
        self.name = name or model.rstrip("/").split("/")[-1]
        self.chat = chat
        self.form, self.sampling = form, sampling
        if sampling.presence_penalty is not None or sampling.frequency_penalty is not None:
            raise ValueError(f"sampling={sampling!r} with transformers; allowed: temperature, top_p and seed")
        self.top_logprobs = top_logprobs
        self.batch_size = batch_size
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.dtype = dtype or ("float32" if self._device.type == "cpu" else "bfloat16")
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(model)
            loaded: Any = AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, self.dtype))
        except OSError as error:
            raise ValueError(unloadable(model, error)) from None
        self._model = loaded.to(self._device).eval()
        self._check_attention()
        # transformers renames the argument; models of its older and newer releases take one or the other
        names = inspect.signature(self._model.forward).parameters
        self._cache_argument = "cache" if "cache" in names else "past_key_values"
        self._end = set(end_tokens(self._tokenizer, self._model.generation_config.eos_token_id))
        self._context = int(getattr(self._model.config, "max_position_embeddings", 0)) or None
        self._cache = PrefixCache(cache_tokens)
        self._waiting: list[_Sequence] = []
        self._refused: list[tuple[Any, Completion | Failure]] = []

    def info(self) -> GeneratorInfo:
        """What is needed to repeat the run."""
        import transformers

        return GeneratorInfo(
            backend=f"transformers {transformers.__version__}",
            model=self.name,
            parameters=int(self._model.num_parameters()),
            weights_sha256=weights_sha256(self.model),
            context=self._context,
            top_logprobs=self.top_logprobs,
            tokenizer_sha256=fingerprint(self._tokenizer),
            settings=(
                ("dtype", self.dtype),
                ("batch", str(self.batch_size)),
                ("device", self._device.type),
                ("chat", str(self.chat)),
                *self.form.settings(),
                *self.sampling.settings(),
                *hub_settings(self.model),
            ),
        )

    def count(self, prompts: Sequence[str]) -> list[int]:
        """Tokens of each prompt as the model sees it."""
        return prompt_tokens(self._tokenizer, prompts, self.chat, self.form)

    def submit(self, key: Hashable, request: Request) -> None:
        """Queue a request; one that does not fit the context comes back from :meth:`poll` as a failure."""
        from tokenizers.decoders import DecodeStream

        text = full_prompt(self._tokenizer, request, self.chat, self.form)
        ids = self._tokenizer(text, add_special_tokens=not self.chat)["input_ids"]
        if self._context is not None and len(ids) >= self._context:
            reason = f"{self.name}: prompt of {len(ids)} tokens; its context is {self._context}"
            self._refused.append((key, Failure(reason, retryable=False)))
            return
        sequence = _Sequence(key, request, list(ids), DecodeStream(skip_special_tokens=True))
        sequence.begun = begun_thought(text, self.chat)
        sequence.rng = self.sampling.generator(text, request.sample)
        self._waiting.append(sequence)

    def poll(self) -> list[tuple[Any, Completion | Failure]]:
        """Decode the next batch to its end; a batch that does not fit the memory comes back as failures."""
        done, self._refused = self._refused, []
        if done or not self._waiting:
            return done
        batch, self._waiting = self._waiting[: self.batch_size], self._waiting[self.batch_size :]
        try:
            with self._torch.inference_mode():
                self._decode(batch)
        except self._torch.OutOfMemoryError as error:
            reason = f"{self.name}: out of memory with {len(batch)} requests at a time ({str(error).splitlines()[0]})"
            return [(sequence.key, Failure(reason, retryable=False)) for sequence in batch]
        return [(sequence.key, self._completion(sequence)) for sequence in batch]

    @property
    def pending(self) -> int:
        """Requests submitted and not yet returned."""
        return len(self._waiting) + len(self._refused)

    def cancel(self, key: Hashable) -> None:
        """Drop a request."""
        self._waiting = [sequence for sequence in self._waiting if sequence.key != key]

    def close(self) -> None:
        """Free the model and its caches."""
        self._cache = PrefixCache(0)
        self._model = None

    def _check_attention(self) -> None:
        from transformers.cache_utils import DynamicCache, DynamicLayer

        kinds = {type(layer) for layer in DynamicCache(config=self._model.config).layers}
        if kinds - {DynamicLayer}:
            names = ", ".join(sorted(kind.__name__ for kind in kinds - {DynamicLayer}))
            raise ValueError(f"model={self.model!r} has layers of kind {names}; allowed: full attention (or use vllm)")

    def _decode(self, batch: list[_Sequence]) -> None:
        """Decode a batch: caches to the left, what must be read next to them, new tokens to the right; all padded left.

        Padding lies between cache and prompt as well; it is masked, and positions are given explicitly. Sequences that
        have ended leave the batch, a quarter of it at a time, with the padding that only they needed: most runs are far
        shorter than the longest one.
        """
        torch = self._torch
        cache, mask = self._load(batch)
        length = max(len(s.prompt) - s.cached for s in batch)
        ids = torch.zeros((len(batch), length), dtype=torch.long)
        positions = torch.zeros((len(batch), length), dtype=torch.long)
        fresh = torch.zeros((len(batch), length), dtype=torch.long)
        for row, sequence in enumerate(batch):
            rest = sequence.prompt[sequence.cached :]
            ids[row, length - len(rest) :] = torch.tensor(rest)
            positions[row, length - len(rest) :] = torch.arange(sequence.cached, len(sequence.prompt))
            fresh[row, length - len(rest) :] = 1
        mask = torch.cat([mask, fresh], dim=1).to(self._device)
        ids, positions = ids.to(self._device), positions.to(self._device)
        while True:
            out = self._model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                logits_to_keep=1,
                **{self._cache_argument: cache},
            )
            chosen = self._extend(batch, out.logits[:, -1])
            ids, positions = chosen[:, None], positions[:, -1:] + 1
            going = [row for row, sequence in enumerate(batch) if not sequence.finish]
            if 4 * len(going) <= 3 * len(batch):
                self._save(batch, cache, mask)
                if not going:
                    break
                batch = [batch[row] for row in going]
                rows = torch.tensor(going, device=self._device)
                ids, positions, mask = ids[rows], positions[rows], mask[rows]
                columns = mask.any(dim=0).nonzero()[:, 0]
                mask = mask[:, columns]
                cache.batch_select_indices(rows)
                for layer in cache.layers:
                    layer.keys, layer.values = layer.keys[:, :, columns], layer.values[:, :, columns]
            alive = torch.tensor([[0 if sequence.finish else 1] for sequence in batch], device=self._device)
            mask = torch.cat([mask, alive], dim=1)

    def _load(self, batch: list[_Sequence]) -> tuple[Any, Any]:
        """Cached prefixes of the batch, padded left to one length: the cache object and its mask ``[B, T]``."""
        from transformers.cache_utils import DynamicCache

        torch = self._torch
        found = [self._cache.longest(sequence.prompt) for sequence in batch]
        for sequence, (_, shared) in zip(batch, found, strict=True):
            sequence.cached = shared
        length = max(shared for _, shared in found)
        mask = torch.zeros((len(batch), length), dtype=torch.long)
        example = next((run for run, shared in found if run is not None and shared), None)
        if example is None:
            return DynamicCache(config=self._model.config), mask
        layers = []
        for layer, (keys, _) in enumerate(example.layers):
            pair = [keys.new_zeros((len(batch), keys.shape[0], length, keys.shape[2])) for _ in range(2)]
            for row, (run, shared) in enumerate(found):
                if run is not None and shared:
                    for part in range(2):
                        pair[part][row, :, length - shared :] = run.layers[layer][part][:, :shared]
            layers.append(tuple(pair))
        for row, (_, shared) in enumerate(found):
            mask[row, length - shared :] = 1
        return DynamicCache(layers), mask

    def _extend(self, batch: list[_Sequence], logits: Any) -> Any:
        """Choose the next token of every sequence and note its figures: ``int64[B]``.

        Of equally likely tokens the one with the lowest id is chosen, as by the engines' own greedy decoding; ``topk``
        would name another one with every k.
        """
        scores = self._torch.log_softmax(logits.float(), dim=-1)
        chosen = logits.argmax(dim=-1)
        for row, sequence in enumerate(batch):
            if sequence.rng is not None and not sequence.finish:
                chosen[row] = self.sampling.draw(scores[row].double().cpu().numpy(), sequence.rng)
        top = scores.topk(self.top_logprobs, dim=-1).values
        ids, top_rows = chosen.tolist(), top.tolist()
        for row, sequence in enumerate(batch):
            if sequence.finish:
                continue
            piece = sequence.stream.step(self._tokenizer.backend_tokenizer, ids[row]) or ""
            sequence.ids.append(ids[row])
            sequence.pieces.append(piece)
            sequence.logprob.append(top_rows[row][0] if sequence.rng is None else float(scores[row, ids[row]]))
            sequence.top.append(top_rows[row])
            if len(sequence.ids) == 1:
                sequence.pieces[0] = piece = sequence.begun + piece
            sequence.text += piece
            self._finish(sequence)
        return chosen

    def _finish(self, sequence: _Sequence) -> None:
        cuts = [at for at in (sequence.text.find(stop) for stop in sequence.request.stop) if at >= 0]
        full = self._context is not None and len(sequence.prompt) + len(sequence.ids) >= self._context
        if cuts or sequence.ids[-1] in self._end:
            sequence.text = sequence.text[: min(cuts)] if cuts else sequence.text
            sequence.finish = "stop"
        elif full or len(sequence.ids) >= sequence.request.max_tokens:
            sequence.finish = "length"

    def _save(self, batch: list[_Sequence], cache: Any, mask: Any) -> None:
        """Keep keys and values of every sequence that has ended (its last token was never read, so it has none)."""
        for row, sequence in enumerate(batch):
            if not sequence.finish:
                continue
            ids = np.asarray((sequence.prompt + sequence.ids)[:-1], dtype=np.int64)
            columns = mask[row].nonzero()[:, 0][: len(ids)]
            layers = tuple((layer.keys[row][:, columns], layer.values[row][:, columns]) for layer in cache.layers)
            self._cache.add(CachedRun(ids, layers))

    def _completion(self, sequence: _Sequence) -> Completion:
        assert sequence.finish is not None
        return Completion(
            text=sequence.text,
            tokens=len(sequence.ids),
            pieces=tuple(sequence.pieces),
            logprob=np.array(sequence.logprob),
            top=np.array(sequence.top),
            finish=sequence.finish,
            prompt_tokens=len(sequence.prompt),
            cached_tokens=sequence.cached,
        )
