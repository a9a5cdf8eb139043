"""What the files of the leaderboard have in common: strict, immutable pydantic models, and safe strings."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError

from gym_stepwise_routing.costs.units import COST_UNITS
from gym_stepwise_routing.leaderboard.visible import check_visible
from gym_stepwise_routing.storage.atomic import write_text
from gym_stepwise_routing.storage.strict_json import canonical_json

__all__ = [
    "ENTRY_VERSION",
    "TRACK_VERSION",
    "Address",
    "CostUnit",
    "FileModel",
    "Name",
    "Sha256",
    "Strict",
    "Text",
    "check_keys",
    "check_name",
    "explain",
    "sha256_of",
]

TRACK_VERSION: Literal[1] = 1
"""Version of the schema of tracks."""
ENTRY_VERSION: Literal[2] = 2
"""Version of the schema of entries. 2: no ids of problems, policies by name, sweeps packed threshold by threshold."""
_LONGEST_FILE = 64 * 2**20
_LONGEST_MODEL = 16 * 2**20

_NAME = r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$"
Name = Annotated[str, StringConstraints(pattern=_NAME)]
"""Lower-case letters, digits and hyphens: names become file names and addresses of pages."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

Text = Annotated[str, StringConstraints(min_length=1, max_length=2000), AfterValidator(check_visible)]
"""What people write for readers: something that can be seen, and nothing that cannot."""


def _web_address(value: str) -> str:
    if not value.startswith(("https://", "http://")) or any(c.isspace() or c in "\"'<>" for c in value):
        raise ValueError(f"{value!r}; allowed: an address that begins with https:// or http://")
    return value


CostUnit = Annotated[str, AfterValidator(COST_UNITS.check)]

Address = Annotated[str, StringConstraints(max_length=500), AfterValidator(_web_address)]
"""A link that is shown on the site: never ``javascript:``."""


class Strict(BaseModel):
    """Immutable; unknown keys, wrong types and NaN are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class FileModel(Strict):
    """A model with a JSON file of its own, of 16 MiB at most; a key that occurs twice is an error."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """The model in a file.

        Raises:
            ValueError: missing or oversized file, or one that does not follow the schema; the message names file, key
                and what is allowed.
        """
        return cls._parse(_content(path, _LONGEST_MODEL), str(path))

    @classmethod
    def read_lines(cls, path: Path) -> tuple[Self, ...]:
        """The models in a file of JSON Lines.

        Raises:
            ValueError: as of :meth:`read`; the message names the line as well.
        """
        lines = _content(path, _LONGEST_FILE).split(b"\n")  # splitlines knows more ends of lines than JSON Lines
        if not lines[-1]:
            lines.pop()
        return tuple(cls._parse(line, f"{path}, line {number}") for number, line in enumerate(lines, 1))

    @classmethod
    def _parse(cls, content: bytes, where: str) -> Self:
        if len(content) > _LONGEST_MODEL:
            raise ValueError(f"{where}: {len(content)} bytes; allowed: {_LONGEST_MODEL}")
        try:
            model = cls.model_validate_json(content)
        except ValidationError as error:
            raise ValueError(f"{where}: {explain(error)}") from None
        check_keys(content, where)
        return model

    def write(self, path: Path) -> None:
        """Write the file, under a temporary name first."""
        write_text(path, self.model_dump_json(indent=1) + "\n")


def _content(path: Path, most: int) -> bytes:
    try:
        if not path.is_file():
            raise ValueError(f"{path}: no such file")
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    if len(content) > most:
        raise ValueError(f"{path}: more than {most} bytes; allowed: {most}")
    return content


def check_keys(content: str | bytes, where: object) -> None:
    """Refuse JSON in which an object has a key twice: one reader would take the first, another one the last.

    Raises:
        ValueError: it has, or is no JSON; the message names ``where`` and the key.
    """
    twice: list[str] = []

    def seen(pairs: list[tuple[str, Any]]) -> None:
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            twice.extend(name for name in names if names.count(name) > 1)

    try:
        json.loads(content, object_pairs_hook=seen)
    except (ValueError, RecursionError) as error:
        told = "nested too deeply" if isinstance(error, RecursionError) else error
        raise ValueError(f"{where}: not JSON ({told})") from None
    if twice:
        raise ValueError(f"{where}: key {twice[0]!r} occurs twice in an object; allowed: once")


def check_name(parameter: str, value: str) -> None:
    """Refuse what is no :data:`Name`.

    Raises:
        ValueError: it is none.
    """
    if re.fullmatch(_NAME, value) is None:
        raise ValueError(f"{parameter}={value!r}; allowed: lower-case letters, digits and hyphens, up to 64")


def explain(error: ValidationError) -> str:
    """A pydantic error in one line: each key with what is wrong with it."""
    found = error.errors(include_url=False, include_context=False)
    lines = [f"key {'.'.join(map(str, fault['loc'])) or 'the file'!r}: {fault['msg']}" for fault in found[:5]]
    more = [f"and {len(found) - 5} more"] if len(found) > 5 else []
    return "; ".join(lines + more)


def sha256_of(value: Any) -> str:
    """SHA-256 of a JSON value in its canonical spelling."""
    return hashlib.sha256(canonical_json(value)).hexdigest()
