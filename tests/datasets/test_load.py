"""Problems from local files and from the hub's library."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from gym_stepwise_routing.datasets import DATASETS, Problem, load_file, load_problems, question_sha256


def write(path: Path, rows: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "split", "first_answer"),
    [
        ("gsm8k", "test", "18"),
        ("gsm8k", "train", "72"),
        ("math500", "test", r"\left( 3, \frac{\pi}{2} \right)"),
        ("math", "train", "0"),
        ("omni_math_rule", "test", "115440"),
    ],
)
def test_official_files_have_all_rows(shared_dir: Path, name: str, split: str, first_answer: str) -> None:
    problems = load_problems(name, split, data=shared_dir / "data")
    assert len(problems) == DATASETS[name].splits[split][1]
    assert problems[0].answer == first_answer
    assert [problem.index for problem in problems] == list(range(len(problems)))
    assert len({problem.sha256 for problem in problems}) == len(problems)


def test_ids_and_hashes_are_those_of_the_published_traces(shared_dir: Path) -> None:
    problem = load_problems("gsm8k", "test", data=shared_dir / "data")[0]
    assert problem.id == "gsm8k/test/0"
    assert problem.sha256 == "2b2e3f9639f6fa282a0b0c1d622e0c75cc03797b43268945f32b134da4fee344"


def test_the_hub_gives_the_same_problems_as_the_file(shared_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library is replaced: no test may need the network. Its rows are the official ones, read from the file."""
    rows = [json.loads(line) for line in (shared_dir / "data/gsm8k/test.jsonl").read_text("utf-8").splitlines()]
    asked = []

    def load_dataset(*names: str | None, split: str) -> list[Any]:
        asked.append((*names, split))
        return rows

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    assert load_problems("gsm8k", "test") == load_problems("gsm8k", "test", data=shared_dir / "data")
    assert asked == [("openai/gsm8k", "main", "test")]


def test_hubs_math_is_put_together_from_its_subjects(shared_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's form has a configuration a subject and no answer field."""
    rows = [json.loads(line) for line in (shared_dir / "data/math/train.jsonl").read_text("utf-8").splitlines()]
    subjects = {row["subject"] for row in rows}

    def load_dataset(name: str, subject: str, split: str) -> list[Any]:
        title = subject.replace("_", " ").replace(" and ", " & ").title()
        assert title in subjects
        return [
            {"problem": row["problem"], "solution": row["solution"], "level": f"Level {row['level']}"}
            for row in rows
            if row["subject"] == title
        ]

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    hub, local = load_problems("math", "train"), load_problems("math", "train", data=shared_dir / "data")
    assert [p.sha256 for p in hub] == [p.sha256 for p in local]
    same = sum(
        one.answer.replace(" ", "") == other.answer.replace(" ", "") for one, other in zip(hub, local, strict=True)
    )
    assert same >= 0.99 * len(local)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ImportError, match=r"gym-stepwise-routing\[llm\]"):
        load_problems("gsm8k", "test")


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", [{"q": "1 + 1?", "a": 2}, {"q": "2 + 2?", "a": "4"}])
    problems = load_file(path, question="q", answer="a")
    assert problems[1] == Problem("mine", "test", 1, "2 + 2?", "4")
    assert problems[0].answer == "2"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"question": "x"}], "row 0 has no field 'answer'; it has: 'question'"),
        ([{"question": " ", "answer": "1"}], "question is empty"),
        ([{"question": "x", "answer": [1]}], r"answer=\[1\]"),
        ([{"question": "x", "answer": True}], "answer=True"),
        ([["x"]], "line 1 is no JSON object"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, rows: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_file(write(tmp_path / "mine.jsonl", rows))


def test_a_line_that_is_not_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text('{"question": "x", "answer": "1"}\n{"quest', encoding="utf-8")
    with pytest.raises(ValueError, match="line 2: not JSON"):
        load_file(tmp_path / "mine.jsonl")


def test_missing_files_and_names_are_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no file"):
        load_file(tmp_path / "none.jsonl")
    with pytest.raises(ValueError, match=r"no file of gsm8k/test; looked for: .*gsm8k/test\.jsonl"):
        load_problems("gsm8k", "test", data=tmp_path)
    with pytest.raises(ValueError, match="dataset='gsm9k'"):
        load_problems("gsm9k", "test", data=tmp_path)
    with pytest.raises(ValueError, match="split='dev'"):
        load_problems("gsm8k", "dev", data=tmp_path)


def test_a_truncated_official_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "gsm8k/test.jsonl", [{"question": "x", "answer": "so\n#### 1"}])
    with pytest.raises(ValueError, match="1 rows; allowed: the 1319 rows"):
        load_problems("gsm8k", "test", data=tmp_path)


def test_hash_is_over_the_exact_text() -> None:
    assert question_sha256("a") != question_sha256("a ")
    assert len(question_sha256("é")) == 64


def test_a_solution_in_the_form_of_gsm8k_is_read_after_its_mark(tmp_path: Path) -> None:
    rows = [{"question": "1?", "answer": "2 + 2 = <<2+2=4>>4\n#### 1,200"}, {"question": "2?", "answer": "1,200"}]
    assert [problem.answer for problem in load_file(write(tmp_path / "own.jsonl", rows))] == ["1200", "1,200"]


@pytest.mark.parametrize(
    ("final", "answer"),
    [
        ("1,200", "1200"),
        ("$1,234,567.50 in all", "$1234567.50 in all"),
        ("Washington, D.C.", "Washington, D.C."),
        ("(1, 2)", "(1, 2)"),
        ("(1,200)", "(1,200)"),
        ("1,2", "1,2"),
    ],
)
def test_only_the_commas_of_thousands_are_taken_out_of_a_reference(tmp_path: Path, final: str, answer: str) -> None:
    (problem,) = load_file(write(tmp_path / "own.jsonl", [{"question": "1?", "answer": f"So.\n#### {final}"}]))
    assert problem.answer == answer
