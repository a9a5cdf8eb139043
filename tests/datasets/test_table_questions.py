"""Tables and questions as WikiTableQuestions stores them."""

from __future__ import annotations

import csv
import gzip
import io
import shutil
import tarfile
from pathlib import Path

import pytest

from gym_stepwise_routing.datasets import DATASETS, load_problems
from gym_stepwise_routing.datasets.table_questions import parse_table, read_table_questions
from gym_stepwise_routing.grading import GRADERS

HEADER = "id\tutterance\tcontext\ttargetValue\n"
SAME_SHAPE = '"river","said \\"long\\""\n"a, b","7"\n'
OTHER_SHAPE = '"river","the \\"old\\", long one"\n"x","7"\n'


@pytest.mark.parametrize(
    ("text", "cell"), [(SAME_SHAPE, 'said "long"'), (OTHER_SHAPE, 'the "old", long one')], ids=["same", "other"]
)
def test_quotation_marks_are_escaped_by_a_backslash(text: str, cell: str) -> None:
    by_default = list(csv.reader(io.StringIO(text, newline="")))
    assert ([len(row) for row in by_default] == [2, 2]) == (text is SAME_SHAPE)  # a check of the shape finds one only
    assert by_default[0][1] != cell
    assert parse_table(text)[0] == ("river", cell)
    assert len(parse_table(text)) == 2


def test_rows_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"rows of \[1, 2\] cells"):
        parse_table('"a","b"\n"c"\n')


@pytest.mark.parametrize("packed", [True, False])
def test_a_question_is_its_table_and_what_is_asked(tmp_path: Path, packed: bool) -> None:
    table = tmp_path / "csv/200-csv/1.csv"
    table.parent.mkdir(parents=True)
    table.write_text('"year","of \\"it\\""\n"1","two\nlines"\n', encoding="utf-8")
    questions = tmp_path / "training.tsv"
    questions.write_text(HEADER + "nt-0\twhich?\tcsv/200-csv/1.csv\ttwo|lines\n", encoding="utf-8")
    if packed:
        with tarfile.open(tmp_path / "csv.tar.gz", "w:gz") as archive:
            archive.add(tmp_path / "csv", "csv")
        table.unlink()
        table.parent.rmdir()
        (tmp_path / "csv").rmdir()
    question = 'year | of "it"\n1 | two lines\n\nwhich?'
    cells = (("year", 'of "it"'), ("1", "two\nlines"))
    assert list(read_table_questions(questions)) == [{"question": question, "answer": "two|lines", "table": cells}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\tb\n", "columns"),
        (HEADER + "nt-0\twhich?\n", "line 2 has 2 columns; allowed: 4"),
        (HEADER + "nt-0\twhich?\tcsv/none.csv\tx\n", "line 2: no table 'csv/none.csv'"),
        (HEADER + "nt-0\twhich\\n?\tcsv/a.csv\tx\n", "line 2 has a backslash"),
    ],
)
def test_what_is_not_of_the_form_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv/a.csv").write_text('"a"\n', encoding="utf-8")
    (tmp_path / "q.tsv").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message.replace("\\", "\\\\")):
        list(read_table_questions(tmp_path / "q.tsv"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'"a","b"\n"c"\n', r"a table with rows of \[1, 2\] cells; allowed: one or more rows of one length"),
        (b"", r"a table with rows of \[\] cells"),
        (b'"a"\n"\xff"\n', "'utf-8' codec can't decode .*; allowed: UTF-8"),
        (b'"a"\n"' + b"x" * 200_000 + b'"\n', "field larger than field limit"),
    ],
)
@pytest.mark.parametrize("packed", [True, False])
def test_a_table_that_does_not_parse_is_named(tmp_path: Path, content: bytes, message: str, packed: bool) -> None:
    table = tmp_path / "csv/200-csv/1.csv"
    table.parent.mkdir(parents=True)
    table.write_bytes(content)
    (tmp_path / "q.tsv").write_text(HEADER, encoding="utf-8")
    if packed:
        with tarfile.open(tmp_path / "csv.tar.gz", "w:gz") as archive:
            archive.add(tmp_path / "csv", "csv")
        shutil.rmtree(tmp_path / "csv")
    with pytest.raises(ValueError, match=rf"csv/200-csv/1\.csv: {message}"):
        list(read_table_questions(tmp_path / "q.tsv"))


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", b"\x1f\x8b\x08\x00half", gzip.compress(b"no archive" * 99, mtime=0)],
    ids=["empty", "text", "half a gzip file", "gzip of text"],
)
def test_an_archive_that_is_none_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "csv.tar.gz").write_bytes(content)
    (tmp_path / "q.tsv").write_text(HEADER, encoding="utf-8")
    with pytest.raises(ValueError, match=r"csv\.tar\.gz: "):
        list(read_table_questions(tmp_path / "q.tsv"))


def test_a_line_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "csv").mkdir()
    (tmp_path / "q.tsv").write_bytes(HEADER.encode() + b"\xff\n")
    with pytest.raises(ValueError, match=r"q\.tsv: line 2: 'utf-8' codec can't decode"):
        list(read_table_questions(tmp_path / "q.tsv"))


def test_without_tables_the_error_says_where_they_are_looked_for(tmp_path: Path) -> None:
    (tmp_path / "q.tsv").write_text(HEADER, encoding="utf-8")
    with pytest.raises(ValueError, match=r"has no tables; allowed: a folder 'csv' or a file 'csv.tar.gz'"):
        list(read_table_questions(tmp_path / "q.tsv"))


def test_the_official_files_are_read_whole(shared_dir: Path) -> None:
    problems = load_problems("wikitablequestions", "test", data=shared_dir / "data")
    assert len(problems) == 4344
    assert sum("|" in problem.answer for problem in problems) == 115  # lists, 2.6 %
    grade = GRADERS[DATASETS["wikitablequestions"].grading].make()
    assert all(grade(f"So.\nThe answer is {problem.answer}.", problem).correct for problem in problems)
