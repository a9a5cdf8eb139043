"""Import and export of JSON Lines: without loss, and with the line of what is wrong."""

import copy
import gzip
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from bank_files import published, small_recipe
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_trees import trees

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.banks.jsonl import export_jsonl, import_jsonl
from gym_stepwise_routing.costs.models import Price
from gym_stepwise_routing.errors import BankError


def write_lines(path, objects):
    path.write_text("".join(json.dumps(item) + "\n" for item in objects), encoding="utf-8")
    return path


def read_lines(path):
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def test_the_real_recording_survives_import_and_export(shared_dir, tmp_path):
    original = shared_dir / "traces" / "gsm8k-qwen2.5-coder.jsonl.gz"
    export_jsonl(published(shared_dir, tmp_path), tmp_path / "again.jsonl.gz")
    trees_before, trees_after = read_lines(original), read_lines(tmp_path / "again.jsonl.gz")
    assert len(trees_before) == 252
    assert trees_after == trees_before


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data(), models=st.integers(2, 4), horizon=st.integers(1, 3))
def test_random_trees_survive_import_and_export(tmp_path_factory, data, models, horizon):
    folder = tmp_path_factory.mktemp("random")
    originals = data.draw(trees(models, horizon))
    file = write_lines(folder / "trees.jsonl", originals)
    bank = import_jsonl(file, small_recipe(models, horizon), folder / "bank")
    export_jsonl(bank, folder / "again.jsonl")
    assert read_lines(folder / "again.jsonl") == originals
    check_children(bank, originals)


def check_children(bank, originals):
    """The child table against a walk through the JSON objects."""
    row = 0
    for tree in originals:
        rows = {node["id"]: row + place for place, node in enumerate(tree["nodes"])}
        for node in tree["nodes"]:
            owner = node.get("same_as", node["id"])
            wanted = [-1] * len(bank.pool)
            for other in tree["nodes"]:
                if other["parent"] == owner:
                    wanted[other["model"]] = rows[other["id"]]
            assert bank.child[rows[node["id"]]].tolist() == wanted
        row += len(tree["nodes"])


STEP = {"id": 1, "parent": 0, "depth": 1, "model": 0, "text": "a", "tokens": 2}
END = {"terminal": True, "final_answer": None, "correct": False}
TREE = {
    "problem": {
        "dataset": "toy",
        "split": "train",
        "index": 0,
        "question_sha256": "ab",
        "answer": "1",
        "prompt_tokens": [5, 6],
    },
    "nodes": [
        {"id": 0, "parent": None, "depth": 0},
        STEP,
        STEP | {"id": 2, "model": 1, "same_as": 1},
        STEP | {"id": 3, "parent": 1, "depth": 2, **END},
    ],
}


def test_what_the_arrays_hold(tmp_path):
    tree = copy.deepcopy(TREE)
    tree["nodes"][3] |= {"tokens": 10, "first_step_tokens": 4, "logprob_sum": -2.0, "margin_first": 0.25}
    tree["nodes"][1] |= {"logprob_sum": -3.0, "verifier_score": 0.5}
    bank = import_jsonl(write_lines(tmp_path / "t.jsonl", [tree]), small_recipe(), tmp_path / "bank")
    assert bank.problems.prompt_tokens.tolist() == [[5, 6]]
    assert np.isnan(bank.problems.question).all()
    assert bank.child.tolist() == [[1, 2], [3, -1], [3, -1], [-1, -1]]
    assert bank.tokens.tolist() == [0, 2, 2, 10]
    assert bank.terminal.tolist() == [False, False, False, True]
    np.testing.assert_array_equal(bank.confidence[:, 0], [np.nan, -1.5, np.nan, -0.5])
    np.testing.assert_array_equal(bank.confidence[3, 1:], [np.nan] * 6 + [0.25, np.nan])
    np.testing.assert_array_equal(bank.score, [np.nan, 0.5, np.nan, np.nan])
    assert bank.text(0) is None
    assert bank.text(2) == "a"
    assert bank.final_answer(3) is None


def at(*path, **changes):
    """A change of the part of the tree that ``path`` leads to; None removes a key."""

    def change(tree):
        part = tree
        for step in path:
            part = part[step]
        for key, value in changes.items():
            if value is None:
                del part[key]
            else:
                part[key] = value

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (at(extra=1), "unknown key 'extra'; allowed: problem, nodes"),
        (at(problem=None), "key 'problem' is missing"),
        (at(nodes={}), "key 'nodes' is {}; allowed: a list"),
        (at(nodes=[]), "0 nodes without a parent"),
        (at("problem", colour=1), "unknown key 'problem.colour'"),
        (at("problem", answer=18), "key 'problem.answer' is 18; allowed: a string"),
        (at("problem", index=-1), "index is -1; allowed: 0 to"),
        (at("problem", index=2**31), "index is 2147483648"),
        (at("problem", dataset="mine"), "dataset is 'mine'; allowed by the recipe: toy"),
        (at("problem", split="dev"), "official split='dev' is not known; allowed: 'test', 'train'"),
        (at("problem", prompt_tokens=0), "prompt_tokens is 0"),
        (at("problem", prompt_tokens=[5]), "1 prompt_tokens; allowed: one figure, or one for each model"),
        (at("problem", prompt_tokens="5"), "key 'problem.prompt_tokens' is '5'"),
        (at("problem", prompt_tokens=[5, 1.5]), r"key 'problem.prompt_tokens\[1\]' is 1.5; allowed: an integer"),
        (at("nodes", 1, token=2), r"unknown key 'nodes\[1\].token'"),
        (at("nodes", 1, tokens=None), "a step without model or tokens"),
        (at("nodes", 1, tokens=2.0), r"key 'nodes\[1\].tokens' is 2.0; allowed: an integer"),
        (at("nodes", 1, tokens=0), "tokens is 0; allowed: 1 to"),
        (at("nodes", 1, model=2), "node 1 .*model is 2, out of range; allowed: 0 to 1"),
        (at("nodes", 1, depth=2), "node 1 .*child_0 = 7 is no deeper"),
        (at("nodes", 1, parent=7), "node 1: parent is 7, which is not in the tree"),
        (at("nodes", 1, id=2), "node 2: the id occurs twice"),
        (at("nodes", 1, text=5), r"key 'nodes\[1\].text' is 5; allowed: a string"),
        (at("nodes", 3, text="\ud800"), "not JSON .*surrogates not allowed"),
        (at("problem", answer="\ud800"), "not JSON .*surrogates not allowed"),
        (at("nodes", 1, text="b"), "node 2: same_as is 1; allowed: a sibling with the same text"),
        (at("nodes", 2, same_as=9), "node 2: same_as is 9"),
        (at("nodes", 2, same_as=0), "node 2: same_as is 0"),
        (at("nodes", 2, model=0), "node 2: model 0 has written a child of 0 already"),
        (at("nodes", 3, parent=2), "node 2: has same_as and yet children of its own"),
        (at("nodes", 1, logprob_sum="-1"), r"key 'nodes\[1\].logprob_sum' is '-1'; allowed: a number"),
        (at("nodes", 1, logprob_sum=float("nan")), r"key 'nodes\[1\].logprob_sum' is nan; allowed: a finite number"),
        (at("nodes", 1, logprob_sum=float("inf")), "allowed: a finite number"),
        (at("nodes", 1, verifier_score=1.5), "node 1 .*verifier_score is 1.5, out of range; allowed: 0 to 1"),
        (at("nodes", 1, margin_min=-0.1), "node 1 .*margin_min is -0.1[0-9]*, out of range; allowed: 0 to 1"),
        (at("nodes", 1, logprob_min=0.5), "node 1 .*logprob_min is 0.5, out of range; allowed: -3.4e.* to 0"),
        (at("nodes", 1, entropy_max=1e300), "node 1 .*entropy_max is inf, out of range"),
        (at("nodes", 1, first_step_tokens=3), "node 1 .*first_step_tokens is 3; allowed: 1 to 2"),
        (at("nodes", 0, text="x"), "a node without a parent has a step"),
        (at("nodes", 0, depth=1), "node 0 .*model is -1, out of range; allowed: 0 to 1, or -1 at a root"),
        (at("nodes", 3, terminal=None), "an ended trace has terminal: true, final_answer and correct"),
        (at("nodes", 3, final_answer=None), "an ended trace has terminal: true, final_answer and correct"),
        (at("nodes", 3, terminal=False), "an ended trace has terminal: true"),
        (at("nodes", 1, **END | {"final_answer": "7"}), "the trace has ended .* and yet has children|has ended alike"),
        (lambda tree: tree["nodes"].pop(), "node 1 .*the trace has not ended and yet no model has a child"),
        (lambda tree: tree["nodes"][1].update(text=None), "text is null; allowed: a value, or no such key"),
        (lambda tree: tree["nodes"][0].update(model=None), "model is null; allowed: a value, or no such key"),
        (lambda tree: tree["nodes"].append(3), r"key 'nodes\[4\]' is 3; allowed: an object"),
        (lambda tree: tree["nodes"].append({"id": 9, "parent": None, "depth": 0}), "2 nodes without a parent"),
    ],
)
def test_a_malformed_line_is_named(tmp_path, change, words):
    wrong = copy.deepcopy(TREE)
    wrong["problem"]["index"], wrong["problem"]["question_sha256"] = 1, "cd"
    change(wrong)
    file = write_lines(tmp_path / "trees.jsonl", [TREE, wrong])
    with pytest.raises(BankError, match=words) as caught:
        import_jsonl(file, small_recipe(), tmp_path / "bank")
    assert f"{file}: line 2: " in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["trees.jsonl"]  # nothing half-written


def test_depth_beyond_the_horizon(tmp_path):
    file = write_lines(tmp_path / "trees.jsonl", [TREE])
    with pytest.raises(BankError, match=r"line 1: node 3 .*depth is 2, out of range; allowed: 0 to the horizon, 1"):
        import_jsonl(file, small_recipe(horizon=1), tmp_path / "bank")


def test_one_problem_on_two_lines(tmp_path):
    file = write_lines(tmp_path / "trees.jsonl", [TREE, TREE])
    with pytest.raises(BankError, match="line 2: problem toy/train/0 is there already"):
        import_jsonl(file, small_recipe(), tmp_path / "bank")


def test_one_question_in_two_official_splits(tmp_path):
    other = copy.deepcopy(TREE)
    other["problem"]["split"] = "test"
    file = write_lines(tmp_path / "trees.jsonl", [TREE, other])
    with pytest.raises(BankError, match="line 2: splits overlap: question_sha256 ab is in"):
        import_jsonl(file, small_recipe(), tmp_path / "bank")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "line 1: not JSON"),
        (b"[]\n", "line 1: the file is .*allowed: an object|line 1: .*an object"),
        (b"\n\n\xff\n", "line 3: not JSON"),
        (b"\n", "the file has no tree"),
    ],
)
def test_a_file_that_is_no_json_lines(tmp_path, content, words):
    file = tmp_path / "trees.jsonl"
    file.write_bytes(content)
    with pytest.raises(BankError, match=f"{file}: ?.*{words}"):
        import_jsonl(file, small_recipe(), tmp_path / "bank")


def test_a_truncated_gzip_file(tmp_path):
    file = tmp_path / "trees.jsonl.gz"
    file.write_bytes(gzip.compress((json.dumps(TREE) + "\n").encode())[:-9])
    with pytest.raises(BankError, match="cannot be read"):
        import_jsonl(file, small_recipe(), tmp_path / "bank")


def test_a_missing_file(tmp_path):
    with pytest.raises(BankError, match="the file is missing"):
        import_jsonl(tmp_path / "trees.jsonl", small_recipe(), tmp_path / "bank")


def test_what_exists_is_replaced_only_if_told(tmp_path):
    file = write_lines(tmp_path / "trees.jsonl", [TREE])
    bank = import_jsonl(file, small_recipe(), tmp_path / "bank")
    with pytest.raises(BankError, match="exists already"):
        import_jsonl(file, small_recipe(), tmp_path / "bank")
    with pytest.raises(BankError, match="exists already"):
        export_jsonl(bank, file)
    assert import_jsonl(file, small_recipe(name="new"), tmp_path / "bank", overwrite=True).name == "new"
    export_jsonl(bank_of(tmp_path), file, overwrite=True)
    assert read_lines(file) == [TREE]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bank", "trees.jsonl"]


def bank_of(folder):
    return Bank.open(folder / "bank")


def test_a_failed_write_leaves_the_old_bank(tmp_path, monkeypatch):
    file = write_lines(tmp_path / "trees.jsonl", [TREE])
    before = import_jsonl(file, small_recipe(), tmp_path / "bank").hash

    def full(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr("pyarrow.parquet.write_table", full)
    with pytest.raises(OSError, match="disk full"):
        import_jsonl(file, small_recipe(name="new"), tmp_path / "bank", overwrite=True)
    assert bank_of(tmp_path).hash == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bank", "trees.jsonl"]


@pytest.mark.parametrize("kind", ["notes", "link", "file"])
def test_only_a_folder_with_a_bank_and_nothing_else_is_replaced(tmp_path, kind):
    file, target = write_lines(tmp_path / "trees.jsonl", [TREE]), tmp_path / "bank"
    import_jsonl(file, small_recipe(), tmp_path / "other")
    if kind == "notes":
        shutil.copytree(tmp_path / "other", target)
        (target / "notes.txt").write_text("mine")
    elif kind == "link":
        target.symlink_to(tmp_path / "other")
    else:
        target.write_text("mine")
    with pytest.raises(
        BankError, match={"notes": r"'notes\.txt' is no part", "link": "is a link", "file": "'bank' is no"}[kind]
    ):
        import_jsonl(file, small_recipe(name="new"), target, overwrite=True)
    assert target.is_symlink() == (kind == "link")
    assert (target / "notes.txt" if kind == "notes" else target).exists()
    assert Bank.open(tmp_path / "other").name == small_recipe().name


def test_integers_where_the_format_has_floats(tmp_path):
    price = Price(input=1, cached_input=0, output=2, date="2026-01-01", source="none")
    recipe = small_recipe()
    recipe = replace(
        recipe,
        models=tuple(replace(model, price=price) for model in recipe.models),
        decoding=replace(recipe.decoding, temperature=0),
    )
    bank = import_jsonl(write_lines(tmp_path / "trees.jsonl", [TREE]), recipe, tmp_path / "bank")
    again = Bank.open(tmp_path / "bank")
    assert again.hash == bank.hash
    assert [model.price for model in again.pool.rows[:2]] == [price, price]
