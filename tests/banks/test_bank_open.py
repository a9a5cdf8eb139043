"""What the bundled bank says, and what a bank object does."""

import copy
import doctest
import hashlib
import importlib
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bank_files import BUNDLED, copy_bundled, copy_few, published, resealed, with_cell

from gym_stepwise_routing.banks import BANKS, Bank, Recipe
from gym_stepwise_routing.costs.units import available_units
from gym_stepwise_routing.errors import BankError
from gym_stepwise_routing.sources import resolve
from gym_stepwise_routing.types import CONFIDENCE, SPLITS


@pytest.fixture(scope="module")
def bank():
    return Bank.open(BUNDLED)


def test_the_bundled_bank_holds_what_was_recorded(bank):
    assert BUNDLED in BANKS
    assert len(bank.problems) == 1440
    assert len(bank.nodes) == 47616
    assert bank.manifest.horizon == 5
    assert not bank.manifest.simulated
    assert bank.pool.names == ("Qwen2.5-Coder-0.5B-Instruct", "Qwen2.5-Coder-1.5B-Instruct")
    assert [model.parameters for model in bank.pool] == [0.494e9, 1.544e9]
    assert {model.licence for model in bank.pool} == {"Apache-2.0"}
    assert available_units(bank.pool) == ("flops", "large_tokens", "dollars", "latency", "large_calls")
    assert sum(file.stat().st_size for file in bank.path.iterdir()) < 8e6


def walked(bank, node, model):
    """Right answers, tokens and steps a problem with one model throughout."""
    spent, taken = np.zeros(len(node)), np.zeros(len(node))
    while (open_ := ~bank.terminal[node]).any():
        node[open_] = bank.child[node[open_], model]
        spent[open_] += bank.tokens[node[open_]]
        taken += open_
    return bank.correct[node], spent.mean(), taken.mean()


@pytest.mark.parametrize(("model", "right"), [(0, 77), (1, 211)], ids=["small", "large"])
def test_single_models_are_right_as_often_as_the_documentation_says(bank, model, right, repository):
    correct, _, _ = walked(bank, bank.problems.root[bank.split_problems("test")], model)
    assert (correct.sum(), len(correct)) == (right, 400)
    assert re.search(rf"right on {right} of the 400|the larger on {right}", (repository / "docs/banks.md").read_text())


@pytest.mark.parametrize(
    ("model", "accuracy", "tokens", "steps"), [(0, 0.202, 87.2, 4.02), (1, 0.560, 87.1, 4.13)], ids=["small", "large"]
)
def test_single_models_reach_the_figures_of_the_published_recording(
    shared_dir, tmp_path, model, accuracy, tokens, steps
):
    """The table in the recording's own notes, for one model throughout."""
    bank = published(shared_dir, tmp_path)
    correct, spent, taken = walked(bank, bank.problems.root.copy(), model)
    assert len(correct) == 252
    assert (round(correct.mean(), 3), round(spent, 1), round(taken, 2)) == (accuracy, tokens, steps)


def test_splits_are_disjoint_and_of_their_official_split(bank):
    problems = {split: bank.split_problems(split) for split in SPLITS}
    assert sorted(np.concatenate(list(problems.values()))) == list(range(1440))
    official = np.array(bank.problems.official_split.to_pylist())
    assert set(official[problems["test"]]) == {"test"}
    assert set(official[problems["train"]]) == set(official[problems["calibration"]]) == {"train"}
    assert {split: len(found) for split, found in problems.items()} == {"train": 640, "calibration": 400, "test": 400}


def test_an_unknown_split(bank):
    with pytest.raises(ValueError, match="split='dev' is not known; allowed: 'train', 'calibration', 'test'"):
        bank.split_problems("dev")


def test_split_hashes_follow_ids_and_content(bank, tmp_path):
    assert len({bank.split_hash(split) for split in SPLITS}) == 3
    ids = sorted(bank.problem_ids[problem] for problem in bank.split_problems("test"))
    assert bank.split_hash("test") == hashlib.sha256("\n".join([bank.hash, *ids]).encode()).hexdigest()
    few = Bank.open(copy_few(tmp_path))
    changed = Bank.open(resealed(few.path, "nodes.parquet", lambda table: with_cell(table, "top1_mean", 1, 0.5)))
    assert changed.hash != few.hash
    assert changed.problem_ids == few.problem_ids
    assert changed.split_hash("test") != few.split_hash("test")


def test_arrays_cannot_be_changed(bank):
    for array in (bank.child, bank.tokens, bank.confidence, bank.problems.prompt_tokens, bank.problems.root):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_confidence_is_of_the_first_line_where_the_step_is_a_tail(bank):
    """Divided by any other number of tokens, the mean would not fit the mean top-1 probability."""
    table = bank.read("nodes.parquet")
    tails = np.flatnonzero(np.array(table["first_step_tokens"].to_pylist(), dtype=float) < np.array(table["tokens"]))
    assert len(tails) > 1000
    mean = bank.confidence[:, CONFIDENCE.index("logprob_mean")]
    top = bank.confidence[:, CONFIDENCE.index("top1_mean")]
    assert (np.exp(mean[tails]) <= top[tails] + 1e-3).all()  # Jensen; greedy
    assert not np.isnan(bank.confidence[bank.depth > 0]).any()
    assert np.isnan(bank.confidence[bank.depth == 0]).all()
    assert np.isnan(bank.score).all()


def test_texts(bank):
    root = bank.problems.root[0]
    assert bank.text(root) is None
    assert bank.text(bank.child[root, 1]) == "Janet\u2019s ducks lay 16 eggs per day."
    leaves = np.flatnonzero(bank.terminal)
    right = [row for row in leaves[:200] if bank.correct[row]]
    answers = bank.problems.answer.to_pylist()
    assert right
    for row in right:
        assert float(bank.final_answer(row)) == float(answers[bank.nodes.problem[row]])


def test_same_content_through_pickle_and_no_copy_on_deepcopy(bank):
    again = pickle.loads(pickle.dumps(bank))
    assert again.hash == bank.hash
    assert again.text(1) == bank.text(1)
    np.testing.assert_array_equal(again.child, bank.child)
    assert copy.deepcopy(bank) is bank


def test_question_counts_are_stored_but_no_question(bank):
    assert np.isfinite(bank.problems.question).all()
    columns = [set(bank.read(name).column_names) for name in bank.manifest.files]
    assert not set.union(*columns) & {"question", "problem_text", "solution"}


def test_the_recipe_gives_the_manifest(bank, repository):
    recipe = Recipe.load(repository / "gym_stepwise_routing" / "data" / "recipes" / f"{BUNDLED}.json")
    assert recipe == bank.manifest.recipe


def test_a_folder_is_a_bank_too(bank, tmp_path):
    assert Bank.open(copy_bundled(tmp_path)).hash == bank.hash
    assert "1440 problems, 47616 nodes" in repr(bank)


def test_a_folder_cannot_take_the_place_of_a_bundled_bank(tmp_path, monkeypatch):
    """A local folder of the same name is reached as a path only."""
    (tmp_path / BUNDLED).mkdir()
    (tmp_path / "gsm8k-like").mkdir()  # the name of a simulator preset
    monkeypatch.chdir(tmp_path)
    assert len(Bank.open(BUNDLED).problems) == len(resolve(BUNDLED).bank.problems) > 0
    assert resolve("gsm8k-like").kind == "simulator"
    for path in (f"./{BUNDLED}", Path(BUNDLED)):
        for look in (Bank.open, resolve):
            with pytest.raises(BankError, match=r"bank.json: the file is missing"):
                look(path)


def test_no_name_is_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(copy_bundled(tmp_path))
    with pytest.raises(BankError, match="bank='' is neither a directory nor a bundled bank; bundled: gsm8k"):
        Bank.open("")
    with pytest.raises(ValueError, match="source='' is not known; allowed: a bundled bank"):
        resolve("")


def test_an_unknown_file(bank):
    with pytest.raises(ValueError, match=r"name='bank.json' is not known; allowed: 'problems.parquet'"):
        bank.read("bank.json")


def test_opening_imports_neither_pandas_nor_an_extra():
    code = (
        "import sys; from gym_stepwise_routing.banks import Bank; Bank.open('gsm8k-qwen2.5-coder');"
        "print(*sorted({name.split('.')[0] for name in sys.modules} & {'pandas', 'torch', 'typer', 'rich', 'scipy'}))"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert out.strip() == ""


@pytest.mark.parametrize("module", ["bank", "questions"])
def test_examples_in_docstrings(module):
    result = doctest.testmod(importlib.import_module(f"gym_stepwise_routing.banks.{module}"))
    assert result.attempted > 0
    assert result.failed == 0


def test_the_example_in_the_documentation(repository):
    example, *_ = re.findall(r"```python\n(.*?)```", (repository / "docs" / "banks.md").read_text(), flags=re.DOTALL)
    names = {}
    exec(example, names)
    assert names["bank"].text(names["draft"]).startswith("The number of eggs")


@pytest.mark.parametrize("name", ["nosuch", "gsm8k", "../gsm8k-qwen2.5-coder", ""])
def test_an_unknown_bank(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BankError, match=f"bundled: .*{BUNDLED}"):
        Bank.open(name)
