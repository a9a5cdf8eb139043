"""Questions about tables, as WikiTableQuestions 1.0.2 stores them: a TSV of questions and one CSV file a table.

Its CSV escapes quotation marks by a backslash and doubles none. Read by the defaults of :mod:`csv`, 270 of the 2,108
tables are wrong, and 159 of these have rows of the right lengths, so that no check of the shape finds them.
"""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["parse_table", "read_table_questions"]

Table = list[list[str]]


def parse_table(text: str) -> Table:
    """Cells of a table, row by row, the header first.

    Raises:
        ValueError: no rows, or rows of different lengths.
    """
    rows = list(csv.reader(io.StringIO(text, newline=""), doublequote=False, escapechar="\\"))
    lengths = {len(row) for row in rows}
    if len(lengths) != 1:
        raise ValueError(f"a table with rows of {sorted(lengths)} cells; allowed: one or more rows of one length")
    return rows


def read_table_questions(path: Path) -> Iterator[dict[str, str]]:
    """Rows ``question`` (the table, a line a row, then what is asked) and ``answer`` (items between ``|``).

    Args:
        path: the TSV. The tables are in the folder ``csv`` beside it, or in ``csv.tar.gz``.

    Raises:
        ValueError: no tables, a table that is missing or has no shape, or a line of another form.
    """
    tables = _tables(path.parent)
    with path.open(encoding="utf-8", newline="\n") as lines:
        header = next(lines, "").rstrip("\n").split("\t")
        if header != ["id", "utterance", "context", "targetValue"]:
            raise ValueError(f"{path}: columns {header!r}; allowed: id, utterance, context, targetValue")
        for number, line in enumerate(lines, start=2):
            parts = line.rstrip("\n").split("\t")
            if len(parts) != len(header):
                raise ValueError(f"{path}: line {number} has {len(parts)} columns; allowed: {len(header)}")
            _, asked, context, answer = parts
            if "\\" in asked + answer:  # the release escapes newlines and bars so, and has none in these columns
                raise ValueError(f"{path}: line {number} has a backslash; allowed: none, as in release 1.0.2")
            if context not in tables:
                raise ValueError(f"{path}: line {number}: no table {context!r} beside it")
            yield {"question": f"{tables[context]}\n\n{asked}", "answer": answer}


def _tables(folder: Path) -> dict[str, str]:
    """The tables as they stand in a question, by the name that questions give them."""
    loose, packed = folder / "csv", folder / "csv.tar.gz"
    if loose.is_dir():
        files = {path.relative_to(folder).as_posix(): path for path in loose.rglob("*.csv")}
        return {name: _as_text(name, path.read_bytes()) for name, path in files.items()}
    if not packed.is_file():
        raise ValueError(f"{folder} has no tables; allowed: a folder 'csv' or a file 'csv.tar.gz' beside the questions")
    with tarfile.open(packed) as archive:
        opened = {member.name: archive.extractfile(member) for member in archive if member.name.endswith(".csv")}
        return {name: _as_text(name, file.read()) for name, file in opened.items() if file is not None}


def _as_text(name: str, content: bytes) -> str:
    try:
        table = parse_table(content.decode())
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return "\n".join(" | ".join(" ".join(cell.split()) for cell in row) for row in table)
