"""Question texts joined to a bank: checked by hash, and a clear statement where they are not at hand."""

import hashlib
import json
import sys

import numpy as np
import pytest
from bank_files import BUNDLED

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.banks.manifest import Dataset
from gym_stepwise_routing.banks.questions import Questions, join_questions, question_counts
from gym_stepwise_routing.datasets import DATASETS, load_problems
from gym_stepwise_routing.errors import BankError

TOY = {"toy": Dataset(question_field="question", source="this test", licence="MIT")}


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text(
        "".join(json.dumps({"question": text, "answer": "#### 1"}) + "\n" for text in ("How?", "Wie viel?"))
    )
    return path


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("", (0, 0, 1, 0)),
        ("How many?", (9, 2, 1, 0)),
        ("Ann has 1,200 eggs. Each costs $0.50. How much in all?!", (55, 11, 3, 2)),
        ('He said "3 or 4." Then 5...', (27, 7, 2, 3)),
        ("2 dogs, 3.5 cats\nand 10% more", (29, 7, 1, 3)),
    ],
)
def test_hand_counted(text, counts):
    assert question_counts(text) == counts


def test_a_local_file(file):
    questions = Questions(TOY, {"toy/train": file})
    assert questions.text("toy", "train", 1, sha("Wie viel?")) == "Wie viel?"
    assert questions.counts("toy", "train", 0, sha("How?")) == (4, 1, 1, 0)


def test_another_text_than_was_recorded(file):
    with pytest.raises(BankError, match=rf"{file}: row 1 has sha256 {sha('Wie viel?')}, problem toy/train/1 has 00"):
        Questions(TOY, {"toy/train": file}).text("toy", "train", 1, "0" * 64)


def test_too_few_rows(file):
    with pytest.raises(BankError, match=f"{file}: has 2 rows; problem toy/train/2 is not among them"):
        Questions(TOY, {"toy/train": file}).text("toy", "train", 2, "0" * 64)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{}\n", "line 1: row 0 has no field 'question'"),
        ("{\n", "line 1: not JSON"),
        ("3\n", "line 1 is no JSON object"),
    ],
)
def test_a_malformed_file(file, content, words):
    file.write_text(content)
    with pytest.raises(BankError, match=f"{file}: {words}"):
        Questions(TOY, {"toy/train": file}).text("toy", "train", 0, "0" * 64)


def test_a_missing_file(tmp_path):
    with pytest.raises(BankError, match=r"nosuch.jsonl.* is no file"):
        Questions(TOY, {"toy/train": tmp_path / "nosuch.jsonl"}).text("toy", "train", 0, "0" * 64)


@pytest.mark.parametrize("key", ["mine/train", "toy", "toy/", ""])
def test_a_file_for_no_split_of_the_bank(file, key):
    with pytest.raises(BankError, match="allowed: toy/SPLIT"):
        Questions(TOY, {key: file})


def test_a_dataset_that_no_library_has():
    with pytest.raises(BankError, match=r"not at hand: no library .*Give the official file \(this test\) as toy/train"):
        Questions(TOY).text("toy", "train", 0, "0" * 64)


def test_without_file_and_library_it_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    words = r"not at hand: banks store none. Give the official file .*gsm8k/test=FILE, or .*gym-stepwise-routing\[llm\]"
    with pytest.raises(BankError, match=words):
        join_questions(Bank.open(BUNDLED))


def test_a_library_that_fails(monkeypatch):
    def unreachable(*_):
        raise ConnectionError("no network")

    monkeypatch.setattr("gym_stepwise_routing.banks.questions.load_problems", unreachable)
    with pytest.raises(
        BankError, match=r"could not be fetched \(ConnectionError: no network\). Give the official file"
    ):
        join_questions(Bank.open(BUNDLED))


def test_the_bundled_bank_joins_the_official_files(shared_dir):
    bank = Bank.open(BUNDLED)
    texts = join_questions(
        bank, {f"gsm8k/{split}": shared_dir / f"data/gsm8k/{split}.jsonl" for split in ("train", "test")}
    )
    assert len(texts) == 1440
    assert [sha(text) for text in texts] == bank.problems.question_sha256.to_pylist()
    np.testing.assert_array_equal(bank.problems.question, np.array([question_counts(text) for text in texts]))


@pytest.mark.parametrize(
    ("name", "split", "file"),
    [
        ("wikitablequestions", "test", "wikitablequestions/pristine-unseen-tables.tsv"),
        ("mbpp", "validation", "mbpp/mbpp.jsonl"),
        ("human_eval", "test", "human_eval/HumanEval.jsonl.gz"),
        ("gsm8k", "test", "gsm8k/test.jsonl"),
    ],
)
def test_official_files_of_every_form_are_read_as_they_stand(shared_dir, name, split, file):
    wanted = load_problems(name, split, data=shared_dir / "data")
    entry = Dataset(question_field=DATASETS.get(name).question, source="x", licence="x")
    questions = Questions({name: entry}, {f"{name}/{split}": shared_dir / "data" / file})
    for problem in (wanted[0], wanted[-1]):
        assert questions.text(name, split, problem.index, problem.sha256) == problem.question
    with pytest.raises(BankError, match=f"{len(wanted)} is not among them"):
        questions.text(name, split, len(wanted), sha("?"))


def test_the_wrong_official_file(shared_dir):
    gsm8k = shared_dir / "data" / "gsm8k"
    with pytest.raises(BankError, match=r"train.jsonl: row 0 has sha256"):
        join_questions(Bank.open(BUNDLED), {"gsm8k/test": gsm8k / "train.jsonl"})


def test_the_shared_head_is_what_all_prompts_share(shared_dir):
    """Prompt lengths minus the head grow with the question: at least one token a word, never the head itself."""
    bank = Bank.open(BUNDLED)
    own = bank.problems.prompt_tokens[:, 0] - bank.manifest.prompt.shared_prefix_tokens[0]
    words = bank.problems.question[:, 1]
    assert (own > words).all()
    assert np.corrcoef(own, words)[0, 1] > 0.95
