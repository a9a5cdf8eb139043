"""JSON Schemas of the files, from the classes that read them. That of the log is one of a line."""

from __future__ import annotations

import json
from typing import Any

from pydantic import TypeAdapter

from gym_stepwise_routing.agents.runs import RunManifest
from gym_stepwise_routing.banks.manifest import Manifest
from gym_stepwise_routing.calibration.certificate import Certificate
from gym_stepwise_routing.leaderboard.entry import Entry
from gym_stepwise_routing.leaderboard.track import Track
from gym_stepwise_routing.serving.log_reading import Logged

__all__ = ["FILES", "schema_of", "schema_texts"]

FILES: dict[str, Any] = {
    "bank": Manifest,
    "run": RunManifest,
    "certificate": Certificate,
    "track": Track,
    "entry": Entry,
    "log": Logged,
}
"""Class of each file, by the name of its schema."""


def schema_of(name: str) -> dict[str, Any]:
    """The schema of a file of :data:`FILES`."""
    schema: dict[str, Any] = _renamed(TypeAdapter(FILES[name]).json_schema())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _renamed(schema: Any) -> Any:
    """Keys that are words of Python end in an underscore there, and not in the file."""
    if isinstance(schema, dict):
        return {"from" if key == "from_" else key: _renamed(value) for key, value in schema.items()}
    if isinstance(schema, list):
        return [_renamed(value) for value in schema]
    return "from" if schema == "from_" else schema


def schema_texts() -> dict[str, str]:
    """Every schema as text, by name."""
    return {name: json.dumps(schema_of(name), indent=1, sort_keys=True) for name in FILES}
