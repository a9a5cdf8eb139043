"""Banks for tests: small recipes, and copies of the bundled bank that are changed and sealed again."""

from __future__ import annotations

import atexit
import hashlib
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gym_stepwise_routing.banks import Bank, Recipe
from gym_stepwise_routing.banks.bank_writer import seal_bank, write_bank
from gym_stepwise_routing.banks.jsonl import import_jsonl
from gym_stepwise_routing.banks.manifest import Dataset, Decoding, Grader, Prompt, StepRule
from gym_stepwise_routing.banks.splits import SplitRule
from gym_stepwise_routing.costs.models import Model
from gym_stepwise_routing.sources.simulator import load_preset

BUNDLED = "gsm8k-qwen2.5-coder"
RULE = SplitRule(salt="t", shares={"test": {"test": 1.0}, "train": {"train": 0.5, "calibration": 0.5}})

TOY_PROBLEM = {
    "dataset": "toy",
    "split": "test",
    "index": 0,
    "question_sha256": "a" * 64,
    "answer": "",
    "prompt_tokens": 9,
}
"""A problem of the dataset of :func:`small_recipe`, as a recorded tree has it."""


def small_recipe(models: int = 2, horizon: int = 4, **changes: Any) -> Recipe:
    """A recipe with nothing in it that a test does not need."""
    recipe = Recipe(
        name="small",
        description="For tests.",
        simulated=True,
        models=tuple(Model(name=f"m{number}", parameters=1e9 * (number + 1)) for number in range(models)),
        prompt=Prompt(
            template_sha256=hashlib.sha256(b"{question}").hexdigest(),
            template="{question}",
            shared_prefix_tokens=(0,) * models,
        ),
        decoding=Decoding(
            temperature=0.0, max_tokens=9, stop=("\n",), top_logprobs=1, form="completion", engine="none"
        ),
        step_rule=StepRule(separator="\n", note="One line."),
        horizon=horizon,
        recorded_mode="route",
        grader=Grader(name="none", version="0"),
        datasets={"toy": Dataset(question_field="question", source="this test", licence="MIT")},
        split_rule=RULE,
        command="none",
        licence="MIT",
    )
    return replace(recipe, **changes)


def copy_bundled(folder: Path) -> Path:
    """A copy of the bundled bank."""
    return Path(shutil.copytree(Bank.open(BUNDLED).path, folder / "bank"))


@cache
def few_bank() -> Path:
    """A bank of the first 252 problems of the bundled bank, made once; read only."""
    folder = tempfile.mkdtemp(prefix="few-problems-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return few_problems(Path(folder))


def copy_few(folder: Path) -> Path:
    """A copy of the first 252 problems of the bundled bank, for tests that damage it or write it often."""
    return Path(shutil.copytree(few_bank(), folder / "bank"))


def published(shared_dir: Path, folder: Path) -> Bank:
    """The published recording of the same models, 252 problems, whose notes tell what comes out.

    Name, splits and models are those of the bank that was made of it first, and that presets were measured on.
    """
    shares: Any = {"train": {"train": 0.6, "calibration": 0.4}, "test": {"test": 1.0}}
    models = load_preset("gsm8k-like").parameters.models
    rule = SplitRule(salt=BUNDLED, shares=shares)
    recipe = replace(Bank.open(BUNDLED).manifest.recipe, name=BUNDLED, models=models, split_rule=rule)
    return import_jsonl(shared_dir / "traces" / "gsm8k-qwen2.5-coder.jsonl.gz", recipe, folder / "published")


def few_problems(folder: Path, *, train: int = 70, calibration: int = 70, test: int = 112) -> Path:
    """A bank of its own of the first problems of each split of the bundled bank, where speed matters and size does not.

    The default is about as large as the first bank that came with this package.
    """
    bank = Bank.open(BUNDLED)
    chosen = {"train": train, "calibration": calibration, "test": test}
    keep = np.sort(np.concatenate([bank.split_problems(split)[:count] for split, count in chosen.items()]))
    node = np.isin(bank.nodes.problem, keep)
    row_of = {"problem": np.searchsorted(keep, np.arange(len(bank.problems))), "node": np.cumsum(node) - 1}

    def moved(table: pa.Table, name: str, rows: str) -> pa.Table:
        cells = [row if row is None or row < 0 else int(row_of[rows][row]) for row in table[name].to_pylist()]
        place = table.schema.get_field_index(name)
        return table.set_column(place, table.schema.field(place), pa.array(cells, table.schema.field(place).type))

    tables = {name: bank.read(name).filter(pa.array(node)) for name in ("nodes.parquet", "texts.parquet")}
    tables["problems.parquet"] = moved(bank.read("problems.parquet").take(pa.array(keep)), "root", "node")
    nodes = moved(tables["nodes.parquet"], "problem", "problem")
    for name in ("parent", "same_as", *(f"child_{model}" for model in range(len(bank.pool)))):
        nodes = moved(nodes, name, "node")
    tables["nodes.parquet"] = nodes
    write_bank(replace(bank.manifest.recipe, name="few-problems"), tables, folder / "few-problems")
    return folder / "few-problems"


def with_cell(table: pa.Table, column: str, row: int, value: object) -> pa.Table:
    """The table with one other cell."""
    place = table.schema.get_field_index(column)
    cells = table[column].to_pylist()
    cells[row] = value
    return table.set_column(place, table.schema.field(place), pa.array(cells, table.schema.field(place).type))


def resealed(path: Path, name: str, change: Callable[[pa.Table], pa.Table]) -> Path:
    """Change one table and seal the bank anew, so that all hashes are right and only the content is wrong."""
    bank = Bank.open(path)
    tables = {file: bank.read(file) for file in bank.manifest.files}
    tables[name] = change(tables[name])
    seal_bank(bank.manifest.recipe, tables, path)
    return path
