"""The arrays of a bank in memory: problems and nodes as structures of arrays, made from the Parquet columns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gym_stepwise_routing.banks.bank_tables import ANSWERS, RAW_FIGURES, RowError
from gym_stepwise_routing.banks.columns import is_known, to_floats, to_lists, to_numpy
from gym_stepwise_routing.types import CONFIDENCE, FEEDBACK, QUESTION, TOKEN_CLASS_FIGURES, TOKEN_CLASSES

__all__ = ["Nodes", "Problems", "RowError", "first_true", "node_columns"]


def first_true(mask: NDArray[Any]) -> tuple[int, ...] | None:
    """Index of the first True of an array, or None."""
    if not mask.any():
        return None
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(mask)), mask.shape))


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Read-only from here on: a bank is shared by every environment that plays it."""
    array.flags.writeable = False
    return array


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
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

    dataset: pa.ChunkedArray[Any]
    official_split: pa.ChunkedArray[Any]
    index: NDArray[np.int64]
    question_sha256: pa.ChunkedArray[Any]
    answer: pa.ChunkedArray[Any]
    prompt_tokens: NDArray[np.int64]
    split: pa.ChunkedArray[Any]
    root: NDArray[np.int32]
    question: NDArray[np.float32]

    @classmethod
    def of(cls, table: pa.Table, models: int) -> Problems:
        """The arrays of ``problems.parquet``. A single ``prompt_tokens`` figure counts for every model.

        Raises:
            RowError: a ``prompt_tokens`` entry with neither one figure nor one a model.
        """
        lengths, figures = to_lists(table["prompt_tokens"])
        if found := first_true((lengths != 1) & (lengths != models)):
            raise RowError(
                "problems", found[0], f"{lengths[found]} prompt_tokens; allowed: 1, or one a model ({models})"
            )
        starts = np.cumsum(lengths) - lengths
        columns = np.where(lengths[:, None] == 1, 0, np.arange(models))
        question = [to_floats(table[name]) for name in QUESTION]
        return cls(
            dataset=table["dataset"],
            official_split=table["split"],
            index=_frozen(to_numpy(table["index"]).astype(np.int64)),
            question_sha256=table["question_sha256"],
            answer=table["answer"],
            prompt_tokens=_frozen(figures[starts[:, None] + columns]),
            split=table["bank_split"],
            root=_frozen(to_numpy(table["root"])),
            question=_frozen(np.stack(question, axis=1).astype(np.float32)),
        )

    def references(self) -> list[tuple[str, str, int, str]]:
        """Dataset, official split, index and ``question_sha256`` of each problem: all that leads to its text."""
        strings = [column.to_pylist() for column in (self.dataset, self.official_split, self.question_sha256)]
        return list(zip(*strings[:2], self.index.tolist(), strings[2], strict=True))

    def ids(self, references: list[tuple[str, str, int, str]] | None = None) -> list[str]:
        """Public ids, such as ``gsm8k/test/17``; ``references`` are :meth:`references`, where they are at hand."""
        found = self.references() if references is None else references
        return [f"{dataset}/{split}/{index}" for dataset, split, index, _ in found]

    def __len__(self) -> int:
        return len(self.index)


def node_columns(models: int, *, answered: bool = False, classed: bool = False) -> list[str]:
    """The columns of ``nodes.parquet`` that :meth:`Nodes.of` needs."""
    return [
        *("problem", "parent", "depth", "model", "tokens", "first_step_tokens", *RAW_FIGURES),
        *("terminal", "correct", "same_as", "verifier_score", *(f"child_{model}" for model in range(models))),
        *(ANSWERS if answered else ()),
        *(TOKEN_CLASS_FIGURES if classed else ()),
    ]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Nodes:
    """The ``N`` nodes of a bank with ``K`` models; a node is a trace, namely the one that ends with its step.

    Attributes:
        problem: ``int32[N]`` row of the problem.
        parent: ``int32[N]`` node one step earlier, -1 at a root.
        depth: ``int32[N]`` steps so far.
        model: ``int32[N]`` model that wrote the last step, -1 at a root.
        tokens: ``int32[N]`` tokens of the last step, 0 at a root.
        same_as: ``int32[N]`` sibling with the same text, whose children serve both; -1 for none.
        terminal: ``bool[N]`` the trace has ended.
        correct: ``bool[N]`` the final answer is right; False where the trace has not ended.
        child: ``int32[N, K]`` node after each model's next step, -1 where that was not recorded.
        confidence: ``float32[N, len(CONFIDENCE)]``, NaN where missing. ``logprob_mean`` is the recorded sum over the
            tokens it was summed over: those of the first line, where the step is a whole tail.
        score: ``float32[N]`` verifier score, NaN where missing.
        feedback: ``float32[N, len(FEEDBACK)]`` what an environment answered, NaN where missing; None: none answers.
        context: ``int64[N]`` input tokens of the call that wrote the step, -1 where missing; None: none answers.
        classes: ``float32[N, len(TOKEN_CLASS_FIGURES)]`` figures by class of token, NaN where missing; None: the bank
            has none.
    """

    problem: NDArray[np.int32]
    parent: NDArray[np.int32]
    depth: NDArray[np.int32]
    model: NDArray[np.int32]
    tokens: NDArray[np.int32]
    same_as: NDArray[np.int32]
    terminal: NDArray[np.bool_]
    correct: NDArray[np.bool_]
    child: NDArray[np.int32]
    confidence: NDArray[np.float32]
    score: NDArray[np.float32]
    feedback: NDArray[np.float32] | None = None
    context: NDArray[np.int64] | None = None
    classes: NDArray[np.float32] | None = None

    @classmethod
    def of(
        cls, tables: Iterable[pa.Table], count: int, models: int, *, answered: bool = False, classed: bool = False
    ) -> Nodes:
        """The arrays of ``nodes.parquet``, filled from consecutive parts of it, so that none is in memory twice.

        Args:
            tables: parts with the columns :func:`node_columns`.
            count: rows of all parts together.
            models: models of the pool.
            answered: the parts have the columns ``ANSWERS``.
            classed: they have the columns ``TOKEN_CLASS_FIGURES``.

        Raises:
            RowError: ``correct`` missing where a trace has ended, or there where it has not; first-line tokens that are
                not between 1 and all tokens; or figures by class of token that are not of these tokens.
        """
        integers: dict[str, NDArray[np.int32]] = {
            name: np.empty(count, np.int32) for name in ("problem", "parent", "depth", "model", "tokens", "same_as")
        }
        flags: dict[str, NDArray[np.bool_]] = {name: np.empty(count, np.bool_) for name in ("terminal", "correct")}
        child = np.empty((count, models), np.int32)
        confidence = np.empty((count, len(CONFIDENCE)), np.float32)
        score = np.empty(count, np.float32)
        feedback = np.empty((count, len(FEEDBACK)), np.float32) if answered else None
        context = np.empty(count, np.int64) if answered else None
        classes = np.empty((count, len(TOKEN_CLASS_FIGURES)), np.float32) if classed else None
        start = 0
        for table in tables:
            rows = slice(start, start + table.num_rows)
            for name, integer in integers.items():
                integer[rows] = to_numpy(table[name], -1)
            for name, flag in flags.items():
                flag[rows] = to_numpy(table[name], False)
            for model in range(models):
                child[rows, model] = to_numpy(table[f"child_{model}"])
            _check_part(table, start)
            for number, name in enumerate(CONFIDENCE):
                figure = _logprob_mean(table) if name == "logprob_mean" else to_numpy(table[name], np.nan)
                with np.errstate(over="ignore"):  # beyond float32 it becomes infinite, which the checks refuse
                    confidence[rows, number] = figure
            score[rows] = to_numpy(table["verifier_score"], np.nan)
            if feedback is not None and context is not None:
                context[rows] = to_numpy(table["context_tokens"], -1)
                for number, name in enumerate(FEEDBACK):
                    feedback[rows, number] = to_floats(table[f"answer_{name}"])
            if classes is not None:
                _check_classes(table, start)
                for number, name in enumerate(TOKEN_CLASS_FIGURES):
                    classes[rows, number] = to_floats(table[name])
            start = rows.stop
        for array in (*integers.values(), *flags.values(), child, confidence, score, feedback, context, classes):
            if array is not None:
                _frozen(array)
        return cls(
            problem=integers["problem"],
            parent=integers["parent"],
            depth=integers["depth"],
            model=integers["model"],
            tokens=integers["tokens"],
            same_as=integers["same_as"],
            terminal=flags["terminal"],
            correct=flags["correct"],
            child=child,
            confidence=confidence,
            score=score,
            feedback=feedback,
            context=context,
            classes=classes,
        )

    def __len__(self) -> int:
        return len(self.depth)


def _logprob_mean(table: pa.Table) -> NDArray[np.float64]:
    """Mean over the tokens that the sum was taken over. A root has neither a sum nor tokens, and comes out as NaN."""
    mean: NDArray[np.float64] = to_numpy(table["logprob_sum"], np.nan) / np.maximum(_tokens_with_figures(table), 1)
    return mean


def _tokens_with_figures(table: pa.Table) -> NDArray[np.int32]:
    """Tokens that the figures of a step are taken over: those of its first line where it is a whole tail, else all."""
    line: NDArray[np.int32] = to_numpy(table["first_step_tokens"])
    return np.where(line > 0, line, to_numpy(table["tokens"]))


def _check_classes(table: pa.Table, start: int) -> None:
    """Both classes together are the tokens with figures, and a class has figures where it has tokens."""
    both = [to_numpy(table[f"{name}_tokens"], -1) for name in TOKEN_CLASSES]
    tokens = _tokens_with_figures(table)
    known = (both[0] >= 0) | (both[1] >= 0)
    if found := first_true(known & ((both[0] < 0) | (both[1] < 0) | (both[0] + both[1] != tokens))):
        told = " and ".join(f"{name}_tokens {table[f'{name}_tokens'][found[0]]}" for name in TOKEN_CLASSES)
        raise RowError("nodes", start + found[0], f"{told}; allowed: counts that come to {tokens[found]}, or neither")
    for name in TOKEN_CLASSES:
        count = to_numpy(table[f"{name}_tokens"], 0)
        for figure in (column for column in TOKEN_CLASS_FIGURES if column.startswith(name) and "tokens" not in column):
            if found := first_true(to_numpy(table[figure].is_valid()) != (count > 0)):
                fault = f"{figure} is {table[figure][found[0]]} of {count[found]} tokens; allowed: one if there are any"
                raise RowError("nodes", start + found[0], fault)


def _check_part(table: pa.Table, start: int) -> None:
    """What the arrays no longer tell, because a missing value was filled in."""
    graded = is_known(table["correct"])
    if found := first_true(graded != to_numpy(table["terminal"])):
        state = "has not ended and yet is graded" if graded[found] else "has ended and yet is not graded"
        raise RowError("nodes", start + found[0], f"the trace {state} (correct is {table['correct'][found[0]]})")
    line, tokens = to_numpy(table["first_step_tokens"], 1), to_numpy(table["tokens"])
    if found := first_true((line < 1) | (line > np.maximum(tokens, 1))):
        raise RowError("nodes", start + found[0], f"first_step_tokens is {line[found]}; allowed: 1 to {tokens[found]}")
