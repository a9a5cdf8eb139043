"""InterCode's SQL trajectories as banks: what is read, what is refused, and the numbers that come out."""

from __future__ import annotations

import gzip
import hashlib
import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.baselines import AlwaysLargest, AlwaysSmallest, LastKLarge, oracle
from gym_stepwise_routing.baselines.constant import AlwaysModel
from gym_stepwise_routing.baselines.query_classifier import QueryClassifier
from gym_stepwise_routing.costs.ledger import CALLS
from gym_stepwise_routing.costs.units import available_units
from gym_stepwise_routing.errors import NotApplicableError, PriceError
from gym_stepwise_routing.evaluation.evaluate import Evaluation, play
from gym_stepwise_routing.game import tabulation
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.recorder import intercode_bank
from gym_stepwise_routing.recorder.intercode import LIMIT, Run, Turn, read_runs, row_ends
from gym_stepwise_routing.recorder.intercode_bank import (
    MODELS,
    Protocol,
    Trajectories,
    contexts,
    split_databases,
    trees,
)
from gym_stepwise_routing.sources.subset import Part

QUERY = "How many singers are there?"
BUNDLED = tuple(intercode_bank.BANKS)


def history(given: list[float], **changes: list[object]) -> dict[str, list[object]]:
    turns = len(given)
    made = {
        "actions": [f"SELECT {number}" for number in range(turns)],
        "observations": ["[(1,)]"] * turns,
        "rewards": list(given),
        "valid_action": [True] * turns,
    }
    return made | changes


def released(folder: Path, told: dict[str, list[object]], model: str = "gpt-4", task: int = 5) -> Path:
    path = folder / f"ic_sql_multiturn_{model}_10_turns.json.gz"
    content = {str(task): {"task_id": task, "query": QUERY, "turn_history": told}}
    path.write_bytes(gzip.compress(json.dumps(content).encode()))
    return path


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        (history([0, 1], rewards=[0]), "2 turns and 1 rewards; allowed: one a turn"),
        (history([0.0] * 11), "11 turns; allowed: 1 to 10"),
        (history([]), "0 turns; allowed: 1 to 10"),
        (history([0, 0]), "stops after 2 turns without reward 1; allowed: 10 turns, or 'blocked'"),
        (history([0, 1, 0]), "goes on after reward 1 at turn 2; allowed: it ends there"),
        (history([0, 1], observations=["[]"]), "2 commands, 1 answers and 2 flags; allowed: equally many"),
        ({"actions": ["SELECT 1"], "observations": ["[]"], "valid_action": [True]}, "no 'rewards'"),
    ],
)
def test_a_run_that_is_not_one_is_named(tmp_path, told, fault):
    path = released(tmp_path, told)
    with pytest.raises(ValueError, match="task 5: ") as caught:
        read_runs(path)
    assert str(caught.value) == f"{path}: task 5: {fault}"


def test_a_blocked_request_ends_a_run_without_an_answer(tmp_path):
    told = history([0.0, 0], actions=["SELECT 0", "blocked"], observations=["[]"], valid_action=[True])
    run = read_runs(released(tmp_path, told))[5]
    assert [turn.answer for turn in run.turns] == ["[]", None]
    assert not run.right


def test_a_task_that_a_model_misses_is_left_out_and_named(tmp_path):
    for model in MODELS:
        released(tmp_path, history([1]), model, task=7 if model == "vicuna" else 5)
    found = Trajectories.read(tmp_path, {5: "concert", 7: "concert"})
    assert found.tasks == []
    assert found.left_out == {5: ("vicuna",), 7: tuple(model for model in MODELS if model != "vicuna")}
    with pytest.raises(ValueError, match="task 7: its database is not known; allowed: 1 tasks"):
        Trajectories.read(tmp_path, {5: "concert"})


@pytest.mark.parametrize(
    ("answer", "rows"),
    [
        ("[]", 0),
        ("[(1,), (2,)]", 2),
        ("[('a), (b', [1]), ({2}, \"it's\")]", 2),
        (r"[('it\'s (', 1)]", 1),
        ("Error executing query: no table", None),
        ("None", None),
    ],
)
def test_rows_are_counted_in_the_text_of_a_table(answer, rows):
    ends = row_ends(answer)
    assert (None if ends is None else len(ends)) == rows
    assert all(answer[end - 1] == ")" for end in ends or ())


def words(text: str) -> int:
    return len(text.split())


def run_of(*answers: str) -> Run:
    turns = [Turn("SELECT a", answer, 0.0, True) for answer in answers]
    return Run(QUERY, tuple(turns))


def test_a_prompt_grows_by_the_protocol():
    """Words stand for tokens: the question has five, each command two, each answer one, each reward one."""
    chat = Protocol(opening=100, answered=10, asks_again=True, window=5, message=4)
    # a command makes a message of 2 + 4, an answer one of 1 + 1 + 10 + 5 + 4
    kept = [[], [6, 21], [6, 21] * 2, [21, 6, 21, 6, 21], [21, 6, 21, 6, 21]]
    assert contexts(run_of(*["[(1,)]"] * 5), chat, words) == [105 + sum(messages) for messages in kept]
    plain = Protocol(opening=100, answered=10, history=30)
    assert contexts(run_of(*["[(1,)]"] * 3), plain, words) == [105, 135 + 14, 135 + 28]


def test_models_are_shown_fifty_rows_or_so_many_letters():
    table = "[" + ", ".join(["(1,)"] * 60) + "]"
    protocol = Protocol(opening=0, answered=0, clip=7)
    assert contexts(run_of(table, "[]"), protocol, words)[1] == 5 + 2 + 50 + 1
    assert contexts(run_of("[]", "[]"), protocol, words)[1] == 5 + 2 + 2 + 1  # No output
    assert contexts(run_of("a b c d e f", "[]"), protocol, len)[1] == len(QUERY) + 8 + 7 + 3


def test_trees_have_figures_and_flags_and_no_text(tmp_path):
    told = history(
        [0.5, 0, 0, 1],
        actions=["SELECT a", "SELECT b", "SELECT a", "SELECT c"],
        observations=["Error executing query: x", "[]", "[(1,), (2,)]", "None"],
        valid_action=[False, True, True, True],
    )
    for model in MODELS:
        released(tmp_path, told, model)
    (tree,) = trees(Trajectories.read(tmp_path, {5: "concert"}), ["gpt-3.5", "gpt-4"], words)
    assert (tree["problem"]["split"], tree["problem"]["index"], tree["problem"]["answer"]) == ("concert", 5, "")
    answers = ("answer_error", "answer_rows", "answer_repeat")
    assert [[node.get(key) for key in answers] for node in tree["nodes"][1:5]] == [
        [True, None, False],
        [False, 0, False],
        [False, 2, True],
        [False, None, False],
    ]
    assert [(node["parent"], node["depth"], node["model"]) for node in tree["nodes"][1:]] == [
        *((depth, depth + 1, 0) for depth in range(4)),
        *((depth + 4 if depth else 0, depth + 1, 1) for depth in range(4)),
    ]
    assert [node.get("correct") for node in tree["nodes"][1:5]] == [None, None, None, True]
    assert "SELECT" not in json.dumps(tree)
    assert QUERY not in json.dumps(tree)


def test_no_database_is_in_two_splits_and_each_split_has_its_share():
    databases = ["a"] * 40 + ["b"] * 20 + ["c"] * 20 + ["d"] * 10 + ["e"] * 10
    splits = split_databases(databases)
    assert set(splits) == set("abcde")
    sizes = {split: sum(splits[name] == split for name in databases) for split in ("train", "calibration", "test")}
    assert sizes["train"] >= 30
    assert min(sizes["calibration"], sizes["test"]) >= 20


@pytest.mark.parametrize("name", BUNDLED)
def test_no_schema_is_in_two_splits_of_a_bank(name):
    bank = Bank.open(name)
    home = {}
    for database, split in zip(bank.problems.official_split.to_pylist(), bank.problems.split.to_pylist(), strict=True):
        assert home.setdefault(database, split) == split
    assert len(home) == 20
    assert len(bank.problems) == 1032
    assert sum(entry.bytes for entry in bank.manifest.files.values()) < 800_000


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bank_stores_no_text_of_others_and_no_confidence(name):
    bank = Bank.open(name)
    assert bank.read("texts.parquet")["text"].null_count == len(bank.nodes)
    assert set(bank.problems.answer.to_pylist()) == {""}
    assert np.isnan(bank.confidence).all()
    assert "counted by cl100k_base, not billed" in bank.manifest.description


@pytest.fixture(scope="module")
def everything() -> Game:
    """GPT-3.5 and GPT-4 on all tasks at once."""
    bank = Bank.open("intercode-sql-gpt")
    whole = Part(bank, {"test": np.arange(len(bank.problems))})
    return Game(whole, split="test", mode="restart", cost_unit="dollars", observation=("progress", "feedback"))


def told_of(found: Evaluation) -> tuple[str, str]:
    """Share of right answers, and turns of GPT-4 a task."""
    return f"{found.accuracy:.3f}", f"{found.ledger[:, -1, CALLS].mean():.2f}"


@pytest.mark.parametrize(
    ("turns", "expected"), [(1, ("0.741", "5.47")), (4, ("0.752", "4.67")), (7, ("0.783", "3.85"))]
)
def test_handing_over_after_so_many_turns_of_gpt_3_5(everything, turns, expected):
    assert told_of(play(LastKLarge(LIMIT - turns), everything)) == expected


def test_the_models_alone_and_the_oracle(everything):
    assert told_of(play(AlwaysLargest(), everything)) == ("0.738", "5.67")
    assert told_of(play(AlwaysSmallest(), everything)) == ("0.474", "0.00")
    assert told_of(oracle(everything)) == ("0.787", "1.56")


def test_three_models_are_played_and_only_restart_and_priced_units_are_there():
    game = Game("intercode-sql-openai", split="test", mode="restart", cost_unit="dollars", observation=("feedback",))
    alone = play(AlwaysLargest(), game)
    assert oracle(game).accuracy > alone.accuracy
    with pytest.raises(NotApplicableError, match=r"mode='route' is not recorded .*allowed: 'restart'"):
        Game("intercode-sql-openai", mode="route", cost_unit="dollars")
    with pytest.raises(PriceError, match="has no parameter count"):
        Game("intercode-sql-openai", mode="restart", cost_unit="flops")


def test_turns_of_the_largest_model_are_a_cost_unit(everything):
    turns = Game(everything.config, cost_unit="large_calls", normaliser=None)
    assert turns.normaliser == pytest.approx(5.67, abs=0.005)
    best = oracle(turns)
    assert told_of(best) == ("0.787", "1.56")
    assert (best.cost * turns.normaliser).tolist() == best.ledger[:, -1, CALLS].tolist()
    assert "large_calls" not in oracle(everything).costs  # told where it is asked for


def test_a_pool_is_ordered_by_the_share_of_tasks_that_each_model_solves():
    bank = Bank.open("intercode-sql-seven")
    whole = Part(bank, {"test": np.arange(len(bank.problems))})
    game = Game(whole, split="test", mode="restart", cost_unit="large_calls", observation=("progress",))
    alone = [play(AlwaysModel(model), game).accuracy for model in range(7)]
    assert [f"{share:.3f}" for share in alone] == ["0.063", "0.097", "0.099", "0.129", "0.156", "0.474", "0.738"]
    assert bank.pool.names == MODELS


def test_the_five_weaker_models_add_one_test_task():
    game = {"split": "test", "mode": "restart", "cost_unit": "large_calls", "observation": ("progress",)}
    solved = [int(oracle(Game(f"intercode-sql-{name}", **game)).right.sum()) for name in ("gpt", "seven")]
    assert solved == [267, 268]


def test_models_without_a_list_price_have_none_and_no_unit_that_needs_one():
    bank = Bank.open("intercode-sql-seven")
    assert {model.name for model in bank.pool if model.price} == {"text-davinci-003", "gpt-3.5", "gpt-4"}
    assert available_units(bank.pool) == ("large_tokens", "large_calls")
    with pytest.raises(PriceError, match="'vicuna' has no price; allowed: 'large_tokens', 'large_calls'"):
        Game(bank, mode="restart", cost_unit="dollars")


def test_too_many_paths_for_a_table_hide_neither_oracle_nor_query_classifier(monkeypatch):
    def made() -> tuple[Evaluation, float, QueryClassifier]:
        options = {"mode": "restart", "cost_unit": "dollars", "observation": ("question",)}
        known, test = (Game("intercode-sql-gpt", split=split, **options) for split in ("train", "test"))
        return oracle(test), (known.table is None), QueryClassifier().fit(known)

    with_table, missing, fitted = made()
    monkeypatch.setattr(tabulation, "MAX_BYTES", 1)
    without, gone, again = made()
    assert (missing, gone) == (False, True)
    np.testing.assert_array_equal(with_table.decisions, without.decisions)
    game = Game("intercode-sql-gpt", split="test", mode="restart", cost_unit="dollars", observation=("question",))
    np.testing.assert_array_equal(play(fitted, game).decisions, play(again, game).decisions)


def test_files_are_read_as_they_lie_in_the_repository_of_intercode(tmp_path):
    for model in MODELS:
        path = released(tmp_path, history([1]), model)
        place = tmp_path / "plain" / model / path.stem
        place.parent.mkdir(parents=True)
        place.write_bytes(gzip.decompress(path.read_bytes()))
    databases = {5: "concert"}
    assert Trajectories.read(tmp_path / "plain", databases) == Trajectories.read(tmp_path, databases)
    place.unlink()
    with pytest.raises(ValueError, match=r"no file of gpt-4; allowed: .*10_turns.json or .*10_turns.json.gz"):
        Trajectories.read(tmp_path / "plain", databases)


def test_the_bundled_bank_is_what_the_released_files_give(shared_dir):
    """All but the token counts, for which a tokenizer is needed: see the test below."""
    folder = shared_dir / "data/intercode_sql"
    if not folder.is_dir():
        pytest.skip("needs InterCode's files in ../shared/data/intercode_sql, which are absent here")
    bank = Bank.open("intercode-sql-seven")
    databases = {int(i): d for i, d in zip(bank.problems.index, bank.problems.official_split.to_pylist(), strict=True)}
    found = Trajectories.read(folder, databases | {187: "?", 438: "?"})
    assert found.left_out == {187: ("vicuna",), 438: ("text-davinci-003",)}
    nodes = [node for tree in trees(found, intercode_bank.BANKS[bank.name], words) for node in tree["nodes"]]
    read = bank.read("nodes.parquet")
    for name in ("depth", "answer_error", "answer_rows", "answer_repeat", "correct"):
        assert read[name].to_pylist() == [node.get(name) for node in nodes], name
    questions = {hashlib.sha256(run.query.encode()).hexdigest() for run in found.runs["gpt-4"].values()}
    assert set(bank.problems.question_sha256.to_pylist()) <= questions


def test_the_token_counts_are_those_of_cl100k_base(shared_dir):
    pytest.importorskip("bpe_openai", reason="needs bpe-openai, which no extra of this package brings")
    folder = shared_dir / "data/intercode_sql"
    if not folder.is_dir():
        pytest.skip("needs InterCode's files in ../shared/data/intercode_sql, which are absent here")
    bank = Bank.open("intercode-sql-gpt")
    databases = {int(i): d for i, d in zip(bank.problems.index, bank.problems.official_split.to_pylist(), strict=True)}
    found = Trajectories.read(folder, databases | {187: "?", 438: "?"})
    count = intercode_bank.token_counter("cl100k_base")
    read = bank.read("nodes.parquet").slice(0, 200)
    first = islice(trees(found, ("gpt-3.5", "gpt-4"), count), 30)
    nodes = [node for tree in first for node in tree["nodes"]]
    for name in ("tokens", "context_tokens"):
        assert read[name].to_pylist() == [node.get(name, 0 if name == "tokens" else None) for node in nodes[:200]], name
