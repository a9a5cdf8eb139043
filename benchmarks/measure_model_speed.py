"""Measure the latency model of local models on one core of this CPU, and derive a self-hosted price from it.

    python benchmarks/measure_model_speed.py MODEL_DIR [MODEL_DIR ...] [--hourly-price DOLLARS]

A call reads ``n`` fresh tokens on top of a cached few-shot head and decodes ``m`` tokens. Its time is fitted by
``overhead + prefill * n + decode * m`` (non-negative least squares of the relative error, on the median time of each
``(n, m)``), which is what ``pool.Latency`` states. One thread, and its CPU time: on an idle core that is the time that
passes, and on a shared machine it is not inflated by the neighbours' turns. The output is the ``latency`` and the
``price`` of a bank recipe, as JSON. Needs the extra ``llm``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import nnls
from transformers import AutoModelForCausalLM

HEAD = 452  # tokens of the few-shot head of the bundled bank: what a prefix cache holds before a problem starts
FRESH = (4, 64, 256)
DECODED = (1, 8, 24)


def call(model: Any, cache: Any, fresh: int, decoded: int) -> float:
    """CPU seconds of one call; the cache is put back afterwards."""
    tokens = torch.arange(1000, 1000 + fresh).unsqueeze(0)
    start = time.process_time()
    for _ in range(decoded):
        logits = model(tokens, past_key_values=cache, use_cache=True, logits_to_keep=1).logits
        tokens = logits[:, -1:].argmax(-1)
    seconds = time.process_time() - start
    cache.crop(HEAD - cache.get_seq_length())
    return seconds


def fit(seconds: dict[tuple[int, int], list[float]]) -> tuple[dict[str, float], float]:
    """Coefficients of the latency model, and the median relative error of the fit."""
    grid = np.array(list(seconds), dtype=float)
    medians = np.array([np.median(times) for times in seconds.values()])
    design = np.column_stack([grid, np.ones(len(grid))])
    coefficients, _ = nnls(design / medians[:, None], np.ones(len(grid)))
    error = float(np.median(np.abs(design @ coefficients / medians - 1)))
    return dict(zip(("prefill", "decode", "overhead"), map(float, coefficients), strict=True)), error


def main() -> None:
    """Measure, fit and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument(
        "--hourly-price", type=float, default=0.05, help="dollars an hour of the whole machine (assumed)"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with torch.inference_mode():
        models, caches = {}, {}
        for path in arguments.models:
            model: Any = AutoModelForCausalLM.from_pretrained(path, dtype=torch.bfloat16)
            models[path] = model.eval()
            head = torch.arange(1000, 1000 + HEAD).unsqueeze(0)
            caches[path] = models[path](head, use_cache=True, logits_to_keep=1).past_key_values
            call(models[path], caches[path], max(FRESH), 2)  # warm up
        seconds: dict[Path, dict[tuple[int, int], list[float]]] = {path: {} for path in models}
        for _, shape, path in itertools.product(
            range(arguments.repetitions), itertools.product(FRESH, DECODED), arguments.models
        ):
            seconds[path].setdefault(shape, []).append(call(models[path], caches[path], *shape))
    for path, times in seconds.items():
        latency, error = fit(times)
        per_million = {kind: latency[kind] * arguments.hourly_price / 3600 * 1e6 for kind in ("prefill", "decode")}
        report = {
            "model": path.name,
            "latency": {kind: float(f"{value:.4g}") for kind, value in latency.items()},
            "price": {
                "input": float(f"{per_million['prefill']:.4g}"),
                "cached_input": 0.0,
                "output": float(f"{per_million['decode']:.4g}"),
            },
            "median_relative_error": round(error, 4),
            "spread": round(float(np.median([np.std(t) / np.mean(t) for t in times.values()])), 3),
            "load_average": os.getloadavg(),
        }
        print(json.dumps(report))


if __name__ == "__main__":
    main()
