"""Continuations through the real server of llama.cpp, as the package xllamacpp (2026.10.11549) holds it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gym_stepwise_routing.generators import Completion, Request, generate
from gym_stepwise_routing.generators.openai_server import OpenAIGenerator

xllamacpp = pytest.importorskip("xllamacpp", reason="needs xllamacpp, which holds llama.cpp's server")
pytest.importorskip("openai")

QUESTION = "Write the numbers from one to ten, in words, separated by commas, on one line."
BEGUN = "one, two, three, four,"
GOES_ON = " five, six,"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    folder = os.environ.get("GSR_MODELS")
    if folder is None or not (path := Path(folder) / "smollm2-135m-instruct-q4_1.gguf").is_file():
        pytest.skip("needs GSR_MODELS, a folder with smollm2-135m-instruct-q4_1.gguf")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.n_ctx, parameters.n_parallel, parameters.port = 1024, 1, 0
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    running = xllamacpp.Server(parameters)
    yield f"{running.listening_address}/v1"
    del running


@pytest.mark.parametrize("continuation", ["prefill", "continue_final_message", "raw"])
def test_a_continuation_is_new_text_with_its_own_tokens(server: str, continuation: Any) -> None:
    generator = OpenAIGenerator("tiny", base_url=server, api_key="none", continuation=continuation, concurrency=1)
    prompt = QUESTION if continuation != "raw" else f"{QUESTION}\n"
    alone, run = generate(generator, [Request(prompt, "", 1), Request(prompt, BEGUN, 4)])
    newline, more = generate(generator, [Request(prompt, BEGUN + "\n", 1), Request(prompt, BEGUN + GOES_ON, 2)])
    generator.close()
    assert all(isinstance(one, Completion) for one in (alone, run, newline, more))
    assert (run.text, run.tokens, "".join(run.pieces)) == (GOES_ON, 4, GOES_ON)
    assert more.text == " seven,"
    # what was read and written before is what is read now, and the newline of a step is read as well
    assert more.prompt_tokens == run.prompt_tokens + run.tokens
    assert newline.prompt_tokens == run.prompt_tokens + 1


def test_usage_of_several_prompts_counts_the_first(server: str) -> None:
    """Why one prompt a request is sent."""
    import openai

    client = openai.OpenAI(base_url=server, api_key="none")
    prompts: Any = ["one, two, three,", "Once upon a time"]
    both = client.completions.create(model="tiny", prompt=prompts, max_tokens=3, temperature=0)
    assert len(both.choices) == 2
    assert both.usage is not None
    assert both.usage.completion_tokens == 3
