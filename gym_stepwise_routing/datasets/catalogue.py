"""The datasets that are known by name: where they come from, their fields, sizes and licences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gym_stepwise_routing.datasets.code_tasks import human_eval_row, mbpp_row, mbpp_split
from gym_stepwise_routing.datasets.table_questions import read_table_questions
from gym_stepwise_routing.registry import Registry

__all__ = ["DATASETS", "DatasetSpec"]


@dataclass(frozen=True, slots=True)
class DatasetSpec:
    """One dataset.

    Attributes:
        name: name in references and on the command line.
        hub: name on the Hugging Face hub.
        hub_config: configuration there, None for the default one.
        splits: ``{our split: (split on the hub, rows, local files)}``; the first local file that exists is read, paths
            are relative to the data folder.
        question: field of the question.
        answer: field of the final answer; None: it stands in the solution after ``####``.
        solution: field of the reference solution, None if there is none.
        level: field of the difficulty, None if there is none.
        grading: name of the grader.
        licence: licence as its publisher states it.
        source: paper.
        read: reads a local file row by row; None: it is JSON Lines, gzipped if its name ends in ``.gz``.
        row: makes of a row, of either origin, one with the fields named above; where answers are programs, with
            ``tests`` as well, and where they come from a table, with ``table``.
        split_of: split that a row of a local file belongs to, where one file holds them all.
    """

    name: str
    hub: str
    hub_config: str | None
    splits: dict[str, tuple[str, int, tuple[str, ...]]]
    question: str
    answer: str | None
    solution: str | None
    level: str | None
    grading: str
    licence: str
    source: str
    read: Callable[[Path], Iterator[Mapping[str, Any]]] | None = None
    row: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict
    split_of: Callable[[Mapping[str, Any]], str] | None = None


DATASETS: Registry[DatasetSpec] = Registry("dataset", DatasetSpec, group="gym_stepwise_routing.datasets")
"""The known datasets."""

for _spec in (
    DatasetSpec(
        name="gsm8k",
        hub="openai/gsm8k",
        hub_config="main",
        splits={
            "train": ("train", 7473, ("gsm8k/train.jsonl", "train.jsonl")),
            "test": ("test", 1319, ("gsm8k/test.jsonl", "test.jsonl")),
        },
        question="question",
        answer=None,
        solution="answer",
        level=None,
        grading="numeric",
        licence="MIT",
        source="Cobbe et al. 2021, arXiv 2110.14168",
    ),
    DatasetSpec(
        name="math500",
        hub="HuggingFaceH4/MATH-500",
        hub_config=None,
        splits={"test": ("test", 500, ("math500/test.jsonl", "test.jsonl"))},
        question="problem",
        answer="answer",
        solution="solution",
        level="level",
        grading="math",
        licence="MIT (problems)",
        source="Lightman et al. 2023, arXiv 2305.20050; problems of Hendrycks et al. 2021, arXiv 2103.03874",
    ),
    DatasetSpec(
        name="math",
        hub="EleutherAI/hendrycks_math",
        hub_config="*",
        splits={"train": ("train", 7500, ("math/train.jsonl", "train.jsonl"))},
        question="problem",
        answer="answer",
        solution="solution",
        level="level",
        grading="math",
        licence="MIT",
        source="Hendrycks et al. 2021, arXiv 2103.03874",
    ),
    DatasetSpec(
        name="omni_math",
        hub="KbsdJames/Omni-MATH",
        hub_config=None,
        splits={"test": ("test", 4428, ())},
        question="problem",
        answer="answer",
        solution="solution",
        level="difficulty",
        grading="math",
        licence="Apache-2.0",
        source="Gao et al. 2024, arXiv 2410.07985",
    ),
    DatasetSpec(
        name="omni_math_rule",
        hub="",
        hub_config=None,
        splits={"test": ("", 2000, ("omni_math/omni_math_rule_first2000.jsonl", "omni_math_rule_first2000.jsonl"))},
        question="problem",
        answer="answer",
        solution="solution",
        level="difficulty",
        grading="math",
        licence="Apache-2.0 (parent set)",
        source="first 2,000 of the rule-gradable subset of Omni-MATH, Gao et al. 2024, arXiv 2410.07985",
    ),
    DatasetSpec(
        name="wikitablequestions",
        hub="",
        hub_config=None,
        splits={
            "train": ("", 14152, ("wikitablequestions/training.tsv", "training.tsv")),
            "test": ("", 4344, ("wikitablequestions/pristine-unseen-tables.tsv", "pristine-unseen-tables.tsv")),
        },
        question="question",
        answer="answer",
        solution=None,
        level=None,
        grading="table",
        licence="CC BY-SA 4.0",
        source="Pasupat and Liang 2015, arXiv 1508.00305, release 1.0.2",
        read=read_table_questions,
    ),
    DatasetSpec(
        name="mbpp",
        hub="google-research-datasets/mbpp",
        hub_config="full",
        splits={
            "train": ("train", 374, ("mbpp/mbpp.jsonl", "mbpp.jsonl")),
            "test": ("test", 500, ("mbpp/mbpp.jsonl", "mbpp.jsonl")),
            "validation": ("validation", 90, ("mbpp/mbpp.jsonl", "mbpp.jsonl")),
        },
        question="question",
        answer="function",
        solution="code",
        level=None,
        grading="code",
        licence="CC BY 4.0",
        source="Austin et al. 2021, arXiv 2108.07732",
        row=mbpp_row,
        split_of=mbpp_split,
    ),
    DatasetSpec(
        name="human_eval",
        hub="openai/openai_humaneval",
        hub_config=None,
        splits={"test": ("test", 164, ("human_eval/HumanEval.jsonl.gz", "HumanEval.jsonl.gz"))},
        question="prompt",
        answer="entry_point",
        solution="solution",
        level=None,
        grading="code",
        licence="MIT",
        source="Chen et al. 2021, arXiv 2107.03374",
        row=human_eval_row,
    ),
):
    DATASETS.register(_spec)
