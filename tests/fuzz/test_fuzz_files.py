"""Every reader of files: whatever a file holds, it is read or refused by a ``ValueError``, soon and in little memory.

300 inputs a reader here, 10,000 by ``make fuzz`` (``FUZZ_EXAMPLES``).
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from bank_files import BUNDLED
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from logged import QUESTIONS, ask, write_log
from mutations import bytes_of, mutated_bytes, mutated_json

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
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.leaderboard.board_rows import ROWS, read_rows
from gym_stepwise_routing.leaderboard.entry_files import read_entries
from gym_stepwise_routing.leaderboard.track import TRACKS, open_track
from gym_stepwise_routing.recorder.store import read_trees
from gym_stepwise_routing.routers.policy_network import PolicyNetwork
from gym_stepwise_routing.serving.log_reading import LogReader
from gym_stepwise_routing.serving.pool_config import load_config
from gym_stepwise_routing.sources.simulator.presets import PRESETS, read_preset

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "300"))
ARTEFACTS = ROWS.parent / "artefacts"
LONGEST = 5.0
"""CPU seconds that one input may take."""
MOST_MEMORY = 1 << 30
"""Bytes that the process may have at its peak, judged by ``make fuzz`` (this file alone in a process)."""

fuzzing = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=EXAMPLES == 300,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@dataclass(frozen=True)
class Reader:
    """A reader, and a valid file for it.

    Attributes:
        whole: the valid content.
        file: where the mutated content is written, as a path in a folder that holds all else that is needed.
        read: reads what was written.
        lines: JSON Lines, one line of which is mutated.
    """

    whole: bytes
    file: Path
    read: Callable[[], object]
    lines: bool = False

    def text(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> bytes:
        """A mutation of the content as JSON."""
        if not self.lines:
            return bytes_of(draw(mutated_json(json.loads(self.whole))))
        lines = self.whole.splitlines()
        at = draw(st.integers(0, len(lines) - 1))
        lines[at] = bytes_of(draw(mutated_json(json.loads(lines[at]))))
        return b"\n".join(lines) + b"\n"


READERS = (
    "trees", "interchange", "imported trees", "manifest", "dataset", "preset", "run", "certificate", "game", "rule",
    "entry", "rows", "track", "log", "pool",
)  # fmt: skip


@pytest.mark.parametrize("name", READERS)
def test_any_json_is_read_or_refused(name: str, request: pytest.FixtureRequest) -> None:
    reader = _reader(name, request)
    reader.file.write_bytes(reader.whole)
    reader.read()  # as it is, it is fine

    @fuzzing
    @given(data=st.data())
    def fuzz(data: st.DataObject) -> None:
        as_json = data.draw(st.integers(0, 3))
        check(reader, reader.text(data.draw) if as_json else data.draw(mutated_bytes(reader.whole)))

    fuzz()


def check(reader: Reader, content: bytes) -> None:
    """Write the content and read it: fine, or a ``ValueError`` that is not empty."""
    reader.file.write_bytes(content)
    began = time.process_time()
    with contextlib.suppress(ValueError):
        reader.read()
    assert time.process_time() - began < LONGEST


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

    def of(whole: bytes, file: str, read: Callable[[Path], object], *, lines: bool = False) -> Reader:
        path = folder / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        return Reader(whole, path, lambda: read(path), lines)

    def imported(path: Path) -> object:
        shutil.rmtree(path.parent / "bank", ignore_errors=True)
        return import_jsonl(path, get("bank").manifest, path.parent / "bank")

    match name:
        case "trees":
            return of(get("trees"), "trees-0.jsonl", lambda path: list(read_trees(path)), lines=True)
        case "interchange":
            return of(get("trees"), "trees.jsonl", lambda path: list(read_interchange(path)), lines=True)
        case "imported trees":
            return of(get("trees"), "trees.jsonl", imported, lines=True)
        case "manifest":
            return of((bundled / "bank.json").read_bytes(), "bank.json", Manifest.load)
        case "dataset":
            rows = b'{"question": "1 + 1", "answer": 2}\n{"question": "?", "answer": "f", "tests": ["assert f()"]}\n'
            return of(rows, "mine.jsonl", load_file, lines=True)
        case "preset":
            return of(PRESETS.get("math-qwen2.5").path.read_bytes(), "mine.json", read_preset)
        case "run":
            with np.load(ARTEFACTS / "gsm8k-route.npz") as stored:
                whole = str(stored["all-budgets-ppo-0/manifest"]).encode()
            return of(whole, "manifest.json", RunManifest.load)
        case "certificate" | "game" | "rule":
            shutil.copytree(get("calibrated"), folder / name, dirs_exist_ok=True)
            whole = (folder / name / f"{name}.json").read_bytes()
            return of(whole, f"{name}.json", lambda path: load_calibrated(path.parent))
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
def test_any_table_is_read_or_refused(table: str, folder: Path) -> None:
    whole = (BANKS.get(BUNDLED).path / table).read_bytes()
    path = folder / table

    def read() -> None:
        entry = FileEntry(sha256="0" * 64, bytes=path.stat().st_size, rows=1)
        with open_table(path, entry, bank_schemas(2)[table], verify=False) as file:
            file.read()

    @fuzzing
    @given(content=mutated_bytes(whole))
    def fuzz(content: bytes) -> None:
        check(Reader(whole, path, read), content)

    fuzz()


def test_any_scores_are_read_or_refused(folder: Path, bank: Bank) -> None:
    path = folder / "scores.parquet"
    write_scores(path, bank, Model("judge", 1e9), np.full(len(bank.nodes), 0.5))
    whole = path.read_bytes()

    @fuzzing
    @given(content=mutated_bytes(whole))
    def fuzz(content: bytes) -> None:
        check(Reader(whole, path, lambda: read_scores(path, bank)), content)

    fuzz()


ARRAYS = (
    np.zeros(0), np.zeros((0, 3)), np.array(np.nan), np.array([np.inf]), np.array(-1), np.array(2**62), np.array("x"),
    np.array(["relu", "x"]), np.array(b"x"), np.zeros((1,) * 32), np.array([True]), np.zeros(3, np.complex64),
    np.array(["2026-01-01"], "datetime64[D]"), np.zeros(2, [("a", "f4")]),
)  # fmt: skip


def test_any_policy_is_loaded_or_refused(folder: Path) -> None:
    path = folder / "router.npz"
    with np.load(ARTEFACTS / "gsm8k-route.npz") as stored:
        arrays = {key.split("/")[1]: value for key, value in stored.items() if key.startswith("all-budgets-ppo-0/")}
    np.savez(path, **arrays)
    whole = path.read_bytes()
    reader = Reader(whole, path, lambda: PolicyNetwork.load(path))
    reader.read()

    @fuzzing
    @given(data=st.data())
    def fuzz(data: st.DataObject) -> None:
        if data.draw(st.booleans()):
            changed = dict(arrays)
            for key in data.draw(st.lists(st.sampled_from(sorted(arrays)), min_size=1, max_size=3)):
                if data.draw(st.integers(0, 4)):
                    changed[key] = data.draw(st.sampled_from(ARRAYS))
                else:
                    changed.pop(key, None)
            np.savez(path, **changed)
            check(reader, path.read_bytes())
        else:
            check(reader, data.draw(mutated_bytes(whole)))

    fuzz()


@pytest.mark.skipif(EXAMPLES < 10_000, reason="judged by make fuzz, whose process reads nothing else")
def test_memory_stayed_small() -> None:
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 < MOST_MEMORY
