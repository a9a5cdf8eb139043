"""The arrays of a bank in memory: problems and nodes as structures of arrays, read from the Parquet files."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gym_stepwise_routing.banks.tables import RAW_FIGURES
from gym_stepwise_routing.sources.base import CONFIDENCE, QUESTION

__all__ = ["Nodes", "Problems"]


@dataclass(frozen=True, slots=True, eq=False)
class Problems:
    """The ``P`` problems of a bank with ``K`` models.

    Attributes:
        dataset: name of the dataset, ``string[P]``.
        official_split: split of the official data, ``string[P]``.
        index: ``int64[P]`` row of the official file.
        question_sha256: SHA-256 of the question's UTF-8 text, ``string[P]``.
        answer: reference answer, ``string[P]``.
        prompt_tokens: ``int64[P, K]`` tokens of the whole prompt.
        split: split of the bank, ``string[P]``.
        root: ``int32[P]`` node before the first step.
        question: ``float32[P, len(QUESTION)]`` counts over the question text, NaN where not recorded.
    """

    dataset: pa.ChunkedArray
    official_split: pa.ChunkedArray
    index: NDArray[np.int64]
    question_sha256: pa.ChunkedArray
    answer: pa.ChunkedArray
    prompt_tokens: NDArray[np.int64]
    split: pa.ChunkedArray
    root: NDArray[np.int32]
    question: NDArray[np.float32]

    @classmethod
    def read(cls, file: pq.ParquetFile, models: int) -> Problems:
        """The arrays of ``problems.parquet``. A single ``prompt_tokens`` figure counts for every model.

        Raises:
            ValueError: a ``prompt_tokens`` entry with neither one figure nor one a model.
        """
        table = file.read()
        prompts = table["prompt_tokens"].combine_chunks()
        lengths = pc.list_value_length(prompts).to_numpy(zero_copy_only=False)
        wrong = np.flatnonzero((lengths != 1) & (lengths != models))
        if wrong.size:
            row = int(wrong[0])
            raise ValueError(
                f"row {row}: {lengths[row]} prompt_tokens; allowed: 1, or one for each of the {models} models"
            )
        starts = np.cumsum(lengths) - lengths
        flat = prompts.flatten().to_numpy(zero_copy_only=False).astype(np.int64)
        columns = np.where(lengths[:, None] == 1, 0, np.arange(models))
        question = [pc.cast(table[name], pa.float32()).to_numpy() for name in QUESTION]
        return cls(
            dataset=table["dataset"],
            official_split=table["split"],
            index=table["index"].to_numpy().astype(np.int64),
            question_sha256=table["question_sha256"],
            answer=table["answer"],
            prompt_tokens=_frozen(flat[starts[:, None] + columns]),
            split=table["bank_split"],
            root=_frozen(table["root"].to_numpy()),
            question=_frozen(np.stack(question, axis=1).astype(np.float32)),
        )

    def ids(self) -> list[str]:
        """Public ids, such as ``gsm8k/test/17``."""
        columns = zip(self.dataset.to_pylist(), self.official_split.to_pylist(), self.index.tolist(), strict=True)
        return [f"{dataset}/{split}/{index}" for dataset, split, index in columns]

    def __len__(self) -> int:
        return len(self.index)


@dataclass(frozen=True, slots=True, eq=False)
class Nodes:
    """The ``N`` nodes of a bank with ``K`` models; a node is a trace, namely the one that ends with its step.

    Attributes:
        problem: ``int32[N]`` row of the problem.
        parent: ``int32[N]`` node one step earlier, -1 at a root.
        depth: ``int32[N]`` steps so far.
        model: ``int32[N]`` model that wrote the last step, -1 at a root.
        tokens: ``int32[N]`` tokens of the last step, 0 at a root.
        terminal: ``bool[N]`` the trace has ended.
        correct: ``bool[N]`` the final answer is right; False where the trace has not ended.
        same_as: ``int32[N]`` sibling with the same text, whose children serve both; -1 for none.
        child: ``int32[N, K]`` node after each model's next step, -1 where that was not recorded.
        confidence: ``float32[N, len(CONFIDENCE)]``, NaN where missing. ``logprob_mean`` is the recorded sum over the
            tokens it was summed over: those of the first line, where the step is a whole tail.
        score: ``float32[N]`` verifier score, NaN where missing.
    """

    problem: NDArray[np.int32]
    parent: NDArray[np.int32]
    depth: NDArray[np.int32]
    model: NDArray[np.int32]
    tokens: NDArray[np.int32]
    terminal: NDArray[np.bool_]
    correct: NDArray[np.bool_]
    same_as: NDArray[np.int32]
    child: NDArray[np.int32]
    confidence: NDArray[np.float32]
    score: NDArray[np.float32]

    @classmethod
    def read(cls, file: pq.ParquetFile, models: int) -> Nodes:
        """The arrays of ``nodes.parquet``, decoded a row group at a time straight into their final place."""
        count = file.metadata.num_rows
        plain = {
            name: np.empty(count, np.int32) for name in ("problem", "parent", "depth", "model", "tokens", "same_as")
        }
        flags = {name: np.empty(count, np.bool_) for name in ("terminal", "correct")}
        child = np.empty((count, models), np.int32)
        confidence = np.empty((count, len(CONFIDENCE)), np.float32)
        score = np.empty(count, np.float32)
        wanted = [*plain, *flags, "first_step_tokens", *RAW_FIGURES, "verifier_score"]
        wanted += [f"child_{model}" for model in range(models)]
        start = 0
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=wanted)
            rows = slice(start, start + table.num_rows)
            start = rows.stop
            for name, column in plain.items():
                column[rows] = pc.fill_null(table[name], -1).to_numpy()
            for name, flag in flags.items():
                flag[rows] = pc.fill_null(table[name], False).to_numpy()
            for model in range(models):
                child[rows, model] = table[f"child_{model}"].to_numpy()
            summed = pc.cast(pc.coalesce(table["first_step_tokens"], table["tokens"]), pa.float64())
            for number, name in enumerate(CONFIDENCE):
                figure = pc.divide(table["logprob_sum"], summed) if name == "logprob_mean" else table[name]
                confidence[rows, number] = figure.to_numpy()
            score[rows] = table["verifier_score"].to_numpy()
        nodes = cls(**plain, **flags, child=child, confidence=confidence, score=score)
        for field in fields(cls):
            _frozen(getattr(nodes, field.name))
        return nodes

    def __len__(self) -> int:
        return len(self.depth)


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Read-only from here on: a bank is shared by every environment that plays it."""
    array.flags.writeable = False
    return array
