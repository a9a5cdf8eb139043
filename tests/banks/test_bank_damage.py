"""Every kind of damage to a copy of a bank is one ``BankError`` that names the file and the fault."""

import json
import re

import numpy as np
import pyarrow as pa
import pytest
from bank_files import BUNDLED, copy_few, resealed, with_cell

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.banks.manifest import BANK_FILES, MANIFEST
from gym_stepwise_routing.errors import BankError


@pytest.fixture
def bank(tmp_path):
    return copy_few(tmp_path)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    return Bank.open(copy_few(tmp_path_factory.mktemp("few"))).nodes


def rejected(path, *words):
    with pytest.raises(BankError) as caught:
        Bank.open(path).read("texts.parquet")
    for word in words:
        assert re.search(word, str(caught.value)), f"{word!r} not in {caught.value}"


def cell(path, column, row, value, *words, table="nodes.parquet"):
    rejected(resealed(path, table, lambda whole: with_cell(whole, column, int(row), value)), table, *words)


@pytest.mark.parametrize("name", BANK_FILES)
def test_a_changed_byte_in_the_middle_of_a_file(bank, name):
    content = bytearray((bank / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bank / name).write_bytes(content)
    rejected(bank, name, "sha256 is [0-9a-f]{64}, the manifest says [0-9a-f]{64}")


def test_every_changed_digit_of_the_manifest(bank):
    text = (bank / MANIFEST).read_text()
    for place in (match.start() for match in re.finditer(r"\d", text)):
        (bank / MANIFEST).write_text(text[:place] + str(9 - int(text[place])) + text[place + 1 :])
        with pytest.raises(BankError, match=MANIFEST):
            Bank.open(bank)


@pytest.mark.parametrize("name", [*BANK_FILES, MANIFEST])
def test_a_missing_file(bank, name):
    (bank / name).unlink()
    with pytest.raises(BankError, match=f"{name}: the file is missing"):
        Bank.open(bank)


@pytest.mark.parametrize("name", BANK_FILES)
def test_a_truncated_file(bank, name):
    (bank / name).write_bytes((bank / name).read_bytes()[:-1])
    rejected(bank, name, "the file has .* bytes, the manifest says")


@pytest.mark.parametrize("name", BANK_FILES)
def test_a_file_that_is_no_parquet_even_where_hashes_are_not_checked(bank, name):
    (bank / name).write_text("nothing")
    with pytest.raises(BankError, match=f"{name}: not a Parquet file"):
        Bank.open(bank, verify=False).read("texts.parquet")


def test_texts_are_checked_when_the_bank_is_opened_and_again_when_they_are_read(bank):
    opened = Bank.open(bank)
    content = bytearray((bank / "texts.parquet").read_bytes())
    content[100] ^= 1
    (bank / "texts.parquet").write_bytes(content)
    for look in (lambda: Bank.open(bank), lambda: opened.text(1)):
        with pytest.raises(BankError, match=r"texts.parquet: the file's sha256"):
            look()
    Bank.open(bank, verify=False)


def change_manifest(path, change):
    plain = json.loads((path / MANIFEST).read_text())
    change(plain)
    (path / MANIFEST).write_text(json.dumps(plain))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.update(colour="red"), "unknown key 'colour'; allowed: name"),
        (lambda m: m["models"][1].update(size=1), r"unknown key 'models\[1\].size'"),
        (lambda m: m.pop("grader"), "key 'grader' is missing"),
        (lambda m: m["models"][0]["price"].pop("date"), r"key 'models\[0\].price.date' is missing"),
        (lambda m: m.update(horizon="5"), "key 'horizon' is '5'; allowed: an integer"),
        (lambda m: m.update(horizon=True), "key 'horizon' is True; allowed: an integer"),
        (lambda m: m.update(horizon=0), "horizon=0"),
        (lambda m: m.update(horizon=1001), "horizon=1001; allowed: 1 to 1000"),
        (lambda m: m.update(simulated=0), "key 'simulated' is 0; allowed: true or false"),
        (lambda m: m.update(recorded_mode="free"), "key 'recorded_mode' is 'free'; allowed: one of 'route'"),
        (lambda m: m.update(models={}), "key 'models' is {}; allowed: a list"),
        (lambda m: m.update(datasets=[]), r"key 'datasets' is \[\]; allowed: an object"),
        (lambda m: m["models"][0].update(parameters=-1), r"key 'models\[0\]'.*parameters=-1"),
        (lambda m: m["models"][0]["latency"].update(decode=None), r"'models\[0\].latency.decode' is None.*a number"),
        (lambda m: m["models"].pop(), "at least 2 models"),
        (lambda m: m["models"].append(m["models"][0]), "distinct names"),
        (lambda m: m["prompt"].update(template="other"), "prompt.template does not have the sha256"),
        (lambda m: m["prompt"].update(shared_prefix_tokens=[452]), "one for each of the 2 models"),
        (lambda m: m["split_rule"]["shares"]["train"].update(train=0.7), "add up to 1"),
        (lambda m: m["split_rule"]["shares"]["test"].update(dev=1.0), "'dev' is not known; allowed: 'train'"),
        (lambda m: m["files"].pop("texts.parquet"), "allowed: exactly problems.parquet"),
        (lambda m: m["files"]["nodes.parquet"].update(rows=1), "it was changed after it was written"),
        (lambda m: m.update(format_version=2), "format_version=2; allowed: 1"),
        (lambda m: m.update(description="better"), "it was changed after it was written"),
        (lambda m: m["models"][1]["price"].update(output=0.0), "it was changed after it was written"),
    ],
)
def test_a_wrong_manifest(bank, change, words):
    change_manifest(bank, change)
    with pytest.raises(BankError, match=words) as caught:
        Bank.open(bank)
    assert str(bank / MANIFEST) in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"bank"', "\x00"])
def test_a_manifest_that_is_no_json_object(bank, text):
    (bank / MANIFEST).write_text(text)
    with pytest.raises(BankError, match=rf"{MANIFEST}: (not JSON|the file is .*allowed: an object)"):
        Bank.open(bank)


def test_child_out_of_range(bank, nodes):
    inner = np.flatnonzero(~nodes.terminal)[5]
    cell(bank, "child_1", inner, len(nodes), f"row {inner}: child_1 is {len(nodes)}, out of range; allowed: 0 to")
    cell(copy_few(bank.parent / "second"), "child_0", inner, -2, "child_0 is -2, out of range")


def test_cycle(bank, nodes):
    deep = np.flatnonzero((nodes.depth == 2) & ~nodes.terminal & (nodes.same_as < 0))[3]
    cell(bank, "child_0", deep, int(nodes.parent[deep]), f"row {deep}: child_0 = {nodes.parent[deep]} closes a cycle")


def test_child_that_points_at_itself(bank, nodes):
    row = np.flatnonzero((nodes.depth == 1) & ~nodes.terminal)[0]
    cell(bank, "child_1", row, int(row), "closes a cycle")


def test_child_that_is_no_deeper_without_a_cycle(bank, nodes):
    first, second = np.flatnonzero((nodes.depth == 1) & ~nodes.terminal & (nodes.problem == 4))[:2]
    cell(bank, "child_0", first, int(second), "is no deeper")


def test_child_of_another_parent(bank, nodes):
    first, second = np.flatnonzero((nodes.depth == 2) & ~nodes.terminal & (nodes.same_as < 0))[:2]
    cell(bank, "child_1", first, int(nodes.child[second, 1]), f"the parent of {nodes.child[second, 1]} is {second}")


def test_child_of_the_other_model(bank, nodes):
    row = np.flatnonzero((nodes.depth == 1) & ~nodes.terminal)[0]
    cell(bank, "child_0", row, int(nodes.child[row, 1]), "the model of .* is 1: not its child")


def test_depth_that_skips_a_step(bank, nodes):
    leaf = np.flatnonzero(nodes.terminal & (nodes.depth == 3))[0]
    words = f"row {nodes.parent[leaf]}: child_{nodes.model[leaf]} = {leaf}, but the depth of {leaf} is 5"
    cell(bank, "depth", leaf, 5, words)


def test_depth_beyond_the_horizon(bank, nodes):
    cell(
        bank, "depth", np.flatnonzero(nodes.depth == 5)[0], 6, "depth is 6, out of range; allowed: 0 to the horizon, 5"
    )


def test_ended_trace_with_children(bank, nodes):
    row = np.flatnonzero((nodes.depth == 1) & ~nodes.terminal)[0]

    def change(table):
        return with_cell(with_cell(table, "terminal", int(row), True), "correct", int(row), False)

    rejected(resealed(bank, "nodes.parquet", change), f"row {row}: the trace has ended .* and yet has children")


def test_open_trace_without_children(bank, nodes):
    row = np.flatnonzero(nodes.terminal)[0]

    def change(table):
        return with_cell(with_cell(table, "terminal", int(row), False), "correct", int(row), None)

    rejected(
        resealed(bank, "nodes.parquet", change), f"row {row}: the trace has not ended and yet no model has a child"
    )


def test_ended_trace_that_is_not_graded(bank, nodes):
    row = np.flatnonzero(nodes.terminal)[7]
    cell(bank, "correct", row, None, f"row {row}: the trace has ended and yet is not graded")


def test_open_trace_that_is_graded(bank, nodes):
    row = np.flatnonzero(~nodes.terminal)[7]
    cell(bank, "correct", row, True, f"row {row}: the trace has not ended and yet is graded")


@pytest.mark.parametrize(("row", "model"), [(1, 2), (1, -1), (0, 0)])
def test_unknown_model(bank, row, model):
    cell(bank, "model", row, model, f"row {row}: model is {model}, out of range; allowed: 0 to 1, or -1 at a root")


@pytest.mark.parametrize(("row", "parent"), [(3, -1), (3, 10**6), (0, 4)])
def test_parent_out_of_range(bank, row, parent):
    cell(bank, "parent", row, parent, f"row {row}: parent is {parent}, out of range")


@pytest.mark.parametrize("tokens", [0, -4])
def test_step_without_tokens(bank, tokens):
    cell(bank, "tokens", 1, tokens, f"row 1: tokens is {tokens}, out of range; allowed: >= 1")


def test_first_line_longer_than_the_step(bank, nodes):
    cell(bank, "first_step_tokens", 1, 10**4, rf"row 1: first_step_tokens is 10000; allowed: 1 to {nodes.tokens[1]}")


def test_problem_out_of_range(bank, nodes):
    cell(bank, "problem", len(nodes) - 1, 252, "problem is 252, out of range; allowed: 0 to 251")


def test_nodes_of_a_problem_apart(bank, nodes):
    last = np.flatnonzero(nodes.problem == 0)[-1]
    cell(bank, "problem", last, 2, f"row {last + 1}: the nodes of a problem must be one block")


def test_node_that_no_trace_leads_to(bank, nodes):
    cell(bank, "child_1", 0, -1, f"row {nodes.child[0, 1]}: not a child of its parent, 0")


def test_repeated_text_of_no_sibling(bank, nodes):
    twin = np.flatnonzero(nodes.same_as >= 0)[0]
    cell(bank, "same_as", twin, 0, f"row {twin}: same_as is 0; allowed: another child of the same parent")


def test_repeated_text_with_children_of_its_own(bank, nodes):
    twin = np.flatnonzero(nodes.same_as >= 0)[0]
    cell(bank, "child_0", twin, -1, f"row {twin}: its children differ from those of the sibling that it repeats")


def test_wrong_root(bank, nodes):
    cell(bank, "root", 3, 1, "row 3: root is 1; allowed: ", table="problems.parquet")


def test_second_root(bank, nodes):
    def change(table):
        for column, value in (("depth", 0), ("model", -1), ("parent", -1), ("tokens", 0)):
            table = with_cell(table, column, 1, value)
        return table

    rejected(resealed(bank, "nodes.parquet", change), "nodes.parquet: row 1: a second root for problem 0")


def test_problem_without_nodes(bank):
    def change(table):
        last = table.slice(len(table) - 1)
        for column, value in (("index", 10**6), ("question_sha256", "0" * 64), ("bank_split", split_of("0" * 64))):
            last = with_cell(last, column, 0, value)
        return pa.concat_tables([table, last])

    rejected(resealed(bank, "problems.parquet", change), "problems.parquet: row 252: the problem has no root")


def split_of(question):
    return Bank.open(BUNDLED).manifest.split_rule.assign("train", question)


def test_a_question_in_two_splits(bank):
    def change(table):
        train = table["bank_split"].to_pylist().index("train")
        test = table["bank_split"].to_pylist().index("test")
        return with_cell(table, "question_sha256", test, table["question_sha256"][train].as_py())

    words = "splits overlap: question_sha256 .* is in '(test|train)' .* and in '(test|train)'"
    rejected(resealed(bank, "problems.parquet", change), "problems.parquet", words)


def test_a_problem_in_two_splits(bank):
    def change(table):
        splits = table["bank_split"].to_pylist()
        first, second = splits.index("train"), splits.index("calibration")
        return with_cell(table, "index", second, table["index"][first].as_py())

    words = "splits overlap: problem gsm8k/train/.* is in '(train|calibration)' .* and in '(train|calibration)'"
    rejected(resealed(bank, "problems.parquet", change), "problems.parquet", words)


def test_a_problem_twice(bank):
    cell(bank, "index", 1, 0, "row 1: problem gsm8k/test/0 is there already", table="problems.parquet")


def test_a_split_that_differs_from_the_rule(bank):
    row = Bank.open(bank).split_problems("calibration")[0]
    words = f"row {row}: bank_split is 'train', but the split rule says 'calibration'"
    cell(bank, "bank_split", row, "train", words, table="problems.parquet")


def test_an_official_split_without_a_rule(bank):
    words = "row 0: official split='dev' is not known; allowed: 'train', 'test'"
    cell(bank, "split", 0, "dev", words, table="problems.parquet")


def test_a_prompt_shorter_than_its_head(bank):
    words = "row 2: 452 prompt tokens for model 0; allowed: more than the 452"
    cell(bank, "prompt_tokens", 2, [452], words, table="problems.parquet")


def test_prompt_tokens_for_three_models(bank):
    words = r"row 2: 3 prompt_tokens; allowed: 1, or one a model \(2\)"
    cell(bank, "prompt_tokens", 2, [500, 500, 500], words, table="problems.parquet")


def test_a_column_too_few(bank):
    resealed(bank, "nodes.parquet", lambda table: table.drop_columns(["child_1"]))
    rejected(bank, "nodes.parquet: wrong columns; differing: .*child_1")


def test_a_column_of_another_type(bank):
    def change(table):
        place = table.schema.get_field_index("tokens")
        return table.set_column(place, "tokens", table["tokens"].cast("int64"))

    rejected(resealed(bank, "nodes.parquet", change), "nodes.parquet: wrong columns; differing: .*tokens.*int64")


def test_one_text_too_few(bank):
    resealed(bank, "texts.parquet", lambda table: table.slice(1))
    rejected(bank, "texts.parquet: 8429 rows; allowed: 8430, one a node")


def test_other_rows_than_the_manifest_says(bank):
    donor = resealed(copy_few(bank.parent / "donor"), "texts.parquet", lambda table: table.slice(1))
    (bank / "texts.parquet").write_bytes((donor / "texts.parquet").read_bytes())
    with pytest.raises(BankError, match=r"texts.parquet: the file has 8429 rows, the manifest says 8430"):
        Bank.open(bank, verify=False).read("texts.parquet")


@pytest.mark.parametrize(("column", "value"), [("margin_first", 1.5), ("entropy_mean", -0.1), ("logprob_sum", 1.0)])
def test_a_confidence_figure_that_cannot_be(bank, column, value):
    cell(bank, column, 4, value, "row 4: .* out of range; allowed: ")
