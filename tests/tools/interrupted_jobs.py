"""The commands that ``interruptions.py`` disturbs: what lies there before, and what may lie there afterwards."""

from __future__ import annotations

import hashlib
import json
import logging
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from generator_fakes import FakeGenerator

import gym_stepwise_routing.cli.app
from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.banks.jsonl import export_jsonl, import_jsonl
from gym_stepwise_routing.banks.manifest import Recipe
from gym_stepwise_routing.costs.models import Model
from gym_stepwise_routing.generators import StepRule
from gym_stepwise_routing.generators.specs import GENERATORS, Backend, GeneratorSpec
from gym_stepwise_routing.leaderboard.entry import Entry
from gym_stepwise_routing.leaderboard.entry_files import read_entries, read_entry, rows_path
from gym_stepwise_routing.leaderboard.site import build_site
from gym_stepwise_routing.recorder.store import read_trees
from gym_stepwise_routing.serving.decision_log import DecisionLog
from gym_stepwise_routing.serving.log_reading import LOG_VERSION, LoggedFeedback, LogReader, log_files
from gym_stepwise_routing.serving.pool_config import LogConfig
from gym_stepwise_routing.storage.strict_json import read_json, to_json

REPOSITORY = Path(__file__).resolve().parents[2]
BANK = "gsm8k-mixtral-gpt4"
TRACK = "math500-escalate"
ROWS = ("always-smallest", "always-largest", "random-mix")
PROBLEMS = 60


@dataclass(frozen=True)
class Job:
    """A command on a folder, or what a server writes there.

    Attributes:
        name: its name.
        prepare: put the earlier state into an empty folder.
        act: do it.
        state: what lies in a folder, in a line; an error if any of it is half there.
        second: what the second of two processes is told, if it is told anything.
        grows: there are states between the old one and the new.
        safe: what a further run of the command only adds to.
    """

    name: str
    prepare: Callable[[Path], None]
    act: Callable[[Path], None]
    state: Callable[[Path], str]
    second: str = "another process is writing it"
    grows: bool = False
    safe: Callable[[Path], bytes] = lambda folder: b""


def _fake(spec: GeneratorSpec) -> FakeGenerator:
    """A model whose texts hang on the question, some of them long."""

    def write(prompt: str, prefix: str) -> str:
        rng = random.Random(f"{spec.model} {prompt} {prefix}")
        steps = [f"{rng.random()} " * rng.randrange(1, 8) for _ in range(2)]
        return "\n".join([*steps, f"The answer is {rng.randrange(3)}."])

    return FakeGenerator(spec.model, write, prompt_tokens=1000)


GENERATORS.register(Backend(name="fake", title="no model", build=_fake))  # type: ignore[arg-type]


def _record_words(folder: Path) -> list[str]:
    models = [word for name in ("small", "large") for word in ("--models", f"fake:{name},parameters=1e9")]
    rows = ["--dataset", f"{folder / 'toy.jsonl'}:0-{PROBLEMS}", "--grading", "numeric", "--prompt", "gsm8k-4shot"]
    return ["record", *rows, *models, "--out", str(folder / "out"), "--horizon", "3", "--in-flight", "2"]


def _record_prepare(folder: Path) -> None:
    lines = [json.dumps({"question": f"What is {i}?", "answer": i % 3}) + "\n" for i in range(PROBLEMS)]
    (folder / "toy.jsonl").write_text("".join(lines), encoding="utf-8")


def _record_state(folder: Path) -> str:
    """Trees that are whole, the bank that was made of them, and no tree twice."""
    out, trees = folder / "out", []
    for part in sorted(out.glob("trees-*.jsonl")):
        trees += list(read_trees(part, whole_lines=True))
    indices = sorted(tree["problem"]["index"] for tree in trees)
    assert len(set(indices)) == len(indices), f"recorded twice: {indices}"
    if (out / "recording.json").exists():
        assert set(read_json(out / "recording.json")) == {"fixed", "notes"}
    merged = list(read_trees(out / "trees.jsonl")) if (out / "trees.jsonl").exists() else []
    bank = Bank.open(out / "bank") if (out / "bank").exists() else None
    assert bank is None or len(bank.problems) == len(merged) == len(trees)
    content = json.dumps(sorted((tree["problem"]["index"], _without_numbers(tree["nodes"])) for tree in trees))
    return f"{len(trees)} trees {_hash(content.encode())} bank {bank and bank.name}"


def _without_numbers(nodes: Sequence[dict[str, Any]]) -> list[str]:
    """What the nodes hold, each with its texts from the root on: numbers hang on which run came back first."""
    paths: dict[int, list[str]] = {}
    for node in nodes:
        before = [] if node["parent"] is None else paths[node["parent"]]
        paths[node["id"]] = [*before, f"{node.get('model')}: {node.get('text')}"]
    kept = [{key: node[key] for key in node if key not in ("id", "parent", "same_as")} for node in nodes]
    return sorted(json.dumps([paths[node["id"]], rest]) for node, rest in zip(nodes, kept, strict=True))


def _whole_trees(folder: Path) -> bytes:
    trees = folder / "out" / "trees-0.jsonl"
    content = trees.read_bytes() if trees.exists() else b""
    return content[: content.rfind(b"\n") + 1]


def _bank_prepare(folder: Path) -> None:
    bank = Bank.open(BANK)
    export_jsonl(bank, folder / "trees.jsonl")
    recipe = to_json(bank.manifest.recipe)
    (folder / "recipe.json").write_text(json.dumps(recipe), encoding="utf-8")
    lines = (folder / "trees.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "first.jsonl").write_bytes(b"".join(lines[: len(lines) // 2]))
    import_jsonl(folder / "first.jsonl", Recipe.load(folder / "recipe.json"), folder / "bank")


def _bank_state(folder: Path) -> str:
    bank = Bank.open(folder / "bank")
    bank.read("texts.parquet")
    names = sorted(path.name for path in (folder / "bank").iterdir())
    return f"{len(bank.problems)} problems {bank.hash} {names}"


def _bank_words(folder: Path) -> list[str]:
    files = [str(folder / "trees.jsonl"), "--recipe", str(folder / "recipe.json"), "--out", str(folder / "bank")]
    return ["bank", "import", *files, "--overwrite"]


def _rows(folder: Path, names: Sequence[str]) -> Path:
    """Some rows of the board, on one track."""
    folder.mkdir()
    entries = list(read_entries(rows_path(REPOSITORY / "leaderboard" / "entries", TRACK)))
    chosen = [entry for entry in entries if entry.name in names]
    rows_path(folder, TRACK).write_text("".join(f"{entry.model_dump_json()}\n" for entry in chosen), encoding="utf-8")
    return folder


def _submit_prepare(folder: Path) -> None:
    entries = _rows(folder / "entries", ROWS)
    (folder / "artefacts").mkdir()
    old = read_entry(rows_path(entries, TRACK), ROWS[0])
    about = old.about.model_copy(update={"description": "an earlier entry"})
    old.model_copy(update={"name": "mine", "about": about}).write(entries / TRACK / "mine.json")


def _submit_state(folder: Path) -> str:
    entries = folder / "entries"
    names = [entry.name for entry in read_entries(rows_path(entries, TRACK))]
    assert len(names) == len(ROWS), names
    mine = Entry.read(entries / TRACK / "mine.json")
    return f"{names} {mine.about.description} {len(mine.runs)} {mine.figures.accuracy.value}"


def _submit_words(folder: Path) -> list[str]:
    router = ["gym_stepwise_routing.baselines:ConfidenceThreshold", "--kwargs", "figure=p_min"]
    about = ["--track", TRACK, "--name", "mine", "--authors", "us", "--description", "a later entry"]
    places = ["--entries", str(folder / "entries"), "--artefacts", str(folder / "artefacts")]
    return ["submit", *router, *about, *places, "--overwrite", "--select", "budget=0.7"]


def _build_prepare(folder: Path) -> None:
    entries = _rows(folder / "entries", ROWS[:2])
    (folder / "artefacts").mkdir()
    build_site(folder / "site", entries=entries, artefacts=folder / "artefacts", rerun=False, report=lambda _: None)
    entries.joinpath(f"{TRACK}.jsonl").unlink()
    entries.rmdir()
    _rows(folder / "entries", ROWS)


def _build_state(folder: Path) -> str:
    site = folder / "site"
    files = sorted(path for path in site.rglob("*") if path.is_file())
    content = "".join(f"{path.relative_to(site)} {_hash(path.read_bytes())}\n" for path in files)
    return f"{len(files)} files {_hash(content.encode())}"


def _build_words(folder: Path) -> list[str]:
    places = ["--entries", str(folder / "entries"), "--artefacts", str(folder / "artefacts")]
    return ["leaderboard", "build", "--out", str(folder / "site"), "--no-rerun", *places]


LOG_HEAD: dict[str, Any] = {
    **{"version": LOG_VERSION, "event": "server", "time": "2026-12-01T00:00:00+00:00", "id": "a", "name": "n"},
    **{"router": None, "models": [asdict(Model("small", 1e9)), asdict(Model("large", 2e9))], "form": "chat"},
    **{"prompt": {"name": "p", "sha256": "0"}, "rule": asdict(StepRule()), "grading": "numeric"},
}
SAID = LOG_HEAD["time"]
LOGGED: list[dict[str, Any]] = [
    {"version": LOG_VERSION, "event": "feedback", "time": SAID, "id": f"{number} é" + "x" * (number * 37 % 900)}
    | {"right": True, "largest_right": None, "threshold": 0.5}
    for number in range(120)
]


def _log_prepare(folder: Path) -> None:
    """What a server before this one has written."""
    _log(folder, LOGGED[: len(LOGGED) // 4])


def _log(folder: Path, records: Sequence[dict[str, Any]] = LOGGED) -> None:
    """Log what is not there yet, as clients ask again for what was not answered."""
    told: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("gym_stepwise_routing.serving").addHandler(handler)
    path = folder / "log.jsonl"
    there = _logged(path) if list(folder.glob("log.jsonl*")) else []
    try:
        log = DecisionLog(LogConfig(path=path, max_bytes=15_000, keep=100, sync_seconds=0.002), LOG_HEAD)
    except ValueError as error:
        print(f"error: {error}")
        sys.exit(1)
    for record in records:
        if record["id"] not in there:
            log.put(record)
            time.sleep(0.002)
    log.close()
    if log.lost:
        print(f"error: {log.lost} records are lost: {told[0]}")
        sys.exit(1)


def _logged(path: Path) -> list[str]:
    return [record.id for record in LogReader(path) if isinstance(record, LoggedFeedback)]


def _log_state(folder: Path) -> str:
    """The records that are there, none of them twice, whatever was torn."""
    ids = _logged(folder / "log.jsonl")
    assert len(set(ids)) == len(ids), f"logged twice: {ids}"
    return f"{len(ids)} records {_hash(' '.join(sorted(ids)).encode())}"


def _log_lines(folder: Path) -> bytes:
    content = b"".join(file.read_bytes() for file in log_files(folder / "log.jsonl"))
    return content[: content.rfind(b"\n") + 1]


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _command(words: Callable[[Path], Sequence[str]]) -> Callable[[Path], None]:
    """The command line, as the shell would run it."""

    def run(folder: Path) -> None:
        sys.argv = ["stepwise-routing", *words(folder)]
        gym_stepwise_routing.cli.app.app()

    return run


JOBS = {
    job.name: job
    for job in (
        Job("record", _record_prepare, _command(_record_words), _record_state, grows=True, safe=_whole_trees),
        Job("bank", _bank_prepare, _command(_bank_words), _bank_state),
        Job("submit", _submit_prepare, _command(_submit_words), _submit_state),
        Job("build", _build_prepare, _command(_build_words), _build_state),
        Job("log", _log_prepare, _log, _log_state, grows=True, safe=_log_lines),
    )
}
"""By name."""
