"""vLLM, offline and as a server, with a real model: ``make test-vllm`` (docs/recording.md)."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gym_stepwise_routing.banks.records import read_trees
from gym_stepwise_routing.generators import Completion, Failure, Generator, Request, StepRule, generate, read_steps
from gym_stepwise_routing.generators.prompts import load_prompt
from gym_stepwise_routing.generators.steps import Step

pytestmark = pytest.mark.vllm

TOLERANCE = 0.15
"""Largest difference of a confidence figure between engines for the same bfloat16 model and text (nats, probability):
bfloat16 keeps 8 bits, and kernels add up in another order."""
QUESTIONS = [
    "Ann has 3 apples and buys 4 more. How many apples does she have?",
    "A book costs $12. How much do 3 books cost?",
    "Tom had 20 coins and lost 6. How many coins are left?",
]


@pytest.fixture(scope="module")
def model() -> str:
    pytest.importorskip("vllm")
    folder = os.environ.get("GSR_MODELS")
    if folder is None:
        pytest.skip("needs GSR_MODELS, a folder with smollm2-135m-instruct-q4_1")
    return str(Path(folder) / "smollm2-135m-instruct-q4_1")


def test_float32_texts_do_not_hang_on_the_batch(model: str) -> None:
    """First in the file: it has an engine of its own, which is closed before the others' is made."""
    from gym_stepwise_routing.generators.vllm_engine import VllmGenerator

    generator = VllmGenerator(model, name="smollm2", cpu_cache_gib=1, max_num_seqs=8, dtype="float32")
    try:
        assert {"dtype": "float32", "batch": "8"}.items() <= dict(generator.info().settings).items()
        prompt = load_prompt("gsm8k-4shot")
        requests = [Request(prompt.fill(question), "", 40, StepRule().engine_stops) for question in QUESTIONS]
        together = generate(generator, requests)
        alone = [generate(generator, [request])[0] for request in requests]
    finally:
        generator.close()
    for one, other in zip(together, alone, strict=True):
        assert isinstance(one, Completion)
        assert isinstance(other, Completion)
        assert (one.text, one.tokens) == (other.text, other.tokens)
        np.testing.assert_allclose(one.logprob, other.logprob, atol=2e-4)
        np.testing.assert_array_equal(one.logprob, one.top[:, 0])


@pytest.fixture(scope="module")
def engine(model: str) -> Iterator[Generator]:
    from gym_stepwise_routing.generators.vllm_engine import VllmGenerator

    generator = VllmGenerator(model, name="smollm2", cpu_cache_gib=1, max_num_seqs=8)
    yield generator
    generator.close()


@pytest.fixture(scope="module")
def server(model: str) -> Iterator[str]:
    """Address of a vLLM server on 127.0.0.1, stopped at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["--model", model, "--served-model-name", "smollm2", "--host", "127.0.0.1", "--port", str(port)]
    words += ["--dtype", "bfloat16", "--max-model-len", "2048", "--block-size", "32", "--enforce-eager"]
    words += ["--max-num-seqs", "8"]
    process = subprocess.Popen(
        [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *words],
        env=os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_LOGGING_LEVEL": "ERROR"},
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 280
        while True:
            assert process.poll() is None, "the server ended before it was ready"
            assert time.monotonic() < deadline, "the server was not ready within 280 s"
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2)
                break
            except OSError:
                time.sleep(1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        os.killpg(process.pid, 15)
        process.wait()


def first_steps(generator: Generator) -> list[Step]:
    prompt = load_prompt("gsm8k-4shot")
    results = generate(generator, [Request(prompt.fill(q), "", 40, StepRule().engine_stops) for q in QUESTIONS])
    assert all(isinstance(result, Completion) for result in results)
    return [read_steps(result, StepRule(), [])[0] for result in results if isinstance(result, Completion)]


def assert_equal_steps(one: list[Step], other: list[Step]) -> None:
    """Equal figures of the first token everywhere, and of whole steps where no tie has led the texts apart."""
    same = 0
    for mine, theirs in zip(one, other, strict=True):
        assert mine.confidence is not None
        assert theirs.confidence is not None
        figures, others = mine.confidence.rounded(), theirs.confidence.rounded()
        compared = {"entropy_first", "margin_first"}
        if mine.text == theirs.text:
            same += 1
            assert mine.tokens == theirs.tokens
            compared = figures.keys() - {"logprob_sum"}
            means = [step.confidence.logprob_sum / step.first_tokens for step in (mine, theirs)]
            assert means[0] == pytest.approx(means[1], abs=TOLERANCE)
        for name in compared:
            assert figures[name] == pytest.approx(others[name], abs=TOLERANCE), name
    assert same >= 1, [(a.text, b.text) for a, b in zip(one, other, strict=True)]


def test_pieces_and_top_log_probabilities(engine: Generator) -> None:
    (run,) = generate(engine, [Request(load_prompt("gsm8k-4shot").fill(QUESTIONS[0]), "", 60, StepRule().engine_stops)])
    assert isinstance(run, Completion)
    assert len(run.pieces) == run.tokens == len(run.logprob)
    assert "".join(run.pieces).startswith(run.text)
    assert run.top.shape == (run.tokens, 8)
    np.testing.assert_allclose(run.logprob, run.top[:, 0], atol=1e-6)


def test_prefix_cache_serves_the_head(engine: Generator) -> None:
    request = Request(load_prompt("gsm8k-4shot").fill(QUESTIONS[1]), "", 20, StepRule().engine_stops)
    generate(engine, [request])
    (again,) = generate(engine, [request])
    assert isinstance(again, Completion)
    assert again.cached_tokens is not None
    assert again.cached_tokens >= again.prompt_tokens - 40


def test_a_prompt_over_the_context_is_a_failure(engine: Generator) -> None:
    (failure,) = generate(engine, [Request("one two three " * 2000, "", 5)])
    assert isinstance(failure, Failure)
    assert "context is 2048" in failure.reason


def test_figures_agree_with_transformers(engine: Generator, model: str) -> None:
    from gym_stepwise_routing.generators.transformers_model import TransformersGenerator

    assert_equal_steps(first_steps(engine), first_steps(TransformersGenerator(model, dtype="bfloat16")))


def test_figures_agree_with_the_server(engine: Generator, server: str) -> None:
    from gym_stepwise_routing.generators.openai_server import OpenAIGenerator

    remote = OpenAIGenerator("smollm2", base_url=server, api_key="none", timeout=120)
    assert remote.info().top_logprobs == 8
    prompts = [load_prompt("gsm8k-4shot").fill(question) for question in QUESTIONS]
    assert remote.count(prompts) == engine.count(prompts)
    assert_equal_steps(first_steps(engine), first_steps(remote))


def test_a_pool_of_server_and_local_model_records(server: str, model: str, tmp_path: Path) -> None:
    from gym_stepwise_routing.generators.specs import GeneratorSpec
    from gym_stepwise_routing.recorder.problem_selection import Selection
    from gym_stepwise_routing.recorder.session import RecordingSession
    from gym_stepwise_routing.recorder.settings import RecordingSettings

    rows = "".join(f'{{"question": "{question}", "answer": 7}}\n' for question in QUESTIONS)
    (tmp_path / "mine.jsonl").write_text(rows, encoding="utf-8")
    specs = (
        GeneratorSpec.parse(f"openai:smollm2,url={server},key=none,name=remote,parameters=135e6"),
        GeneratorSpec.parse(f"transformers:{model},name=local"),
    )
    selection = Selection.parse(str(tmp_path / "mine.jsonl"), data=None, grading="numeric")
    settings = RecordingSettings(load_prompt("gsm8k-4shot"), mode="escalate", rule=StepRule(horizon=3, max_tokens=60))
    session = RecordingSession(specs, (selection,), settings, tmp_path / "out", "test", "MIT")
    stats = session.run()
    assert stats.trees == 3
    assert len(list(read_trees(tmp_path / "out" / "trees-0.jsonl"))) == 3
    assert session.bank("mine").pool.names == ("remote", "local")
