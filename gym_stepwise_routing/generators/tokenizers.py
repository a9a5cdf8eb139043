"""What every generator with a local tokenizer needs: text of each token, token counts, fingerprints."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gym_stepwise_routing.generators.chat import NO_CHAT_FORM, ChatForm, opens_thought
from gym_stepwise_routing.generators.generator import Request
from gym_stepwise_routing.grading.thoughts import THINK

__all__ = [
    "begun_thought",
    "end_tokens",
    "fingerprint",
    "full_prompt",
    "hub_settings",
    "model_folder",
    "pieces_of",
    "prompt_tokens",
    "weights_sha256",
]


def pieces_of(tokenizer: Any, ids: Sequence[int]) -> tuple[str, ...]:
    """Text that each token adds; '' for special tokens and for all but the last part of a split character."""
    from tokenizers.decoders import DecodeStream

    stream = DecodeStream(skip_special_tokens=True)
    return tuple(stream.step(tokenizer.backend_tokenizer, int(i)) or "" for i in ids)


def full_prompt(tokenizer: Any, request: Request, chat: bool, form: ChatForm = NO_CHAT_FORM) -> str:
    """Prompt and prefix as one text; with ``chat`` the prompt becomes a user message by the model's own template.

    A thought that the template opens is part of the answer (:func:`begun_thought`), and is not written twice.
    """
    if not chat:
        return request.prompt + request.prefix
    arguments = dict(form.arguments)
    text = str(
        tokenizer.apply_chat_template(
            form.messages(request.prompt), tokenize=False, add_generation_prompt=True, **arguments
        )
    )
    if opens_thought(text) and request.prefix.startswith(THINK):
        text = text.rstrip().removesuffix(THINK)
    return text + request.prefix


def begun_thought(prompt: str, chat: bool) -> str:
    """What the template of a prompt, as the model reads it, has written of the answer: ``<think>`` and its newline."""
    return prompt[prompt.rindex(THINK) :] if chat and opens_thought(prompt) else ""


def prompt_tokens(tokenizer: Any, prompts: Sequence[str], chat: bool, form: ChatForm = NO_CHAT_FORM) -> list[int]:
    """Tokens of each prompt as the model reads it."""
    texts = [full_prompt(tokenizer, Request(prompt, "", 1), chat, form) for prompt in prompts]
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


def model_folder(model: str) -> Path | None:
    """Folder of a model: a local one, or for a hub name that of its files in the cache; None where there is neither."""
    if Path(model).is_dir():
        return Path(model)
    try:
        from huggingface_hub import try_to_load_from_cache

        file = try_to_load_from_cache(model, "config.json")
    except (ImportError, ValueError):  # no hub library, or not even a name of the hub's form
        return None
    return Path(file).parent if isinstance(file, str) else None


def hub_settings(model: str) -> tuple[tuple[str, str], ...]:
    """For a hub name, the name and the commit that its cached files are of, as settings of a manifest."""
    if Path(model).is_dir():
        return ()
    folder = model_folder(model)
    return (("hub", model), ("revision", "unknown" if folder is None else folder.name))


def weights_sha256(model: str) -> str | None:
    """sha256 over the weights files in the order of their names, of a local folder or from the hub's cache."""
    digest, files = hashlib.sha256(), _weights(model)
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(1 << 24):
                digest.update(block)
    return digest.hexdigest() if files else None


def _weights(model: str) -> list[Path]:
    folder = model_folder(model)
    return [] if folder is None else sorted(folder.glob("*.safetensors"))
