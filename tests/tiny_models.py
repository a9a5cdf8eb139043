"""Language models of a few thousand weights, trained in seconds on sums: no file has to be fetched for a test."""

from __future__ import annotations

import atexit
import random
import shutil
import tempfile
from functools import cache
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

PROMPT = "Question: What is {question}?\nAnswer:\n"
END = "<|endoftext|>"


def sums(count: int, seed: int) -> list[str]:
    """Solved sums of three digits in the form of the bundled prompt: three lines and a blank one."""
    rng = random.Random(seed)
    texts = []
    for _ in range(count):
        a, b, c = (rng.randrange(10) for _ in range(3))
        answer = f"{a} + {b} = {a + b}.\n{a + b} + {c} = {a + b + c}.\nThe answer is {a + b + c}.\n\n"
        texts.append(PROMPT.format(question=f"{a} + {b} + {c}") + answer)
    return texts


@cache
def trained(seed: int, steps: int) -> Path:
    """Folder of a model that is made once for the whole test run."""
    folder = Path(tempfile.mkdtemp(prefix=f"tiny-model-{seed}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return make_tiny_model(folder, seed=seed, steps=steps)


def make_tiny_model(folder: Path, *, seed: int, width: int = 48, steps: int = 120, context: int = 512) -> Path:
    """Train and save a model with its tokenizer; more steps, fewer mistakes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=[END], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(sums(200, 0), trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=END)
    fast.chat_template = (
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    fast.save_pretrained(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        eos_token_id=0,
        bos_token_id=0,
    )
    model = LlamaForCausalLM(config)
    _train(model, fast, steps, seed)
    model.save_pretrained(folder)
    return folder


def _train(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, steps: int, seed: int) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=5e-3, total_steps=max(steps, 1))
    for step in range(steps):
        batch = tokenizer(sums(16, 1000 * seed + step + 1), padding=True, return_tensors="pt")
        labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
        loss = model(**batch, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
