"""
Record a bank of your own
=========================

Needs ``pip install '.[llm]'``, for transformers. Nothing is downloaded.

From a file of questions and two local language models to recorded trees, and to a first router on them.
"""

# %%
# Questions
# ---------
#
# A line of JSON a question, with its answer. Ours are sums of three digits.

from gym_stepwise_routing.errors import need_extras

need_extras("llm")

import json
import random
import tempfile
from pathlib import Path

folder = Path(tempfile.mkdtemp(prefix="own-bank-"))
rng = random.Random(0)
every = [(a, b, c) for a in range(10) for b in range(10) for c in range(10)]
rng.shuffle(every)
asked, shown = every[:240], every[240:]
questions = folder / "sums.jsonl"
questions.write_text(
    "".join(json.dumps({"question": f"{a} + {b} + {c}", "answer": str(a + b + c)}) + "\n" for a, b, c in asked)
)

# %%
# The prompt says how an answer begins, and the models see the question where ``{question}`` stands.

prompt = folder / "sums.txt"
prompt.write_text("Question: What is {question}?\nAnswer:\n")

# %%
# Two small models
# ----------------
#
# Your own models would stand here, as folders or as names of the Hugging Face hub. So that this page runs anywhere, we
# train two tiny ones on the sums that are not asked. They think in three lines. The smaller one learns for a shorter
# time.

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, logging

logging.disable_progress_bar()
torch.set_num_threads(1)


def solved(a, b, c):
    lines = f"{a} + {b} = {a + b}.\n{a + b} + {c} = {a + b + c}.\nThe answer is {a + b + c}.\n\n"
    return f"Question: What is {a} + {b} + {c}?\nAnswer:\n{lines}"


def tiny_model(name, width, updates):
    """Train a language model of a few thousand weights and save it with its tokenizer."""
    parts = Tokenizer(models.BPE())
    parts.pre_tokenizer, parts.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    letters = pre_tokenizers.ByteLevel.alphabet()
    end = "<|endoftext|>"
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=[end], initial_alphabet=letters, show_progress=False)
    parts.train_from_iterator([solved(*numbers) for numbers in shown], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=parts, eos_token=end, pad_token=end)
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=256,
            eos_token_id=0,
            bos_token_id=0,
        )
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=5e-3, total_steps=updates)
    for _ in range(updates):
        batch = tokenizer([solved(*numbers) for numbers in rng.sample(shown, 16)], padding=True, return_tensors="pt")
        labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
        optimizer.zero_grad()
        model(**batch, labels=labels).loss.backward()
        optimizer.step()
        schedule.step()
    model.save_pretrained(folder / name)
    tokenizer.save_pretrained(folder / name)


tiny_model("small", 32, 250)
tiny_model("large", 64, 500)

# %%
# Record
# ------
#
# After every prefix both models write the next step, so that any router can be played later without a model. On the
# command line this is::
#
#     stepwise-routing record --dataset sums.jsonl --grading numeric --prompt sums.txt --horizon 3 \
#         --models transformers:small --models transformers:large --out recording
#
# It may be stopped at any moment and started again. Here is the same in Python.

from gym_stepwise_routing.generators.prompts import load_prompt
from gym_stepwise_routing.generators.specs import GeneratorSpec
from gym_stepwise_routing.recorder.problem_selection import Selection
from gym_stepwise_routing.recorder.session import RecordingSession
from gym_stepwise_routing.recorder.settings import RecordingSettings
from gym_stepwise_routing.recorder.step_rules import step_rule

template = load_prompt(str(prompt))
session = RecordingSession(
    specs=tuple(GeneratorSpec(backend="transformers", model=str(folder / name)) for name in ("small", "large")),
    selections=(Selection.parse(str(questions), data=None, grading="numeric"),),
    settings=RecordingSettings(
        template, rule=step_rule(template, "numeric", horizon=3, max_tokens=60), grading="numeric", in_flight=64
    ),
    out=folder / "recording",
    command="this tutorial",
    licence="MIT",
)
stats = session.run()
bank = session.bank("sums")
print(f"{stats.trees} trees, {stats.nodes} nodes; problems by split:")
print({split: len(bank.split_problems(split)) for split in ("train", "calibration", "test")})

# %%
# One tree
# --------
#
# The first step by each model, and what both wrote after it.

problem = bank.split_problems("test")[0]
root = bank.problems.root[problem]
for first, name in enumerate(bank.pool.names):
    node = bank.child[root, first]
    print(f"{name}: {bank.text(node)!r}")
    for second, other in enumerate(bank.pool.names):
        print(f"    then {other}: {bank.text(bank.child[node, second])!r}")

# %%
# Route on it
# -----------
#
# A recorded bank is a bank like the bundled ones: environments, agents, calibration and evaluation take it. The rule
# has a step written anew where the small model was unsure of its least likely token.

from gym_stepwise_routing import AlwaysLargest, AlwaysSmallest, ConfidenceThreshold, Game, GameConfig, evaluate, sweep
from gym_stepwise_routing.evaluation import threshold_grid
from gym_stepwise_routing.sources.recorded import BankSource

test = GameConfig(BankSource(bank), split="test", mode="regenerate", cost_unit="large_tokens")
small, large = evaluate(AlwaysSmallest(), test), evaluate(AlwaysLargest(), test)
print(f"small alone {small.accuracy:.2f}, large alone {large.accuracy:.2f}")
rule = ConfidenceThreshold("p_min")
game = Game(test)
curve = sweep(rule, game, threshold_grid(rule, game, 40))

# %%
# The picture
# -----------

import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
axes.plot([small.mean_cost, large.mean_cost], [small.accuracy, large.accuracy], "--", color="grey", label="mixing")
axes.plot(curve.cost.mean(axis=1), curve.right.mean(axis=1), color="#009e73", lw=2, label="rule, all thresholds")
for name, result in {"small": small, "large": large}.items():
    axes.plot(result.mean_cost, result.accuracy, "ks")
    axes.annotate(name, (result.mean_cost, result.accuracy), xytext=(0, 8), textcoords="offset points", ha="center")
axes.set(xlabel="cost (always-largest = 1)", ylabel="right", title="Two tiny models, recorded a minute ago")
axes.margins(0.1)
axes.legend(loc="lower right")
plt.show()

# %%
# Next: put a router in front of models like these, in
# :doc:`From your questions to a deployed router <t08_deployed_router>`.
