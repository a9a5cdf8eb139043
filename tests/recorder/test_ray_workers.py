"""Recording on several worker processes; one of them dies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gym_stepwise_routing.banks.records import read_trees as read_strictly
from gym_stepwise_routing.generators.prompts import load_prompt
from gym_stepwise_routing.generators.specs import GeneratorSpec
from gym_stepwise_routing.recorder.grow import RecordingStats
from gym_stepwise_routing.recorder.problem_selection import Selection
from gym_stepwise_routing.recorder.ray_workers import record_with_ray
from gym_stepwise_routing.recorder.recording_manifest import MANIFEST
from gym_stepwise_routing.recorder.session import RecordingSession
from gym_stepwise_routing.recorder.settings import RecordingSettings

ray = pytest.importorskip("ray")
psutil = pytest.importorskip("psutil")


def session(tiny_pool: tuple[Path, Path], sums: Path, prompt: Path, out: Path, count: int) -> RecordingSession:
    specs = tuple(GeneratorSpec(backend="transformers", model=str(path), name=path.name) for path in tiny_pool)
    selection = Selection.parse(f"{sums}:0-{count}", data=None, grading="numeric")
    settings = RecordingSettings(load_prompt(str(prompt)), in_flight=2)
    return RecordingSession(specs, (selection,), settings, out, "test", "MIT")


def by_problem(recording: RecordingSession) -> dict[int, list[str]]:
    """Texts of the steps of each problem: the order in which a tree grows depends on its neighbours, they do not."""
    return {
        tree.problem.index: sorted(node.text or "" for node in tree.nodes)
        for _, tree in read_strictly(recording.out / "trees-0.jsonl")
    }


@pytest.mark.slow
def test_a_worker_that_dies_loses_and_doubles_nothing(
    tiny_pool: tuple[Path, Path], sums_file: Path, sums_prompt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real processes of Ray, one of which is killed: nothing else shows that its trees are written once."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    killed: list[int] = []

    def kill_one(stats: RecordingStats, tree: dict[str, Any]) -> None:
        if stats.trees >= 3 and not killed:
            below = psutil.Process().children(recursive=True)
            worker = next(process for process in below if "ray::TreeWorker" in " ".join(process.cmdline()))
            killed.append(worker.pid)
            worker.kill()

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        recording = session(tiny_pool, sums_file, sums_prompt, tmp_path / "out", 16)
        stats = record_with_ray(recording, workers=2, on_tree=kill_one)
    finally:
        ray.shutdown()
    assert len(killed) == 1
    trees = [tree for _, tree in read_strictly(tmp_path / "out" / "trees-0.jsonl")]
    assert stats.trees == len(trees) == 16
    assert sorted(tree.problem.index for tree in trees) == list(range(16))
    assert len(recording.bank("sums").problems) == 16
    plain = session(tiny_pool, sums_file, sums_prompt, tmp_path / "plain", 16)
    plain.run()
    assert [by_problem(one) for one in (recording, plain)] == [by_problem(plain)] * 2
    sealed, expected = (json.loads((one.out / MANIFEST).read_text()) for one in (recording, plain))
    assert sealed == expected


def test_gpus_that_this_machine_does_not_have_are_not_waited_for(
    tiny_pool: tuple[Path, Path], sums_file: Path, sums_prompt: Path, tmp_path: Path
) -> None:
    ray.init(num_cpus=1, num_gpus=1, include_dashboard=False, log_to_driver=False)
    try:
        with pytest.raises(ValueError, match="gpus_per_worker=1 for 2 workers; allowed: 1 GPUs in all"):
            record_with_ray(
                session(tiny_pool, sums_file, sums_prompt, tmp_path / "out", 2), workers=2, gpus_per_worker=1
            )
    finally:
        ray.shutdown()
    assert not (tmp_path / "out").exists()


def test_workers_must_be_positive(
    tiny_pool: tuple[Path, Path], sums_file: Path, sums_prompt: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="ray=-1"):
        record_with_ray(session(tiny_pool, sums_file, sums_prompt, tmp_path, 2), workers=-1)
