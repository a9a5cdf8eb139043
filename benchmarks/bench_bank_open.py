"""Time and memory of opening a bank of a million nodes: ``python benchmarks/bench_bank_open.py``.

The bank is synthetic (figures and texts at random, full binary trees of depth 5); only its size matters. Every run
opens it, all checks on, in a fresh process. Limits of the project: under 1 s (the fastest run, since other work on the
machine only ever adds time; CPU time stands beside it) and under 300 MB resident (the peak of the worst run).
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.banks.bank_tables import RAW_FIGURES, bank_schemas
from gym_stepwise_routing.banks.bank_writer import write_bank
from gym_stepwise_routing.types import QUESTION

DEPTH = 5
TEXT = 60  # letters of a step, as in recorded banks
TREE = 2 ** (DEPTH + 1) - 1  # nodes of a full binary tree

# VmHWM, not ru_maxrss: the latter starts from what the parent process had.
OPEN = """
import sys, time
start = time.perf_counter()
from gym_stepwise_routing.banks import Bank
imported, before = time.perf_counter(), time.process_time()
bank = Bank.open(sys.argv[1])
opened, after = time.perf_counter(), time.process_time()
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
megabytes = [int(status[key].split()[0]) * 1024 / 1e6 for key in ("VmRSS", "VmHWM")]
print(imported - start, opened - imported, after - before, *megabytes, len(bank.depth))
"""


def synthetic_bank(target: Path, nodes: int) -> None:
    """Write a bank of at least ``nodes`` nodes."""
    rng = np.random.default_rng(0)
    recipe = Bank.open("gsm8k-qwen2.5-coder").manifest.recipe
    recipe = replace(recipe, name="synthetic", description="Random figures, for timing.", simulated=True)
    trees = -(-nodes // TREE)
    place = np.arange(TREE)
    first = TREE * np.arange(trees)[:, None]
    depth = np.floor(np.log2(place + 1)).astype(int)
    leaf = depth == DEPTH
    parent = np.where(place > 0, first + (place - 1) // 2, -1).ravel()
    rows = trees * TREE
    inner = np.tile(place > 0, trees)

    def figures(name: str) -> Any:
        sign = -1 if name.startswith("logprob") else 1
        return pa.array(sign * np.round(rng.random(rows), 4), mask=~inner)

    columns = {
        "problem": np.repeat(np.arange(trees), TREE),
        "id": np.tile(place, trees),
        "parent": parent,
        "depth": np.tile(depth, trees),
        "model": np.tile(np.where(place > 0, (place - 1) % 2, -1), trees),
        "tokens": np.where(inner, rng.integers(1, 60, rows), 0),
        "first_step_tokens": pa.nulls(rows),
        **{name: figures(name) for name in RAW_FIGURES},
        "terminal": np.tile(leaf, trees),
        "correct": pa.array(rng.random(rows) < 0.5, mask=np.tile(~leaf, trees)),
        "same_as": pa.nulls(rows),
        "verifier_score": figures("verifier_score"),
        **{f"child_{model}": np.where(leaf, -1, first + 2 * place + 1 + model).ravel() for model in range(2)},
    }
    hashes = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(trees)]
    problems = {
        "dataset": ["gsm8k"] * trees,
        "split": ["train"] * trees,
        "index": np.arange(trees),
        "question_sha256": hashes,
        "answer": ["0"] * trees,
        "prompt_tokens": [[500]] * trees,
        "bank_split": [recipe.split_rule.assign("train", value) for value in hashes],
        "root": first.ravel(),
        **{name: pa.nulls(trees) for name in QUESTION},
    }
    letters = rng.bytes(TEXT * rows // 2).hex()  # of which half is all that can be compressed
    steps = pa.array([letters[start : start + TEXT] for start in range(0, TEXT * rows, TEXT)])
    texts = {"text": steps, "final_answer": pa.nulls(rows), "ending": pa.nulls(rows)}
    contents = {"problems.parquet": problems, "nodes.parquet": columns, "texts.parquet": texts}
    schemas = bank_schemas(2)
    tables = {name: pa.table(contents[name]).cast(schemas[name]) for name in schemas}
    write_bank(recipe, tables, target)


def main() -> None:
    """Build, open repeatedly, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        bank = Path(directory) / "bank"
        synthetic_bank(bank, arguments.nodes)
        size = sum(file.stat().st_size for file in bank.iterdir()) / 1e6
        print(f"{size:.1f} MB on disk; times in seconds, memory in MB")
        print(f"{'run':>4} {'nodes':>10} {'import':>7} {'open':>6} {'CPU':>6} {'RSS':>5} {'peak':>5}")
        runs = []
        for run in range(arguments.repeats):
            command = [sys.executable, "-c", OPEN, str(bank)]
            out = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            imported, opened, cpu, resident, peak = map(float, out[:5])
            runs.append((opened, peak))
            times = f"{imported:>7.2f} {opened:>6.2f} {cpu:>6.2f}"
            print(f"{run:>4} {int(out[5]):>10,} {times} {resident:>5.0f} {peak:>5.0f}")
    seconds, megabytes = min(run[0] for run in runs), max(run[1] for run in runs)
    met = seconds < 1.0 and megabytes < 300
    print(f"fastest {seconds:.2f} s (limit 1), peak {megabytes:.0f} MB (limit 300): {'met' if met else 'NOT met'}")
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
