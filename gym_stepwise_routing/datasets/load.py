"""Loading of problems: from a local file, or through the ``datasets`` library; the same problems either way."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from gym_stepwise_routing.datasets.catalogue import DATASETS, DatasetSpec
from gym_stepwise_routing.datasets.json_lines import json_lines, numbered_rows
from gym_stepwise_routing.datasets.problem import Problem, ProgramTests, Table
from gym_stepwise_routing.errors import check_choice

__all__ = ["line_of_row", "load_file", "load_problems", "load_questions"]

_THOUSANDS = re.compile(r"[^\d(\[{]*\d{1,3}(?:,\d{3})+(?:\.\d+)?[^\d,]*")
"""One number with thousands separators, and its unit."""
_MATH_SUBJECTS = (
    "algebra",
    "counting_and_probability",
    "geometry",
    "intermediate_algebra",
    "number_theory",
    "prealgebra",
    "precalculus",
)


def load_problems(name: str, split: str, *, data: str | Path | None = None) -> list[Problem]:
    """All problems of a split of a known dataset, in the order of the official file.

    Args:
        name: name in the catalogue.
        split: split of the official dataset.
        data: folder with the local files; None: download through the ``datasets`` library.

    Raises:
        ValueError: unknown dataset or split, no file in ``data``, a row without a field, a wrong number of rows.
        ImportError: ``data`` is None and the ``datasets`` library is missing.
    """
    spec = DATASETS.get(name)
    check_choice("split", split, spec.splits)
    hub_split, count, files = spec.splits[split]
    if data is None:
        rows: list[Mapping[str, Any]] = _hub_rows(spec, hub_split)
        origin = spec.hub
    else:
        path = _local_file(spec, split, Path(data), files)
        rows = _file_rows(spec, split, path)
        origin = str(path)
    if len(rows) != count:
        raise ValueError(f"{origin}: {len(rows)} rows; allowed: the {count} rows of {name}/{split}")
    return [_problem(spec, split, index, spec.row(row), origin) for index, row in enumerate(rows)]


def load_questions(path: str | Path, name: str, split: str, *, question: str = "question") -> list[str]:
    """Question texts of a file of a dataset, in its order; answers are not looked at.

    Args:
        path: the file. A known dataset whose official file is no JSON Lines file with a field of the question is read
            as it stands.
        name: dataset.
        split: split of the official dataset.
        question: field that holds the question, in a file of any other dataset.

    Raises:
        ValueError: as :func:`load_file`.
    """
    spec = DATASETS.get(name) if name in DATASETS else None
    if spec is None or (spec.read is None and spec.row is dict and spec.split_of is None):
        # an answer may be spelt in many ways, and any text field will do for it
        return [problem.question for problem in load_file(path, question=question, answer=question)]
    rows = _file_rows(spec, split, Path(path))
    return [_field(spec.row(row), spec.question, str(path), index) for index, row in enumerate(rows)]


def load_file(
    path: str | Path,
    *,
    name: str | None = None,
    split: str = "test",
    question: str = "question",
    answer: str = "answer",
) -> list[Problem]:
    """Problems of a JSON Lines file of one's own.

    Args:
        path: one JSON object a line.
        name: dataset's name in references; by default the file's name without its ending.
        split: split's name in references.
        question: field that holds the question.
        answer: field that holds the final answer, or a solution with it after ``####``; a number may be given as such.

    A field ``tests`` (a program, or a list of them) and ``before`` (text before the answer) are for answers that are
    programs. A field ``table`` (rows of cells, the header first) has the table that the question's text shows.

    Raises:
        ValueError: no such file, a line that is not an object, a row without the fields, an empty question, or a table
            without rows, with rows of different lengths, or with a cell that is no text or number.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"dataset={str(path)!r} is no file; allowed: a JSON Lines file")
    return [
        Problem(
            dataset=name or path.stem,
            split=split,
            index=index,
            question=_field(row, question, f"{path}: line {line}", index),
            answer=_final(_field(row, answer, f"{path}: line {line}", index)),
            tests=_tests(row, f"{path}: line {line}", index),
            table=_table(row, f"{path}: line {line}", index),
        )
        for index, (line, row) in enumerate(numbered_rows(path))
    ]


def line_of_row(path: Path, row: int) -> int:
    """Line of a row of a JSON Lines file, both as people and :class:`Problem` count them: from 1 and from 0."""
    return next(islice(numbered_rows(path), row, None))[0]


def _file_rows(spec: DatasetSpec, split: str, path: Path) -> list[Mapping[str, Any]]:
    """Rows of a split in a local file in the official form."""
    rows: list[Mapping[str, Any]] = list((spec.read or json_lines)(path))
    return rows if spec.split_of is None else [row for row in rows if spec.split_of(row) == split]


def _local_file(spec: DatasetSpec, split: str, data: Path, files: Sequence[str]) -> Path:
    candidates = [data / file for file in files]
    for path in candidates:
        if path.is_file():
            return path
    looked = ", ".join(map(str, candidates)) or "nothing, this split has no local form"
    raise ValueError(f"data={str(data)!r} has no file of {spec.name}/{split}; looked for: {looked}")


def _hub_rows(spec: DatasetSpec, split: str) -> list[Mapping[str, Any]]:
    if not spec.hub:
        raise ValueError(f"dataset={spec.name!r} exists as a local file only; allowed: data=<folder>")
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise ImportError(
            "loading a dataset by name needs the datasets library: pip install 'gym-stepwise-routing[llm]' "
            "(or give the folder of the local files)"
        ) from error
    configs = _MATH_SUBJECTS if spec.hub_config == "*" else (spec.hub_config,)
    rows: list[Mapping[str, Any]] = []
    for config in configs:
        rows.extend(load_dataset(spec.hub, config, split=split))
    return rows


def _final(answer: str) -> str:
    """The final answer of a solution in the form of GSM8K, which stands after ``####``; any other text as it is."""
    _, marker, final = answer.rpartition("####")
    final = final.strip()
    return (final.replace(",", "") if _THOUSANDS.fullmatch(final) else final) if marker else answer


def _problem(spec: DatasetSpec, split: str, index: int, row: Mapping[str, Any], origin: str) -> Problem:
    solution = "" if spec.solution is None else _field(row, spec.solution, origin, index)
    if spec.answer is None:
        answer = _final(solution)
    elif spec.answer in row:
        answer = _field(row, spec.answer, origin, index, empty=True)
    else:  # the hub's form of MATH gives the answer in its solution only
        from gym_stepwise_routing.datasets.boxed import last_boxed

        answer = last_boxed(solution) or ""
    return Problem(
        dataset=spec.name,
        split=split,
        index=index,
        question=_field(row, spec.question, origin, index),
        answer=answer,
        solution=solution,
        level=_level(row.get(spec.level) if spec.level else None),
        tests=_tests(row, origin, index) if spec.grading == "code" else None,
        table=_table(row, origin, index) if spec.grading == "table" else None,
    )


def _tests(row: Mapping[str, Any], origin: object, index: int) -> ProgramTests | None:
    """The row's ``tests``, one program or a list of them, and its ``before``; None where it has no such field."""
    if "tests" not in row:
        return None
    tests = row["tests"]
    programs = tests if isinstance(tests, list) else [tests]
    if not programs or not all(isinstance(program, str) and program.strip() for program in programs):
        raise ValueError(f"{origin}: row {index}: tests={tests!r}; allowed: a program, or a list of one or more")
    return ProgramTests(
        "\n".join(programs), _field(row, "before", origin, index, empty=True) if "before" in row else ""
    )


def _table(row: Mapping[str, Any], origin: object, index: int) -> Table | None:
    """The row's ``table``; None where it has no such field."""
    if "table" not in row:
        return None
    table = row["table"]
    rows: list[Any] = list(table) if isinstance(table, list | tuple) and table else [None]
    if not all(isinstance(cells, list | tuple) and cells and len(cells) == len(rows[0]) for cells in rows):
        raise ValueError(f"{origin}: row {index}: table={table!r:.80}; allowed: one or more rows of one length")
    for cell in (cell for cells in rows for cell in cells):
        if not isinstance(cell, str | int | float) or isinstance(cell, bool):
            raise ValueError(f"{origin}: row {index}: table has the cell {cell!r:.80}; allowed: text or a number")
    return tuple(tuple(map(str, cells)) for cells in rows)


def _field(row: Mapping[str, Any], field: str, origin: object, index: int, *, empty: bool = False) -> str:
    if field not in row:
        raise ValueError(f"{origin}: row {index} has no field {field!r}; it has: {', '.join(map(repr, row))}")
    value = row[field]
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise ValueError(f"{origin}: row {index}: {field}={value!r}; allowed: text or a number")
    if not empty and not str(value).strip():
        raise ValueError(f"{origin}: row {index}: {field} is empty")
    return str(value)


def _level(value: Any) -> float | None:
    """Difficulty as a number: 3, 3.5 or "Level 3"; None where there is none."""
    digits = str(value).removeprefix("Level ").strip()
    try:
        return float(digits)
    except ValueError:
        return None
