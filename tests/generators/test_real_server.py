"""A recording through a real OpenAI-compatible server with a real model: that of transformers."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from gym_stepwise_routing.generators import Completion, Request, StepRule, generate
from gym_stepwise_routing.generators.prompts import load_prompt
from gym_stepwise_routing.generators.specs import GeneratorSpec
from gym_stepwise_routing.recorder.problem_selection import Selection
from gym_stepwise_routing.recorder.session import RecordingSession
from gym_stepwise_routing.recorder.settings import RecordingSettings
from gym_stepwise_routing.recorder.store import read_trees

for package in ("openai", "torch", "transformers", "fastapi", "uvicorn", "accelerate"):
    pytest.importorskip(package)

QUESTION = "Ann has 3 apples and buys 4 more. How many apples does she have?"


@pytest.fixture(scope="module")
def model() -> str:
    folder = os.environ.get("GSR_MODELS")
    if folder is None or not (path := Path(folder) / "smollm2-135m-instruct-q4_1").is_dir():
        pytest.skip("needs GSR_MODELS, a folder with smollm2-135m-instruct-q4_1")
    return str(path)


@pytest.fixture(scope="module")
def server(model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server on 127.0.0.1, stopped at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    start = "from transformers.cli.transformers import main; main()"
    words = ["serve", model, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "bfloat16"]
    log = tmp_path_factory.mktemp("server") / "log.txt"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-c", start, *words],
            env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
            stdout=stream,
            stderr=stream,
        )
    try:
        deadline = time.monotonic() + 200
        while True:
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < deadline, "the server was not ready within 200 s"
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2)
                break
            except OSError:
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.slow
def test_a_recording_through_it_counts_its_tokens_and_flags_confidence_absent(
    server: str, model: str, tmp_path: Path
) -> None:
    """What no fake server shows: the tokens that a real one counts, and that it has no log-probabilities."""
    from transformers import AutoTokenizer

    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps({"question": QUESTION, "answer": 7}) + "\n", encoding="utf-8")
    specs = tuple(
        GeneratorSpec(backend="openai", model=model, url=server, key="none", name=name, parameters=size, batch=1)
        for name, size in (("small", 135e6), ("large", 136e6))
    )
    settings = RecordingSettings(load_prompt("gsm8k-4shot"), mode="escalate", rule=StepRule(horizon=3, max_tokens=40))
    selection = Selection.parse(str(path), data=None, grading="numeric")
    session = RecordingSession(specs, (selection,), settings, tmp_path / "out", "test", "MIT")
    stats = session.run()
    assert (stats.trees, stats.failed) == (1, {})

    (tree,) = read_trees(tmp_path / "out" / "trees-0.jsonl")
    tokenizer = AutoTokenizer.from_pretrained(model)
    prompt = settings.prompt.fill(QUESTION)
    assert tree["problem"]["prompt_tokens"] == len(tokenizer(prompt)["input_ids"])
    nodes = tree["nodes"][1:]
    assert nodes
    assert not any("margin_first" in node for node in nodes)
    first = next(node for node in nodes if node["depth"] == 1)
    generator = specs[0].build()
    (run,) = generate(generator, [Request(prompt, "", 40, ("\n",))])
    generator.close()
    assert isinstance(run, Completion)
    assert (run.text.strip(), run.tokens) == (first["text"], first["tokens"])
    manifest = json.loads((tmp_path / "out" / "recording.json").read_text(encoding="utf-8"))
    assert [info["top_logprobs"] for info in manifest["fixed"]["generators"]] == [0, 0]
    assert session.bank("mine").pool.names == ("small", "large")
