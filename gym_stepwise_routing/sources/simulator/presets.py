"""Presets: simulators as data files, with the origin of every number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Literal

from gym_stepwise_routing.registry import Registry
from gym_stepwise_routing.sources.simulator.parameters import SimulatorParameters
from gym_stepwise_routing.storage.strict_json import decode, read_json

__all__ = ["PRESETS", "Origin", "Preset", "PresetFile", "load_preset", "read_preset"]

Basis = Literal["measured", "fitted", "derived", "assumption"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a number comes from.

    Args:
        basis: ``measured`` (read off a measurement), ``derived`` (computed from measurements), ``fitted`` (chosen so
            that the simulator meets measurements) or ``assumption`` (nothing was measured).
        text: which measurement, or why so.
    """

    basis: Basis
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A simulator and the origin of each of its numbers.

    Args:
        parameters: the numbers.
        origins: by the parameter's name, such as ``recovery`` or ``step_tokens.mean``; one for each parameter.

    Raises:
        ValueError: a number without origin, or an origin of nothing.
    """

    parameters: SimulatorParameters
    origins: Mapping[str, Origin]

    def __post_init__(self) -> None:
        stated, needed = set(self.origins), set(_numbers(self.parameters))
        if stated != needed:
            raise ValueError(
                f"origins: missing {sorted(needed - stated)}, unknown {sorted(stated - needed)}; "
                "allowed: exactly one for each parameter"
            )


def _numbers(parameters: SimulatorParameters) -> list[str]:
    names = []
    for field in fields(parameters):
        value = getattr(parameters, field.name)
        if field.name in ("name", "description") or value is None:
            continue
        if is_dataclass(value) and field.name not in ("verifier",):
            names += [f"{field.name}.{inner.name}" for inner in fields(value)]
        else:
            names.append(field.name)
    return names


@dataclass(frozen=True, slots=True)
class PresetFile:
    """A preset that comes with the package.

    Attributes:
        path: its file.
    """

    path: Path

    @property
    def name(self) -> str:
        """Its name: that of the file."""
        return self.path.stem

    @property
    def parameters(self) -> SimulatorParameters:
        """Its numbers."""
        return load_preset(self.name).parameters


PRESETS: Registry[PresetFile] = Registry(
    "preset",
    PresetFile,
    builtin=lambda: map(PresetFile, (Path(str(resources.files(__package__))) / "presets").glob("*.json")),
)
"""The presets."""


@cache
def load_preset(name: str) -> Preset:
    """The preset of this name.

    Raises:
        ValueError: unknown name; the message lists the names there are.
    """
    return read_preset(PRESETS.get(name).path)


def read_preset(path: Path) -> Preset:
    """Preset in a JSON file.

    Raises:
        ValueError: missing file, unknown, missing or wrong key; the message names file and key.
    """
    preset: Preset = decode(Preset, read_json(path), path)
    return preset
