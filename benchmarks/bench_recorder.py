"""Speed of the recorder and of live steps, as ratios to the bare engine.

``python benchmarks/bench_recorder.py [SMALL LARGE] [--backend vllm]``; without models, two of some 50,000 weights are
trained on the spot, with which the recorder's own work weighs most.

- Recorder: decoded tokens a second while it grows trees, against the same requests handed to the engine all at once.
  For transformers the engine's own ``generate`` is timed on them too, in batches of the same size. Limit: 0.8.
- Live step: what ``env.step`` on a live source adds to the generator calls that it makes itself. Limit: 5 %.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
import time
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

import gym_stepwise_routing  # noqa: F401  # registers the environment
from gym_stepwise_routing.costs.models import Model, ModelPool
from gym_stepwise_routing.datasets import Problem
from gym_stepwise_routing.generators import Completion, Generator, Request, generate
from gym_stepwise_routing.generators.prompts import load_prompt
from gym_stepwise_routing.generators.specs import GeneratorSpec
from gym_stepwise_routing.recorder.grow import RecordingStats, grow_trees
from gym_stepwise_routing.recorder.settings import RecordingSettings
from gym_stepwise_routing.sources.live import LiveSource

ITEMS = ("apples", "coins", "books", "shells", "stamps", "pens", "eggs", "cards")


def problems(count: int) -> list[Problem]:
    """Word problems of the kind that the prompt shows."""
    texts = [
        f"Ann has {a} {ITEMS[a % 8]}. She buys {a + 3} more and gives {b} away. "
        f"She sells half of the rest for ${b} each. How much money does she get?"
        for a, b in ((5 + 2 * i, 1 + i % 5) for i in range(count))
    ]
    return [Problem("bench", "test", i, text, "1") for i, text in enumerate(texts)]


class Watched:
    """A generator that notes what it was asked and how long its calls took."""

    def __init__(self, generator: Generator) -> None:
        self.generator = generator
        self.name = generator.name
        self.requests: list[Request] = []
        self.seconds = 0.0

    def submit(self, key: Hashable, request: Request) -> None:
        """Note the request and pass it on."""
        self.requests.append(request)
        start = time.perf_counter()
        self.generator.submit(key, request)
        self.seconds += time.perf_counter() - start

    def poll(self) -> list[tuple[Any, Any]]:
        """Let the engine work."""
        start = time.perf_counter()
        done = self.generator.poll()
        self.seconds += time.perf_counter() - start
        return done

    @property
    def pending(self) -> int:
        """Requests under way."""
        return self.generator.pending

    def __getattr__(self, name: str) -> Any:
        return getattr(self.generator, name)


def fresh(specs: list[GeneratorSpec]) -> list[Watched]:
    """The pool with cold caches."""
    return [Watched(spec.build()) for spec in specs]


def recorder_speed(pool: list[Watched], count: int) -> float:
    """Decoded tokens a second of the recorder."""
    settings = RecordingSettings(load_prompt("gsm8k-4shot"), in_flight=16)
    stats = RecordingStats([0, 0])
    start = time.perf_counter()
    for _ in grow_trees(problems(count), pool, settings, stats):
        pass
    return sum(stats.tokens) / (time.perf_counter() - start)


def engine_speed(pool: list[Watched], asked: list[list[Request]]) -> float:
    """Decoded tokens a second with all requests known in advance."""
    start, tokens = time.perf_counter(), 0
    for generator, requests in zip(pool, asked, strict=True):
        results = generate(generator.generator, requests)
        tokens += sum(result.tokens for result in results if isinstance(result, Completion))
    return tokens / (time.perf_counter() - start)


def library_speed(pool: list[Watched], asked: list[list[Request]], batch: int) -> float:
    """Decoded tokens a second of transformers' own ``generate`` on the same prompts, padded left."""
    import torch
    from transformers import StoppingCriteria, StoppingCriteriaList

    class Stops(StoppingCriteria):
        def __init__(self, tokenizer: Any, start: int, stops: tuple[str, ...]) -> None:
            self.tokenizer, self.start, self.stops = tokenizer, start, stops

        def __call__(self, ids: Any, scores: Any, **_: Any) -> Any:
            texts = self.tokenizer.batch_decode(ids[:, self.start :])
            return torch.tensor([any(stop in text for stop in self.stops) for text in texts])

    start, tokens = time.perf_counter(), 0
    for generator, requests in zip(pool, asked, strict=True):
        model, tokenizer = generator.generator._model, generator.generator._tokenizer
        tokenizer.padding_side = "left"
        for first in range(0, len(requests), batch):
            some = requests[first : first + batch]
            inputs = tokenizer([r.prompt + r.prefix for r in some], return_tensors="pt", padding=True)
            length = inputs["input_ids"].shape[1]
            criteria = StoppingCriteriaList([Stops(tokenizer, length, some[0].stop)])
            with torch.inference_mode():
                out = model.generate(
                    **inputs, max_new_tokens=some[0].max_tokens, do_sample=False, stopping_criteria=criteria
                )
            tokens += int((out[:, length:] != tokenizer.pad_token_id).sum())
    return tokens / (time.perf_counter() - start)


def live_overhead(pool: list[Watched], count: int) -> float:
    """Share by which ``env.step`` is slower than the generator calls in it."""
    chosen = problems(count)
    models = ModelPool([Model("small", 1.0), Model("large", 2.0)])
    live = LiveSource({"test": chosen}, pool, pool=models, prompt=load_prompt("gsm8k-4shot"))
    env = gym.make("StepwiseRouting-v0", source=live, split="test", normaliser=1e9)
    rng = np.random.default_rng(0)
    total = asked = 0.0
    for problem in live.problem_ids(live.problems("test")):
        env.reset(seed=0, options={"problem": problem})
        for generator in pool:
            generator.seconds = 0.0
        over = False
        while not over:
            start = time.perf_counter()
            _, _, ended, cut, _ = env.step(int(rng.integers(2)))
            total += time.perf_counter() - start
            over = ended or cut
        asked += sum(generator.seconds for generator in pool)
    return total / asked - 1


def trained_models(folder: Path) -> list[str]:
    """Two small models as the tests use them, with room for the few-shot prompt."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    from tiny_models import make_tiny_model

    steps = {"small": 60, "large": 150}
    return [
        str(make_tiny_model(folder / name, seed=number, steps=count, context=2048))
        for number, (name, count) in enumerate(steps.items())
    ]


def main() -> None:
    """Read the arguments and measure; the exit status is 1 if a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("small", nargs="?")
    parser.add_argument("large", nargs="?")
    parser.add_argument("--backend", choices=("transformers", "vllm"), default="transformers")
    parser.add_argument("--problems", type=int, default=32)
    arguments = parser.parse_args()
    if importlib.util.find_spec(arguments.backend) is None:
        sys.stdout.write(f"skipped: {arguments.backend} is not installed\n")
        return
    models = [model for model in (arguments.small, arguments.large) if model is not None]
    if len(models) == 1:
        parser.error("give two models, or none")
    with tempfile.TemporaryDirectory() as folder:
        measure(models or trained_models(Path(folder)), arguments.backend, arguments.problems)


def measure(models: list[str], backend: str, count: int) -> None:
    """Time everything and print the table."""
    specs = [
        GeneratorSpec(backend=backend, model=model, name=name, batch=16)  # type: ignore[arg-type]
        for model, name in zip(models, ("small", "large"), strict=True)
    ]
    pool = fresh(specs)
    recorder = recorder_speed(pool, count)
    asked = [list(generator.requests) for generator in pool]
    rows = [("recorder", recorder, "")]
    for generator in pool:
        generator.generator.close()
    pool = fresh(specs)
    engine = engine_speed(pool, asked)
    rows.append(("engine, all requests at once", engine, f"recorder / engine = {recorder / engine:.2f} (limit 0.80)"))
    if backend == "transformers":
        library = library_speed(pool, asked, 16)
        ratio = f"recorder / library = {recorder / library:.2f} (limit 0.80)"
        rows.append(("transformers' own generate", library, ratio))
    overhead = live_overhead(pool, count)
    for label, speed, ratio in rows:
        sys.stdout.write(f"{label:32} {speed:8.1f} tokens/s   {ratio}\n")
    sys.stdout.write(f"{'live step over generator calls':32} {100 * overhead:8.2f} %          (limit 5 %)\n")
    if recorder < 0.8 * max(speed for _, speed, _ in rows[1:]) or overhead > 0.05:
        sys.exit(1)


if __name__ == "__main__":
    main()
