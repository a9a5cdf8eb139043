"""A recording of a toy data set with two models that are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from generator_fakes import FakeGenerator

from gym_stepwise_routing.banks.manifest import Dataset
from gym_stepwise_routing.costs.models import Model
from gym_stepwise_routing.datasets import Problem
from gym_stepwise_routing.generators import GeneratorInfo, StepRule
from gym_stepwise_routing.generators.prompts import PromptTemplate
from gym_stepwise_routing.recorder.recording import record
from gym_stepwise_routing.recorder.recording_manifest import recording_manifest, seal_manifest
from gym_stepwise_routing.recorder.settings import RecordingSettings
from gym_stepwise_routing.recorder.store import TreeStore

SETTINGS = RecordingSettings(PromptTemplate("plain", "Q: {question}\nA:\n"), rule=StepRule(horizon=3))
TOY = Dataset(question_field="question", source="made up", licence="CC0-1.0")


def generator(name: str) -> FakeGenerator:
    return FakeGenerator(name, lambda prompt, prefix: f"{name}\nThe answer is 1." if not prefix else "The answer is 2.")


def manifest(settings: RecordingSettings = SETTINGS, **changes: Any) -> dict[str, Any]:
    infos = [GeneratorInfo("fake 1", name, 10, "ab" * 32, 100, 2, "cd" * 32) for name in ("small", "large")]
    models = [Model("small", 10.0), Model("large", 20.0)]
    arguments: dict[str, Any] = {
        "models": models,
        "generators": infos,
        "shared_prefix": [1, 1],
        "datasets": {"toy": TOY},
    }
    return recording_manifest(settings=settings, command="record", licence="MIT", **(arguments | changes))


def recorded(folder: Path, count: int, part: int = 0, **changes: Any) -> None:
    seal_manifest(folder, manifest(**changes))
    store = TreeStore(folder / f"trees-{part}.jsonl")
    problems = [Problem("toy", "train", i, f"What is {i}?", "1") for i in range(count)]
    record(problems, [generator("small"), generator("large")], store, changes.get("settings", SETTINGS))
    store.close()
