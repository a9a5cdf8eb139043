"""Mistakes of a selection: found before a model is loaded, and told by file and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from generator_fakes import FakeGenerator

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.costs.models import Model
from gym_stepwise_routing.errors import BankError
from gym_stepwise_routing.generators import StepRule
from gym_stepwise_routing.generators.generator import GeneratorInfo
from gym_stepwise_routing.generators.prompts import PromptTemplate
from gym_stepwise_routing.generators.specs import GeneratorSpec
from gym_stepwise_routing.recorder.problem_selection import Selection
from gym_stepwise_routing.recorder.recording import record
from gym_stepwise_routing.recorder.recording_manifest import recording_manifest, seal_manifest
from gym_stepwise_routing.recorder.selection_checks import check_contexts, check_selections, notes, without_duplicates
from gym_stepwise_routing.recorder.session import RecordingSession
from gym_stepwise_routing.recorder.settings import RecordingSettings
from gym_stepwise_routing.recorder.store import TreeStore

SETTINGS = RecordingSettings(PromptTemplate("plain", "Q: {question}\nA:\n"), rule=StepRule(horizon=2))
SPECS = (GeneratorSpec(backend="openai", model="small"), GeneratorSpec(backend="openai", model="large"))


def chosen(path: Path, questions: list[str], split: str = "", **changes: Any) -> Selection:
    """A file with a blank line at its head, so that rows are not lines."""
    rows = [{"question": question, "answer": 1} | changes for question in questions]
    path.write_text("\n" + "".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return Selection.parse(f"{path}{split}", data=None, grading="numeric")


def session(out: Path, *selections: Selection, drop: bool = False) -> RecordingSession:
    return RecordingSession(SPECS, selections, SETTINGS, out, "record", "MIT", drop_duplicates=drop)


def recorded(out: Path, *selections: Selection) -> None:
    infos = [GeneratorInfo("fake 1", name, 10, "ab" * 32, 100, 2, "cd" * 32) for name in ("small", "large")]
    manifest = recording_manifest(
        settings=SETTINGS,
        models=[Model("small", 10.0), Model("large", 20.0)],
        generators=infos,
        shared_prefix=[1, 1],
        datasets={s.name: s.dataset for s in selections},
        command="record",
        licence="MIT",
    )
    seal_manifest(out, manifest)
    store = TreeStore(out / "trees-0.jsonl")
    pool = [FakeGenerator(name, lambda prompt, prefix: "The answer is 1.") for name in ("small", "large")]
    record([problem for selection in selections for problem in selection.problems], pool, store, SETTINGS)
    store.close()


def test_a_question_in_two_splits_is_named_by_file_and_line(tmp_path: Path) -> None:
    train = chosen(tmp_path / "a.jsonl", ["1?", "2?", "3?"], "@train")
    test = chosen(tmp_path / "b.jsonl", ["9?", "3?"], "@test")
    with pytest.raises(ValueError, match=r"1 questions.*a\.jsonl: line 4, in 'train', and .*b\.jsonl: line 3, in"):
        session(tmp_path / "out", train, test)
    kept = without_duplicates([train, test])
    assert [[problem.index for problem in selection.problems] for selection in kept] == [[0, 1, 2], [0]]
    check_selections(kept, "numeric")


def test_a_question_that_repeats_in_its_split_is_noted(tmp_path: Path) -> None:
    train = chosen(tmp_path / "a.jsonl", ["1?", "2?", "1?"], "@train")
    check_selections([train], "numeric")
    (note,) = notes([train], "toy")
    assert note.startswith(f"1 problems repeat a question, such as {tmp_path}/a.jsonl: line 4 that of ")
    with pytest.raises(ValueError, match="all its questions were selected before"):
        without_duplicates([train, chosen(tmp_path / "b.jsonl", ["1?"], "@test")])


@pytest.mark.parametrize("again", ["What is  1?", " What is 1?", "What is 1?\r\n", "What is\n1?"])
def test_a_question_that_repeats_but_for_white_space_is_the_same_one(tmp_path: Path, again: str) -> None:
    train, test = (
        chosen(tmp_path / "a.jsonl", ["What is 1?"], "@train"),
        chosen(tmp_path / "b.jsonl", [again, "2?"], "@test"),
    )
    with pytest.raises(ValueError, match=r"1 questions are in two splits, .*a\.jsonl: line 2.*b\.jsonl: line 2"):
        check_selections([train, test], "numeric")
    kept = without_duplicates([train, test])
    assert [[problem.index for problem in selection.problems] for selection in kept] == [[0], [1]]
    unsplit = chosen(tmp_path / "c.jsonl", ["What is 1?", "2?", again])
    with pytest.raises(ValueError, match=r"1 questions repeat another but for white space, .*line 4 that of .*line 2"):
        check_selections([unsplit], "numeric")


def test_a_question_with_two_answers_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"question": "1?", "answer": "4"}, {"question": "1?", "answer": "4"}, {"question": "1?", "answer": "5"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    told = notes([Selection.parse(f"{path}@train", data=None, grading="numeric")], "toy")
    assert told[0].startswith("2 problems repeat a question")
    assert told[1] == (
        f"1 of them have another answer, such as {path}: line 3, '5', and {path}: line 1, '4': "
        "one of the two is graded by a wrong reference"
    )


def test_an_answer_that_cannot_be_graded_is_named_by_file_and_line(tmp_path: Path) -> None:
    wordy = chosen(tmp_path / "a.jsonl", ["1?", "2?"], answer="one")
    with pytest.raises(ValueError, match=r"2 reference answers.*a\.jsonl: line 2\): answer='one'"):
        check_selections([wordy], "numeric")


def test_a_row_that_cannot_be_read_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('\n{"question": "1?", "answer": 1}\n{"question": "2?"}\n', "utf-8")
    with pytest.raises(ValueError, match=r"a\.jsonl: line 3.*no field 'answer'"):
        Selection.parse(str(path), data=None)


def test_a_file_without_a_split_is_split_into_all_three_and_says_so(tmp_path: Path) -> None:
    selection = chosen(tmp_path / "a.jsonl", [f"{i}?" for i in range(60)])
    recorded(tmp_path / "out", selection)
    bank = session(tmp_path / "out", selection).bank("toy")
    counts = [len(bank.split_problems(split)) for split in ("train", "calibration", "test")]
    assert min(counts) > 5
    assert sum(counts) == 60
    (note,) = notes([selection], "toy")
    assert note.endswith(
        "no @SPLIT, so its problems are split by the hash of their questions: "
        f"{counts[0]} train, {counts[1]} calibration, {counts[2]} test"
    )


def test_a_split_that_nothing_falls_to_is_noted(tmp_path: Path) -> None:
    told = notes([chosen(tmp_path / "a.jsonl", ["1?"])], "toy")
    assert len(told) == 2
    assert "nothing falls to " in told[1]


def test_a_prompt_over_the_context_is_named_by_file_and_line(tmp_path: Path) -> None:
    selection = chosen(tmp_path / "a.jsonl", ["1?", "so " * 5000 + "?"])
    model = FakeGenerator("small", lambda prompt, prefix: "The answer is 1.")
    with pytest.raises(ValueError, match=r"small: 1 prompts.*4096 tokens, such as that of .*a\.jsonl: line 3, 500\d"):
        check_contexts([selection], [model], SETTINGS)
    assert model.calls == []
    check_contexts([chosen(tmp_path / "b.jsonl", ["1?"])], [model], SETTINGS)


def test_a_folder_that_holds_a_question_twice_is_rebuilt_without_it(tmp_path: Path) -> None:
    train = chosen(tmp_path / "a.jsonl", ["1?", "2?", "3?"], "@train")
    test = chosen(tmp_path / "b.jsonl", ["9?", "3?"], "@test")
    recorded(tmp_path / "out", train, test)
    kept = without_duplicates([train, test])
    with pytest.raises(BankError, match=r"question of a/train/2 is recorded there as b/test/1; .*--drop-duplicates"):
        session(tmp_path / "out", *kept).check_selected()
    bank: Bank = session(tmp_path / "out", *kept, drop=True).bank("toy")
    assert sorted(bank.problems.ids()) == ["a/train/0", "a/train/1", "a/train/2", "b/test/0"]


def test_a_folder_recorded_under_another_split_is_told(tmp_path: Path) -> None:
    """Before a file without a split was split by hash, all of it was for testing."""
    recorded(tmp_path / "out", chosen(tmp_path / "a.jsonl", ["1?", "2?"], "@test"))
    now = Selection.parse(str(tmp_path / "a.jsonl"), data=None, grading="numeric")
    with pytest.raises(BankError, match=r"question of a/all/0 is recorded there as a/test/0; allowed: the same split"):
        session(tmp_path / "out", now).check_selected()


def test_problems_with_longer_tables_are_left_out_and_the_manifest_says_so(tmp_path: Path) -> None:
    short, long = [["a", "b"], ["1", "2"]], [["a", "b"], ["1", "2" * 20]]
    rows = [{"question": f"{n}?", "answer": 1, "table": table} for n, table in enumerate((short, long, short))]
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    selection = Selection.parse(str(path), data=None, grading="table")
    kept = selection.with_tables_up_to(len("a | b\n1 | 2"))
    assert [problem.index for problem in kept.problems] == [0, 2]
    assert kept.dataset.max_table_characters == 11
    recorded(tmp_path / "out", kept)
    manifest = json.loads((tmp_path / "out/recording.json").read_text(encoding="utf-8"))
    assert manifest["fixed"]["datasets"]["mine"]["max_table_characters"] == 11
    with pytest.raises(ValueError, match="max_table_characters=10: no table of mine is so short; allowed: >= 11"):
        selection.with_tables_up_to(10)


def test_a_limit_of_tables_needs_tables(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"=9: .*a\.jsonl: line 2 has no table; allowed: those with"):
        chosen(tmp_path / "a.jsonl", ["1?"]).with_tables_up_to(9)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([], r"table=\[\]; allowed: one or more rows of one length"),
        ([["a"], ["b", "c"]], "allowed: one or more rows of one length"),
        ("a | b", "table='a | b'; allowed"),
        ([["a"], [None]], "table has the cell None; allowed: text or a number"),
        ([["a"], [True]], "table has the cell True"),
    ],
)
def test_a_table_without_a_shape_is_refused(tmp_path: Path, table: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("|", r"\|")):
        chosen(tmp_path / "a.jsonl", ["1?"], table=table)
