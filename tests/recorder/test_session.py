"""What is selected, sealed and turned into a bank."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from toy_recording import SETTINGS, TOY, manifest, recorded

from gym_stepwise_routing.baselines import AlwaysLargest
from gym_stepwise_routing.costs.ledger import CACHED, PREFILL
from gym_stepwise_routing.costs.models import Model, Price
from gym_stepwise_routing.datasets import Problem
from gym_stepwise_routing.errors import BankError, RecordingError
from gym_stepwise_routing.evaluation.evaluate import play
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.generators import GeneratorInfo
from gym_stepwise_routing.generators.specs import GeneratorSpec, pool_model
from gym_stepwise_routing.recorder.finished_bank import bank_from_recording, merge_trees
from gym_stepwise_routing.recorder.problem_selection import Selection, interleaved
from gym_stepwise_routing.recorder.ray_workers import _collect, record_with_ray
from gym_stepwise_routing.recorder.recording_manifest import MANIFEST, seal_manifest
from gym_stepwise_routing.recorder.session import RecordingSession
from gym_stepwise_routing.recorder.store import TreeStore, read_trees
from gym_stepwise_routing.types import MODES


def rows(path: Path, count: int) -> Path:
    path.write_text(
        "".join(json.dumps({"question": f"What is {i}?", "answer": i}) + "\n" for i in range(count)), "utf-8"
    )
    return path


def test_rows_of_a_file(tmp_path: Path) -> None:
    path = rows(tmp_path / "toy.jsonl", 9)
    chosen = Selection.parse(f"{path}:2-5", data=None, grading="math")
    assert [problem.index for problem in chosen.problems] == [2, 3, 4]
    assert (chosen.name, chosen.grading) == ("toy", "math")
    some = Selection.parse(f"{path}:8,2-5,0,3", data=None, grading="math")
    assert [problem.index for problem in some.problems] == [0, 2, 3, 4, 8]
    spread = Selection.parse(f"{path}:0-9/4,1", data=None, grading="math")
    assert [problem.index for problem in spread.problems] == [0, 1, 4, 8]
    assert len(Selection.parse(str(path), data=None, grading="numeric").problems) == 9


def test_a_file_of_ones_own_needs_a_grading(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"toy.jsonl' is a file of your own.*allowed: --grading choice, code"):
        Selection.parse(str(rows(tmp_path / "toy.jsonl", 2)), data=None)


def test_rows_of_a_known_dataset(shared_dir: Path) -> None:
    chosen = Selection.parse("math500/test:0-3", data=shared_dir / "data")
    assert [problem.id for problem in chosen.problems] == [f"math500/test/{i}" for i in range(3)]
    assert (chosen.dataset.licence, chosen.grading) == ("MIT (problems)", "math")


@pytest.mark.parametrize(
    ("text", "message"),
    [("gsm8k", "gsm8k/test"), ("gsm9k/test", "gsm9k"), ("x.jsonl", "no file"), ("x.jsonl:0-9/0", "allowed")],
)
def test_bad_selections_are_named(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Selection.parse(text, data=Path("nowhere"))


@pytest.mark.parametrize("chosen", ["7-9", "4", "2-5", "3-3", "0,4"])
def test_rows_that_a_file_does_not_have_are_refused(tmp_path: Path, chosen: str) -> None:
    with pytest.raises(ValueError, match="allowed: rows within 0-4"):
        Selection.parse(f"{rows(tmp_path / 'toy.jsonl', 4)}:{chosen}", data=None)


def test_selections_are_mixed_evenly() -> None:
    def selection(name: str, count: int) -> Selection:
        return Selection(tuple(Problem(name, "test", i, f"{name}{i}", "1") for i in range(count)), name, TOY, "numeric")

    order = [problem.dataset for problem in interleaved([selection("a", 9), selection("b", 3)])]
    assert [order[first : first + 4].count("b") for first in (0, 4, 8)] == [1, 1, 1]


def test_the_same_recording_may_go_on(tmp_path: Path) -> None:
    seal_manifest(tmp_path, manifest())
    seal_manifest(tmp_path, manifest(replace(SETTINGS, in_flight=3)))
    assert json.loads((tmp_path / MANIFEST).read_text(encoding="utf-8"))["notes"]["in_flight"] == 24


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": replace(SETTINGS, mode="escalate")}, "mode was 'route', now 'escalate'"),
        ({"shared_prefix": [1, 2]}, r"shared_prefix_tokens\[1\] was 1, now 2"),
        ({"models": [Model("small", 10.0), Model("big", 20.0)]}, r"models\[1\]\.name was 'large', now 'big'"),
        ({"datasets": {"toy": TOY, "more": TOY}}, "datasets.more was None"),
    ],
)
def test_another_recording_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    seal_manifest(tmp_path, manifest())
    with pytest.raises(RecordingError, match=message):
        seal_manifest(tmp_path, manifest(**changes))


def test_a_recording_becomes_a_bank_with_its_splits_and_rule(tmp_path: Path) -> None:
    recorded(tmp_path, 30)
    bank = bank_from_recording(tmp_path, name="toy-bank")
    assert (bank.name, len(bank.problems)) == ("toy-bank", 30)
    assert bank.manifest.horizon == 3
    assert set(bank.manifest.split_rule.shares["train"]) == {"train", "calibration"}
    assert "One line." in bank.manifest.step_rule.note


def test_the_same_trees_give_the_same_bank_hash_whatever_is_in_flight(tmp_path: Path) -> None:
    hashes = set()
    for in_flight in (1, 4, 30):
        recorded(tmp_path / str(in_flight), 30, settings=replace(SETTINGS, in_flight=in_flight))
        hashes.add(bank_from_recording(tmp_path / str(in_flight), name="toy-bank").hash)
    assert len(hashes) == 1


def test_the_command_that_is_kept_has_no_keys_and_nothing_of_speed() -> None:
    pytest.importorskip("typer")
    from gym_stepwise_routing.cli.record_command import _command

    words = ["record", "--in-flight", "3", "--models", "openai:a,key=secret,url=u", "--in-flight=9", "--out", "o"]
    assert _command(words) == "stepwise-routing record --models openai:a,url=u --out o"


def test_the_bank_says_in_which_arithmetic_and_batch_it_was_decoded(tmp_path: Path) -> None:
    told = (("dtype", "bfloat16"), ("batch", "32"))
    infos = [GeneratorInfo("vllm 0.32.0", "small", 10, "ab" * 32, 100, 2, "cd" * 32, told)]
    infos += [GeneratorInfo("openai 2.0", "large", None, None, None, 2, None, (("server", "http://x"),))]
    recorded(tmp_path, 2, generators=infos)
    assert bank_from_recording(tmp_path, name="toy-bank").manifest.decoding.engine == (
        "small: vllm 0.32.0, bfloat16, at most 32 at a time; large: openai 2.0, number format and batch unknown"
    )
    other = [replace(infos[0], settings=(("dtype", "bfloat16"), ("batch", "8"))), infos[1]]
    with pytest.raises(RecordingError, match=r"settings\[1\]\[1\] was '32', now '8'"):
        seal_manifest(tmp_path, manifest(generators=other))


def test_a_recording_for_regenerate_is_that_for_route_and_plays_in_every_mode(tmp_path: Path) -> None:
    for mode in ("route", "regenerate"):
        recorded(tmp_path / mode, 30, settings=replace(SETTINGS, mode=mode))
    route, regenerate = (list(read_trees(tmp_path / mode / "trees-0.jsonl")) for mode in ("route", "regenerate"))
    assert route == regenerate
    bank = bank_from_recording(tmp_path / "regenerate", name="toy-bank")
    for mode in MODES:
        assert Game(bank, mode=mode).spec.mode == mode


def test_a_bank_is_charged_by_the_caches_that_were_stated_at_its_recording(tmp_path: Path) -> None:
    ledgers = {}
    for options in ("", ",cache_block=4", ",cache_smallest=100000", ",cache_reported=true"):
        specs = [GeneratorSpec.parse(f"openai:{name},parameters=9{options}") for name in ("small", "large")]
        info = GeneratorInfo("openai 3", "served", None, None, None, 8, None)
        models = [pool_model(spec, spec.pool_name, info) for spec in specs]
        folder = tmp_path / str(len(ledgers))
        recorded(folder, 6, models=models)
        bank = bank_from_recording(folder, name="toy-bank")
        assert [model.caching for model in bank.pool] == [model.caching for model in models]
        ledgers[options] = play(AlwaysLargest(), Game(bank, split="train")).ledger[:, -1].sum(axis=0)
    ideal, blocks, none, reported = ledgers.values()
    for ledger in ledgers.values():
        assert ledger[[PREFILL, CACHED]].sum() == ideal[[PREFILL, CACHED]].sum()
    assert 0 == none[CACHED] < blocks[CACHED] < ideal[CACHED]
    assert (reported == ideal).all()  # what a server served the recording is not what it would serve this play


def test_a_price_of_another_day_is_the_same_recording(tmp_path: Path) -> None:
    def priced(date: str) -> list[Model]:
        price = Price(input=1.0, cached_input=0.5, output=2.0, date=date, source="table")
        return [Model("small", 10.0, price), Model("large", 20.0, price)]

    seal_manifest(tmp_path, manifest(models=priced("2026-01-01")))
    seal_manifest(tmp_path, manifest(models=priced("2026-01-02")))
    recorded(tmp_path, 3, models=priced("2026-01-03"))
    bank = bank_from_recording(tmp_path, name="priced")
    assert [model.price and model.price.date for model in bank.pool] == ["2026-01-01"] * 2


def test_a_problem_recorded_twice_is_refused(tmp_path: Path) -> None:
    recorded(tmp_path, 2)
    recorded(tmp_path, 1, part=1)
    with pytest.raises(RecordingError, match="1 problems were recorded twice"):
        merge_trees(tmp_path)


def test_a_folder_without_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"recording\.json: the file is missing"):
        bank_from_recording(tmp_path, name="x")
    seal_manifest(tmp_path, manifest())
    with pytest.raises(RecordingError, match="no recorded tree"):
        bank_from_recording(tmp_path, name="x")


def test_a_bank_of_unselected_problems_is_refused(tmp_path: Path) -> None:
    recorded(tmp_path / "out", 3)
    selection = Selection.parse(f"{rows(tmp_path / 'toy.jsonl', 2)}@train", data=None, grading="numeric")
    specs = (GeneratorSpec(backend="openai", model="a"), GeneratorSpec(backend="openai", model="b"))
    session = RecordingSession(specs, (selection,), SETTINGS, tmp_path / "out", "record", "MIT")
    with pytest.raises(BankError, match="not selected here"):
        session.bank("toy")


def test_a_pool_of_one_and_mixed_gradings_are_refused(tmp_path: Path) -> None:
    one = Selection.parse(str(rows(tmp_path / "toy.jsonl", 2)), data=None, grading="numeric")
    spec, other = GeneratorSpec(backend="openai", model="a"), GeneratorSpec(backend="openai", model="b")
    with pytest.raises(ValueError, match="at least 2"):
        RecordingSession((spec,), (one,), SETTINGS, tmp_path, "record", "MIT")
    with pytest.raises(ValueError, match="grading of the datasets"):
        RecordingSession((spec, other), (one, replace(one, grading="math")), SETTINGS, tmp_path, "record", "MIT")


def test_what_cannot_work_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    path = rows(tmp_path / "toy.jsonl", 4)
    one = Selection.parse(f"{path}:0-3", data=None, grading="numeric")
    spec, other = GeneratorSpec(backend="openai", model="a"), GeneratorSpec(backend="openai", model="b")

    def session(*selections: Selection, specs: tuple[GeneratorSpec, ...] = (spec, other)) -> RecordingSession:
        return RecordingSession(specs, selections, SETTINGS, tmp_path / "out", "record", "MIT")

    with pytest.raises(ValueError, match=r"names \['a', 'a'\]"):
        session(one, specs=(spec, spec))
    with pytest.raises(ValueError, match=r"1 problems are selected twice, such as toy/all/2"):
        session(one, Selection.parse(f"{path}:2-4", data=None, grading="numeric"))
    wordy = replace(one, problems=(Problem("toy", "test", 3, "What?", "one"),))
    with pytest.raises(ValueError, match=r"toy/test/3 \(.*toy.jsonl: line 4\): answer='one'.*--grading math"):
        session(wordy)


def test_commands_that_add_rows_are_all_kept(tmp_path: Path) -> None:
    recorded(tmp_path, 2)
    for command in ("record more", "record more"):
        seal_manifest(tmp_path, manifest() | {"notes": manifest()["notes"] | {"commands": [command]}})
    assert json.loads((tmp_path / MANIFEST).read_text("utf-8"))["notes"]["commands"] == ["record", "record more"]
    assert bank_from_recording(tmp_path, name="x").manifest.command == "record\nrecord more"


def test_a_manifest_with_one_command_is_still_read(tmp_path: Path) -> None:
    recorded(tmp_path, 2)
    old = json.loads((tmp_path / MANIFEST).read_text("utf-8"))
    old["notes"]["command"] = old["notes"].pop("commands")[0]
    (tmp_path / MANIFEST).write_text(json.dumps(old), "utf-8")
    assert bank_from_recording(tmp_path, name="x").manifest.command == "record"


def test_recorded_problems_that_are_not_selected_are_told_before_models_are_loaded(tmp_path: Path) -> None:
    recorded(tmp_path / "out", 3)
    selection = Selection.parse(f"{rows(tmp_path / 'toy.jsonl', 2)}@train", data=None, grading="numeric")
    specs = (GeneratorSpec(backend="transformers", model="a"), GeneratorSpec(backend="transformers", model="b"))
    session = RecordingSession(specs, (selection,), SETTINGS, tmp_path / "out", "record", "MIT")
    with pytest.raises(BankError, match="not selected here"):
        session.run()


class FakeDesk:
    """A worker that notes what it is handed and grows nothing."""

    def __init__(self) -> None:
        self.handed: list[str] = []
        self.stream: Any = None

    def hand(self, chosen: list[Problem]) -> None:
        self.handed += [problem.id for problem in chosen]
        self.stream = iter(())


def test_workers_record_what_is_in_none_of_the_files_as_one_process_does(tmp_path: Path) -> None:
    """Another file than the one that is written to may be there; the bank is made of all."""
    recorded(tmp_path / "out", 2, part=1)
    selection = Selection.parse(f"{rows(tmp_path / 'toy.jsonl', 5)}@train", data=None, grading="numeric")
    specs = (GeneratorSpec(backend="openai", model="a"), GeneratorSpec(backend="openai", model="b"))
    session = RecordingSession(specs, (selection,), SETTINGS, tmp_path / "out", "record", "MIT")
    missing = ["toy/train/2", "toy/train/3", "toy/train/4"]
    assert [problem.id for problem in session.missing()] == missing
    died = SimpleNamespace(ActorDiedError=RuntimeError)
    ray = SimpleNamespace(wait=lambda streams, **_: (streams[:1], []), get=lambda tree: tree, exceptions=died)
    desk, store = FakeDesk(), TreeStore(tmp_path / "out" / "trees-0.jsonl")
    _collect(ray, session, [desk], store, 0, None)  # type: ignore[list-item]
    store.close()
    assert desk.handed == missing


def test_a_file_of_ones_own_may_be_for_training(tmp_path: Path) -> None:
    path = rows(tmp_path / "toy.jsonl", 9)
    chosen = Selection.parse(f"{path}@train:2-5", data=None, grading="math", licence="CC0-1.0")
    assert [problem.id for problem in chosen.problems] == [f"toy/train/{i}" for i in (2, 3, 4)]
    assert chosen.dataset.licence == "CC0-1.0"
    with pytest.raises(ValueError, match="'dev' is not known; allowed: 'train'"):
        Selection.parse(f"{path}@dev", data=None)


@pytest.mark.parametrize("tail", [b'{"problem": {"dataset"', '{"problem": {"dataset": "é'.encode()[:-1]])
def test_a_bank_is_built_past_a_tree_that_a_kill_cut_short(tmp_path: Path, tail: bytes) -> None:
    recorded(tmp_path, 4)
    whole = bank_from_recording(tmp_path, name="toy-bank").hash
    with (tmp_path / "trees-0.jsonl").open("ab") as stream:
        stream.write(tail)
    assert bank_from_recording(tmp_path, name="toy-bank").hash == whole
    recorded(tmp_path, 5)
    assert len(bank_from_recording(tmp_path, name="toy-bank").problems) == 5


@pytest.mark.parametrize("workers", [0, 1])
def test_a_second_recording_is_told_before_it_touches_the_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    selection = Selection.parse(f"{rows(tmp_path / 'toy.jsonl', 2)}", data=None, grading="numeric")
    specs = (GeneratorSpec(backend="openai", model="a"), GeneratorSpec(backend="openai", model="b"))
    session = RecordingSession(specs, (selection,), SETTINGS, tmp_path / "out", "record", "MIT")
    if workers:
        monkeypatch.setitem(sys.modules, "ray", SimpleNamespace())
    with session.alone(), pytest.raises(BankError, match=r"out/recording.json: another process is writing it"):
        record_with_ray(session, workers=1) if workers else session.run()
    assert not (tmp_path / "out").exists()
