"""Questions about tables, as WikiTableQuestions 1.0.2 stores them: a TSV of questions and one CSV file a table.

Its CSV escapes quotation marks by a backslash and doubles none. Read by the defaults of :mod:`csv`, 270 of the 2,108
tables are wrong, and 159 of these have rows of the right lengths, so that no check of the shape finds them.
"""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gym_stepwise_routing.datasets.problem import Table
from gym_stepwise_routing.storage.lines import numbered_lines, unpacked

__all__ = ["parse_table", "read_table_questions", "table_text"]


_HEADER = ["id", "utterance", "context", "targetValue"]


class _ShapelessError(ValueError):
    """Rows that are no table."""


def parse_table(text: str) -> Table:
    """Cells of a table, row by row, the header first.

    Raises:
        ValueError: no rows, or rows of different lengths.
    """
    rows = list(csv.reader(io.StringIO(text, newline=""), doublequote=False, escapechar="\\"))
    lengths = {len(row) for row in rows}
    if len(lengths) != 1:
        raise _ShapelessError(f"a table with rows of {sorted(lengths)} cells; allowed: one or more rows of one length")
    return tuple(map(tuple, rows))


def table_text(table: Table) -> str:
    """A table as it stands in a question: a line a row, ``|`` between its cells, white space in cells collapsed."""
    return "\n".join(" | ".join(" ".join(cell.split()) for cell in row) for row in table)


def read_table_questions(path: Path) -> Iterator[Mapping[str, Any]]:
    """Rows ``question`` (the table, then what is asked), ``answer`` (items between ``|``) and ``table`` (its cells).

    Args:
        path: the TSV. The tables are in the folder ``csv`` beside it, or in ``csv.tar.gz``.

    Raises:
        ValueError: no tables, a table that is missing, damaged or without a shape, or a line of another form; the
            message names the file, and the line or the table.
    """
    tables = _tables(path.parent)
    for number, line in numbered_lines(path):
        where = f"{path}: line {number}"
        parts = _decoded(line, where).removesuffix("\n").split("\t")
        if number == 1:
            if parts != _HEADER:
                raise ValueError(f"{path}: columns {parts!r:.200}; allowed: {', '.join(_HEADER)}")
            continue
        if len(parts) != len(_HEADER):
            raise ValueError(f"{where} has {len(parts)} columns; allowed: {len(_HEADER)}")
        _, asked, context, answer = parts
        if "\\" in asked + answer:  # the release escapes newlines and bars so, and has none in these columns
            raise ValueError(f"{where} has a backslash; allowed: none, as in release 1.0.2")
        if context not in tables:
            raise ValueError(f"{where}: no table {context!r} beside it")
        table = tables[context]
        yield {"question": f"{table_text(table)}\n\n{asked}", "answer": answer, "table": table}


def _tables(folder: Path) -> dict[str, Table]:
    """The tables, by the name that questions give them."""
    loose, packed = folder / "csv", folder / "csv.tar.gz"
    if loose.is_dir():
        files = {path.relative_to(folder).as_posix(): path for path in loose.rglob("*.csv")}
        return {name: _parsed(path, path.read_bytes()) for name, path in files.items()}
    if not packed.is_file():
        raise ValueError(f"{folder} has no tables; allowed: a folder 'csv' or a file 'csv.tar.gz' beside the questions")
    try:
        with unpacked(packed) as whole, tarfile.open(fileobj=whole, mode="r:") as archive:
            opened = {member.name: archive.extractfile(member) for member in archive if member.name.endswith(".csv")}
            return {name: _parsed(f"{packed}: {name}", file.read()) for name, file in opened.items() if file}
    except (tarfile.TarError, LookupError) as error:
        raise ValueError(f"{packed}: no archive of tables ({error})") from None


def _parsed(place: object, content: bytes) -> Table:
    try:
        return parse_table(_decoded(content, str(place)))
    except csv.Error as error:
        raise ValueError(f"{place}: {error}") from None
    except _ShapelessError as error:
        raise ValueError(f"{place}: {error}") from None


def _decoded(content: bytes, place: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{place}: {error}; allowed: UTF-8") from None
