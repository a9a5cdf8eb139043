"""``recording.json``: everything needed to repeat a recording, and to refuse to mix it with another."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from gym_stepwise_routing.banks.manifest import Dataset
from gym_stepwise_routing.costs.models import Model
from gym_stepwise_routing.errors import RecordingError
from gym_stepwise_routing.generators.generator import GeneratorInfo
from gym_stepwise_routing.grading import GRADERS
from gym_stepwise_routing.recorder.settings import RecordingSettings
from gym_stepwise_routing.storage.atomic import write_json
from gym_stepwise_routing.storage.strict_json import read_json, to_json
from gym_stepwise_routing.types import VERSION

__all__ = ["MANIFEST", "read_recording", "recorded_commands", "recording_manifest", "seal_manifest"]

MANIFEST = "recording.json"


def recording_manifest(
    *,
    settings: RecordingSettings,
    models: Sequence[Model],
    generators: Sequence[GeneratorInfo],
    shared_prefix: Sequence[int],
    datasets: Mapping[str, Dataset],
    command: str,
    licence: str,
) -> dict[str, Any]:
    """The manifest as JSON values.

    Args:
        settings: see there.
        models: the pool, smallest first.
        generators: what ran them.
        shared_prefix: per model, prompt tokens that all problems share.
        datasets: the datasets by name: question field, source and licence, as in a bank's manifest.
        command: the command line that records; one that adds to a recording comes after those before it.
        licence: SPDX identifier of the recorded traces.

    Returns:
        ``fixed``: what every tree depends on; ``notes``: the rest, such as the prices of the day.
    """
    samples = settings.samples
    named = [
        model if samples == 1 else replace(model, name=f"{model.name}#{number}")
        for model in models
        for number in range(1, samples + 1)
    ]
    drawn = sorted({dict(info.settings).get("temperature", "0") for info in generators})
    if samples > 1 and "0" in drawn:
        raise RecordingError(
            f"samples={samples} with temperature=0, whose samples are copies; allowed: a temperature > 0"
        )
    fixed: dict[str, Any] = {
        "mode": settings.mode,
        "rule": asdict(settings.rule),
        "prompt": {"name": settings.prompt.name, "sha256": settings.prompt.sha256, "text": settings.prompt.text},
        "grader": GRADERS.get(settings.grading).version(),
        "models": [asdict(replace(model, price=None)) for model in named],
        "generators": [asdict(info) for info in generators],
        "shared_prefix_tokens": [tokens for tokens in shared_prefix for _ in range(samples)],
        "datasets": {name: to_json(dataset) for name, dataset in datasets.items()},
        "decoding": "greedy" if drawn == ["0"] else f"drawn at temperature {', '.join(drawn)}",
    }
    if samples > 1:  # a key that is absent of one sample, so that earlier recordings go on
        fixed["samples"] = samples
    notes = {
        "commands": [command],
        "licence": licence,
        "version": VERSION,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "in_flight": settings.in_flight,
        "prices": [model.price and asdict(model.price) for model in named],
    }
    plain: dict[str, Any] = json.loads(json.dumps({"fixed": fixed, "notes": notes}))
    return plain


def seal_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest, or check that the one that is there describes the same recording and add the new command.

    Raises:
        RecordingError: the folder holds a recording made with other settings; the message names the first difference.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / MANIFEST
    if path.exists():
        old = read_recording(path)
        difference = _difference(old["fixed"], manifest["fixed"], "")
        if difference:
            raise RecordingError(f"{path}: this recording was made otherwise: {difference}; allowed: another --out")
        before, now = recorded_commands(old["notes"]), manifest["notes"]["commands"]
        if set(now) <= set(before):
            return
        manifest = old | {"notes": old["notes"] | {"commands": list(dict.fromkeys([*before, *now]))}}
    write_json(path, manifest)


def read_recording(path: Path) -> dict[str, Any]:
    """What a recording's manifest holds: what is ``fixed``, and ``notes``.

    Raises:
        RecordingError: the file cannot be read, or does not hold both.
    """
    content = read_json(path, RecordingError)
    if not isinstance(content, dict) or not all(isinstance(content.get(key), dict) for key in ("fixed", "notes")):
        raise RecordingError(f"{path}: no manifest of a recording; allowed: an object with 'fixed' and 'notes'")
    return content


def recorded_commands(notes: Mapping[str, Any]) -> list[str]:
    """The command lines that made a recording, in order; a manifest of before they were collected has one."""
    return list(notes.get("commands") or [notes["command"]])


def _difference(old: Any, new: Any, key: str) -> str | None:
    """Key, old and new value of the first difference; None if there is none."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            found = _difference(old.get(name), new.get(name), f"{key}.{name}" if key else name)
            if found:
                return found
        return None
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            found = _difference(one, other, f"{key}[{index}]")
            if found:
                return found
        return None
    return None if old == new else f"{key} was {old!r}, now {new!r}"
