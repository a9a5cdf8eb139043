"""
From your questions to a deployed router
========================================

Needs ``pip install '.[llm,serve]'``.

A file of questions, two endpoints and one pool file: record, calibrate, measure, serve, ask.
"""

# %%
# Two endpoints
# -------------
#
# In your house these are two OpenAI-compatible servers, of vLLM or llama.cpp for example. So that this page runs
# anywhere, two **stand-ins** answer here. They add three numbers, a line a step. The small one gets some sums over ten
# wrong, and then its log-probabilities are low. To use servers of your own, leave this cell out and put their
# addresses into the pool file below.

from gym_stepwise_routing.errors import need_extras

need_extras("llm", "serve")

import json
import math
import random
import re
import socket
import threading
import time

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

WORD = re.compile(r"\n|[^\S\n]*\S+|[^\S\n]+")


def stand_in(careful):
    """An OpenAI-compatible server that continues half-written answers to sums."""
    app = FastAPI()

    def added(a, b):
        """The sum as the model sees it, and how sure it is."""
        luck = random.Random(1000 * a + b).random()
        if careful or a + b < 10:
            return a + b, 0.97
        return (a + b - 10, 0.45 + 0.3 * luck) if luck < 0.4 else (a + b, 0.55 + 0.4 * luck)

    def tokens_of(prompt):
        """Words of what follows the prompt, with their probabilities."""
        question, _, written = prompt.rpartition("Answer:\n")
        numbers = [int(number) for number in re.findall(r"\d+", question.rpartition("Question:")[2])]
        while len(numbers) < 3:
            numbers.append(0)
        lines = written.split("\n")[:-1]
        total = int(re.findall(r"\d+", lines[-1])[-1]) if lines and re.search(r"\d", lines[-1]) else numbers[0]
        for step in range(len(lines), 3):
            sure = 0.97
            if step < 2:
                total, before = None, total
                total, sure = added(before, numbers[step + 1])
                line = f"{before} + {numbers[step + 1]} = {total}.\n"
            else:
                line = f"The answer is {total}.\n\n"
            for word in WORD.findall(line):
                yield word, sure if word == f" {total}." else 0.97

    @app.post("/v1/completions")
    async def completions(request: Request):
        body = await request.json()
        said, text, finish = [], "", "stop"
        for word, sure in tokens_of(body["prompt"]):
            said.append((word, sure))
            text += word
            if any(stop in text for stop in body.get("stop") or ()):
                text = text[: min(text.find(stop) for stop in body["stop"] if stop in text)]
                break
            if len(said) == body["max_tokens"]:
                finish = "length"
                break
        logs = {
            "tokens": [word for word, _ in said],
            "token_logprobs": [math.log(sure) for _, sure in said],
            "top_logprobs": [{word: math.log(sure), "?": math.log(1 - sure)} for word, sure in said],
        }
        choice = {"index": 0, "text": text, "logprobs": logs, "finish_reason": finish}
        usage = {"prompt_tokens": len(WORD.findall(body["prompt"])), "completion_tokens": len(said)}
        if not body.get("stream"):
            return {"choices": [choice], "usage": usage}
        chunks = [{"choices": [choice]}, {"choices": [], "usage": usage}]
        told = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
        return StreamingResponse(iter([told]), media_type="text/event-stream")

    @app.post("/tokenize")
    async def tokenize(request: Request):
        return {"count": len(WORD.findall((await request.json())["prompt"]))}

    return app


def served(app):
    """Address of an application that answers in this process until it ends."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    threading.Thread(target=server.run, args=([listener],), daemon=True).start()
    while not server.started:
        time.sleep(0.01)
    return f"http://127.0.0.1:{listener.getsockname()[1]}/v1"


small, large = served(stand_in(careful=False)), served(stand_in(careful=True))

# %%
# Your questions
# --------------
#
# A line of JSON a question, with its answer. The answers are needed for calibration, not for serving. Without a split
# in the command the questions are divided by their hashes.

import tempfile
from pathlib import Path

folder = Path(tempfile.mkdtemp(prefix="deployed-"))
rng = random.Random(0)
sums = {tuple(rng.randrange(10) for _ in range(3)) for _ in range(500)}
lines = [{"question": f"What is {a} + {b} + {c}?", "answer": str(a + b + c)} for a, b, c in sorted(sums)]
(folder / "questions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
(folder / "prompt.txt").write_text("Question: {question}\nAnswer:\n")

# %%
# One pool file
# -------------
#
# Every command below reads it.

(folder / "pool.yml").write_text(f"""
models:                          # smallest first
  - {{name: small, url: "{small}", parameters: 0.5e+9}}
  - {{name: large, url: "{large}", parameters: 7.0e+9}}
prompt: prompt.txt
grading: numeric
step: {{delimiter: newline, horizon: 3, max_tokens: 60}}
bank: recording/bank
""")

# %%
# Do the endpoints fit?
# ---------------------
#
# The commands are those of a terminal. Here they run inside this page.

import contextlib
import shlex

from gym_stepwise_routing.cli.app import app as commands


def stepwise_routing(line):
    """What ``stepwise-routing LINE`` does in a terminal."""
    print(f"$ stepwise-routing {line}")
    with contextlib.chdir(folder), contextlib.suppress(SystemExit):
        commands(shlex.split(line), standalone_mode=False)


stepwise_routing("check pool.yml")

# %%
# Record and calibrate
# --------------------
#
# ``record`` asks both models for the next step after every prefix. ``calibrate`` looks for the cheapest threshold that
# keeps 90 % of the large model's accuracy, on problems that are kept for that.

stepwise_routing("record --config pool.yml --dataset questions.jsonl --out recording")

# %%

stepwise_routing(
    "calibrate confidence-p_min --bank recording/bank --mode regenerate --cost-unit large_tokens "
    "--target accuracy=0.9x --out router"
)

# %%
# What does it bring?
# -------------------

stepwise_routing("evaluate router --bank recording/bank --split test")

# %%
# Serve
# -----
#
# In a terminal: ``stepwise-routing serve router --config pool.yml``. Here the same application runs in this process.

from gym_stepwise_routing.serving.http_app import create_app
from gym_stepwise_routing.serving.pool_config import load_config
from gym_stepwise_routing.serving.service import Service

with contextlib.chdir(folder):
    service = Service(load_config("pool.yml", router="router"))
address = served(create_app(service))
print(service.router.certificate.promise)

# %%
# Ask
# ---
#
# Any OpenAI client will do. The answer says who wrote each step, what it cost, and what always-largest costs.

from openai import OpenAI

client = OpenAI(base_url=address, api_key="none")
asked = ["What is 1 + 2 + 3?", "What is 8 + 9 + 4?", "What is 4 + 7 + 9?", "What is 5 + 4 + 0?", "What is 9 + 9 + 9?"]
answers = {}
for question in asked:
    message = {"role": "user", "content": question}
    answers[question] = client.chat.completions.create(model="stepwise-routing", messages=[message])
last = answers[asked[-1]]
print(last.choices[0].message.content)
print([step["model"] for step in last.routing["steps"]])

# %%
# The picture
# -----------

import matplotlib.pyplot as plt

colours = {"small": "#b3d9c9", "large": "#f2b48c"}
figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
for row, answer in enumerate(answers.values()):
    texts = answer.choices[0].message.content.strip().split("\n")
    for column, (step, text) in enumerate(zip(answer.routing["steps"], texts)):
        axes.barh(-row, 0.96, left=column, color=colours[step["model"]])
        axes.text(column + 0.48, -row, text, ha="center", va="center", fontsize=9)
    axes.text(3.05, -row, f"cost {answer.routing['cost']['normalised']:.2f}", va="center", fontsize=9)
axes.set_yticks([-row for row in range(len(asked))], asked)
axes.set(xlim=(0, 3.6), xticks=[], title="Who wrote which step (always-largest costs 1)")
axes.spines[:].set_visible(False)
axes.legend([plt.Rectangle((0, 0), 1, 1, color=c) for c in colours.values()], colours, ncols=2, loc="upper right")
axes.set_ylim(-len(asked) + 0.4, 1.1)
plt.show()

# %%
# Next: :doc:`Serving </serving>` has feedback, drift, several workers and what happens when an endpoint fails.
