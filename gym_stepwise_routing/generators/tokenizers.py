"""What every generator with a local tokenizer needs: text of each token, token counts, fingerprints."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gym_stepwise_routing.generators.base import Request

__all__ = ["end_tokens", "fingerprint", "full_prompt", "parameters_of", "pieces_of", "prompt_tokens", "weights_sha256"]


def pieces_of(tokenizer: Any, ids: Sequence[int]) -> tuple[str, ...]:
    """Text that each token adds; '' for special tokens and for all but the last part of a split character."""
    from tokenizers.decoders import DecodeStream

    stream = DecodeStream(skip_special_tokens=True)
    return tuple(stream.step(tokenizer.backend_tokenizer, int(i)) or "" for i in ids)


def full_prompt(tokenizer: Any, request: Request, chat: bool) -> str:
    """Prompt and prefix as one text; with ``chat`` the prompt becomes a user message by the model's own template."""
    if not chat:
        return request.prompt + request.prefix
    message = [{"role": "user", "content": request.prompt}]
    return str(tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)) + request.prefix


def prompt_tokens(tokenizer: Any, prompts: Sequence[str], chat: bool) -> list[int]:
    """Tokens of each prompt as the model reads it."""
    texts = [full_prompt(tokenizer, Request(prompt, "", 1), chat) for prompt in prompts]
    return [len(ids) for ids in tokenizer(texts, add_special_tokens=not chat)["input_ids"]] if texts else []


def end_tokens(tokenizer: Any, configured: int | Sequence[int] | None) -> list[int]:
    """Ids of all tokens that end a text: what the model's configuration says, and the usual end marks it knows."""
    ids = {configured} if isinstance(configured, int) else set(configured or ())
    if tokenizer.eos_token_id is not None:
        ids.add(int(tokenizer.eos_token_id))
    added = tokenizer.get_added_vocab()
    ids |= {added[mark] for mark in ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "</s>", "<eos>") if mark in added}
    return sorted(ids)


def fingerprint(tokenizer: Any) -> str:
    """sha256 of the vocabulary with its ids: two models with the same one cut text into the same tokens."""
    vocabulary = json.dumps(sorted(tokenizer.get_vocab().items()), ensure_ascii=True)
    return hashlib.sha256(vocabulary.encode()).hexdigest()


def weights_sha256(model: str) -> str | None:
    """sha256 over the weights files of a local folder in the order of their names; None for a hub name."""
    folder = Path(model)
    files = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
    if not files:
        return None
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(1 << 24):
                digest.update(block)
    return digest.hexdigest()


def parameters_of(model: str) -> int | None:
    """Parameters in a local folder's safetensors files, read from their headers; None for a hub name."""
    folder = Path(model)
    files = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
    total = 0
    for file in files:
        with file.open("rb") as stream:
            header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
        total += sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
    return total or None
