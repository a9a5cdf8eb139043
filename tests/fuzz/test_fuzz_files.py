"""Every reader of files: whatever a file holds, it is read or refused by a ``ValueError``, soon and in little memory.

What ``fuzz`` asks of them is in ``conftest.py``.
"""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from bank_files import BUNDLED
from hypothesis import strategies as st
from logged import QUESTIONS, ask, write_log
from mutations import mutated_bytes, mutated_json, mutated_lines
from toy_recording import recorded

from gym_stepwise_routing.agents.runs import RunManifest
from gym_stepwise_routing.banks import BANKS, Bank
from gym_stepwise_routing.banks.bank_tables import bank_schemas, open_table
from gym_stepwise_routing.banks.jsonl import export_jsonl, import_jsonl
from gym_stepwise_routing.banks.manifest import FileEntry, Manifest
from gym_stepwise_routing.banks.records import read_trees as read_interchange
from gym_stepwise_routing.baselines import ConfidenceThreshold
from gym_stepwise_routing.baselines.verifiers.score_files import read_scores, write_scores
from gym_stepwise_routing.calibration import RelativeAccuracy, calibrate, load_calibrated, save_calibrated
from gym_stepwise_routing.costs.models import Model
from gym_stepwise_routing.datasets import load_file
from gym_stepwise_routing.datasets.table_questions import read_table_questions
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.leaderboard.board_rows import ROWS, read_rows
from gym_stepwise_routing.leaderboard.entry_files import read_entries
from gym_stepwise_routing.leaderboard.track import TRACKS, open_track
from gym_stepwise_routing.recorder.finished_bank import bank_from_recording
from gym_stepwise_routing.recorder.store import TreeStore
from gym_stepwise_routing.routers.policy_network import PolicyNetwork
from gym_stepwise_routing.serving.log_reading import LogReader
from gym_stepwise_routing.serving.pool_config import load_config
from gym_stepwise_routing.sources.simulator.presets import PRESETS, read_preset

ARTEFACTS = ROWS.parent / "artefacts"


@dataclass(frozen=True)
class Reader:
    """A reader, and a valid file for it.

    Attributes:
        whole: the valid content.
        file: where the mutated content is written, as a path in a folder that holds all else that is needed.
        read: reads what was written.
        lines: JSON Lines, one line of which is mutated.
        packed: no JSON.
        told: what messages name; the file, if ''.
    """

    whole: bytes
    file: Path
    read: Callable[[], object]
    lines: bool = False
    packed: bool = False
    told: str = ""

    @property
    def inputs(self) -> st.SearchStrategy[bytes]:
        """Three in four are mutated as JSON, the others byte by byte."""
        if self.packed:
            return mutated_bytes(self.whole)
        as_json = (mutated_lines if self.lines else mutated_json)(self.whole)
        return st.one_of(as_json, as_json, as_json, mutated_bytes(self.whole))

    def check(self, content: bytes) -> object:
        """Write the content and read it."""
        self.file.write_bytes(content)
        return self.read()


READERS = (
    "trees", "interchange", "packed trees", "imported trees", "recording", "recorded trees",
    "manifest", "dataset", "table questions", "tables", "preset", "run", "certificate", "game", "rule",
    "entry", "rows", "track", "log", "pool",
)  # fmt: skip


@pytest.mark.parametrize("name", READERS)
def test_any_json_is_read_or_refused(name: str, fuzz: Any, request: pytest.FixtureRequest) -> None:
    reader = _reader(name, request)
    reader.check(reader.whole)  # as it is, it is fine
    fuzz(reader.inputs, reader.check, named=reader.told or reader.file.name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def bank() -> Bank:
    return Bank.open(BUNDLED)


@pytest.fixture(scope="module")
def trees(folder: Path, bank: Bank) -> bytes:
    """Two trees of the bundled bank, in the interchange form."""
    export_jsonl(bank, folder / "all.jsonl")
    with (folder / "all.jsonl").open("rb") as lines:
        return b"".join(sorted((line for _, line in zip(range(200), lines, strict=False)), key=len)[:2])


@pytest.fixture(scope="module")
def calibrated(folder: Path) -> Path:
    game = Game(split="calibration", cost_unit="large_tokens")
    save_calibrated(
        calibrate(ConfidenceThreshold("margin_first"), game, target=RelativeAccuracy(0.6)), folder / "router"
    )
    return folder / "router"


@pytest.fixture(scope="module")
def log(folder: Path) -> bytes:
    """A log that a server has written."""
    pytest.importorskip("fastapi")

    def use(server: Any, _: Any) -> None:
        ask(server, QUESTIONS[0], right=True)

    (folder / "served").mkdir()
    write_log(folder / "served", use)
    return (folder / "served" / "log.jsonl").read_bytes()


def _reader(name: str, request: pytest.FixtureRequest) -> Reader:
    folder: Path = request.getfixturevalue("folder")
    get = request.getfixturevalue
    bundled = BANKS.get(BUNDLED).path

    def of(whole: bytes, file: str, read: Callable[[Path], object], **form: Any) -> Reader:
        path = folder / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        return Reader(whole, path, lambda: read(path), **form)

    def imported(path: Path) -> object:
        shutil.rmtree(path.parent / "bank", ignore_errors=True)
        return import_jsonl(path, get("bank").manifest, path.parent / "bank")

    match name:
        case "trees":
            return of(get("trees"), "trees-0.jsonl", lambda path: TreeStore(path).close(), lines=True)
        case "interchange":
            return of(get("trees"), "trees.jsonl", lambda path: list(read_interchange(path)), lines=True)
        case "packed trees":
            packed = gzip.compress(get("trees"), mtime=0)
            return of(packed, "trees.jsonl.gz", lambda path: list(read_interchange(path)), packed=True)
        case "recording":
            recorded(folder / name, 4)
            whole = (folder / name / "recording.json").read_bytes()
            return of(whole, "recording.json", lambda path: bank_from_recording(path.parent, name="again"), told=name)
        case "recorded trees":
            recorded(folder / name, 3)
            whole = (folder / name / "trees-0.jsonl").read_bytes()
            made = partial(bank_from_recording, folder / name, name="again")
            return of(whole, "trees-0.jsonl", lambda _: made(), lines=True, told=name)
        case "imported trees":
            return of(get("trees"), "trees.jsonl", imported, lines=True)
        case "manifest":
            return of((bundled / "bank.json").read_bytes(), "bank.json", Manifest.load)
        case "dataset":
            rows = b'{"question": "1 + 1", "answer": 2}\n{"question": "?", "answer": "f", "tests": ["assert f()"]}\n'
            rows += b'{"question": "a\\n1\\n\\nWhich?", "answer": 1, "table": [["a"], [1]]}\n'
            return of(rows, "mine.jsonl", load_file, lines=True)
        case "table questions" | "tables":
            (folder / name).mkdir(exist_ok=True)
            archive, questions = folder / name / "csv.tar.gz", folder / name / "q.tsv"
            with tarfile.open(archive, "w:gz") as packed_tables:
                (folder / name / "1.csv").write_text('"a","b"\n"1","\\"2\\""\n')
                packed_tables.add(folder / name / "1.csv", "csv/1.csv")
            questions.write_text("id\tutterance\tcontext\ttargetValue\nnt-0\twhich?\tcsv/1.csv\t2\n")
            whole = (archive if name == "tables" else questions).read_bytes()
            file = "csv.tar.gz" if name == "tables" else "q.tsv"
            return of(whole, file, lambda _: list(read_table_questions(questions)), packed=True, told=f"/{name}/")
        case "preset":
            return of(PRESETS.get("math-qwen2.5").path.read_bytes(), "mine.json", read_preset)
        case "run":
            with np.load(ARTEFACTS / "gsm8k-route.npz") as stored:
                whole = str(stored["all-budgets-ppo-0/manifest"]).encode()
            return of(whole, "manifest.json", RunManifest.load)
        case "certificate" | "game" | "rule":
            shutil.copytree(get("calibrated"), folder / name, dirs_exist_ok=True)
            whole = (folder / name / f"{name}.json").read_bytes()
            return of(whole, f"{name}.json", lambda path: load_calibrated(path.parent), told=f"/{name}/")
        case "entry":
            entries = (ROWS.parent / "entries" / "gsm8k-closed-models.jsonl").read_bytes().splitlines(keepends=True)
            return of(b"".join(entries[:2]), "gsm8k-closed-models.jsonl", read_entries, lines=True)
        case "rows":
            return of(ROWS.read_bytes(), "rows.json", read_rows)
        case "track":
            whole = (TRACKS / "simulated-math-regenerate.json").read_bytes()
            return of(whole, "simulated-math-regenerate.json", lambda path: open_track(path.stem, path.parent))
        case "log":
            return of(get("log"), "log.jsonl", lambda path: list(LogReader(path)), lines=True)
        case "pool":
            whole = json.dumps(
                yaml.safe_load((Path(__file__).parents[2] / "examples" / "pool.yml").read_text())
            ).encode()
            return of(whole, "pool.yml", load_config)
    raise AssertionError(name)


@pytest.mark.parametrize("table", ["nodes.parquet", "problems.parquet"])
def test_any_table_is_read_or_refused(table: str, fuzz: Any, folder: Path) -> None:
    whole = (BANKS.get(BUNDLED).path / table).read_bytes()
    path, rows = folder / table, pq.read_metadata(io.BytesIO(whole)).num_rows

    def read() -> None:
        entry = FileEntry(sha256="0" * 64, bytes=path.stat().st_size, rows=rows)
        with open_table(path, entry, bank_schemas(2)[table], verify=False) as file:
            file.read(use_threads=False)

    fuzz(mutated_bytes(whole), Reader(whole, path, read).check, named=table)


def test_any_scores_are_read_or_refused(fuzz: Any, folder: Path, bank: Bank) -> None:
    path = folder / "scores.parquet"
    write_scores(path, bank, Model("judge", 1e9), np.full(len(bank.nodes), 0.5))
    whole = path.read_bytes()
    fuzz(mutated_bytes(whole), Reader(whole, path, lambda: read_scores(path, bank)).check, named=path.name)


ARRAYS = (
    np.zeros(0), np.zeros((0, 3)), np.array(np.nan), np.array([np.inf]), np.array(-1), np.array(2**62), np.array("x"),
    np.array(["relu", "x"]), np.array(b"x"), np.zeros((1,) * 32), np.array([True]), np.zeros(3, np.complex64),
    np.array(["2026-01-01"], "datetime64[D]"), np.zeros(2, [("a", "f4")]),
)  # fmt: skip


def test_any_policy_is_loaded_or_refused(fuzz: Any, folder: Path) -> None:
    path = folder / "router.npz"
    with np.load(ARTEFACTS / "gsm8k-route.npz") as stored:
        arrays = {key.split("/")[1]: value for key, value in stored.items() if key.startswith("all-budgets-ppo-0/")}
    np.savez(path, **arrays)
    reader = Reader(path.read_bytes(), path, lambda: PolicyNetwork.load(path))
    reader.read()

    @st.composite
    def other_arrays(draw: st.DrawFn) -> bytes:
        changed = dict(arrays)
        for key in draw(st.lists(st.sampled_from(sorted(arrays)), min_size=1, max_size=3)):
            if draw(st.integers(0, 4)):
                changed[key] = draw(st.sampled_from(ARRAYS))
            else:
                changed.pop(key, None)
        np.savez(path, **changed)
        return path.read_bytes()

    fuzz(other_arrays() | mutated_bytes(reader.whole), reader.check, named=path.name)
