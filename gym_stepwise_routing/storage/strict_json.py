"""JSON to frozen dataclasses and back, strictly: every unknown, missing or wrong key is an error that names it.

Everything that the core writes as JSON is read by this; it has no pydantic. The leaderboard, whose files come from
strangers and have patterns, lengths and links to check, is pydantic's.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from gym_stepwise_routing.storage.lines import unpacked

__all__ = ["ABSENT_IF_NONE", "canonical_json", "decode", "parse_json", "plain", "read_json", "to_json"]

Error = type[ValueError]

ABSENT_IF_NONE = {"absent if": None}
"""Metadata of a field that came later: where it is None it is not written, so that older files keep their hashes."""

MOST_UNPACKED = 1 << 28
"""Bytes of a JSON file that is read."""

_SCALARS = {float: "a number", int: "an integer", str: "a string", bool: "true or false"}


def read_json(path: Path, error: Error = ValueError) -> Any:
    """Content of a JSON file, gzipped if its name ends in ``.gz``.

    Raises:
        ValueError: ``error``: the file is missing, cannot be read, unpacks to more than ``MOST_UNPACKED`` bytes, or is
            not JSON; the message names it.
    """
    with unpacked(path, error) as file:
        content = file.read(MOST_UNPACKED + 1)
    if len(content) > MOST_UNPACKED:
        raise error(f"{path}: more than {MOST_UNPACKED} bytes; allowed: {MOST_UNPACKED}")
    return parse_json(content, path, error)


_MOST = (1 << 63) - 1
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")
"""Surrogates: JSON can spell one alone, which UTF-8 cannot write."""


def parse_json(text: str | bytes, where: object, error: Error = ValueError) -> Any:
    """The value of a JSON text, whatever it holds.

    Args:
        text: the text; bytes are UTF-8.
        where: the file, and the line, that it comes from, for messages.
        error: what is raised.

    Raises:
        ValueError: ``error``: no JSON, no UTF-8, a lone surrogate, nested too deeply, or a number of too many digits.
    """
    try:
        plain_text = text.decode("utf-8-sig") if isinstance(text, bytes) else text  # json lets surrogates pass
        value = json.loads(plain_text)
        if _SURROGATE.search(plain_text):
            json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate is a ValueError here
        return value
    except (ValueError, RecursionError) as fault:
        told = "nested too deeply" if isinstance(fault, RecursionError) else fault
        raise error(f"{where}: not JSON ({told})") from None


def canonical_json(value: Any) -> bytes:
    """One spelling of a JSON value (sorted keys, no blanks, ASCII), fit for hashing."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def to_json(value: Any) -> dict[str, Any]:
    """A dataclass as JSON values: :func:`decode` gives back an equal dataclass.

    What a field holds as an integer although it is a float is written as a float, as it will be when it is read and
    hashed again.
    """
    read = decode(type(value), json.loads(json.dumps(_written(value), allow_nan=False)), type(value).__name__)
    values: dict[str, Any] = json.loads(json.dumps(_written(read)))
    return values


def _written(value: Any) -> Any:
    if is_dataclass(value):
        present = {field.name: getattr(value, field.name) for field in fields(value)}
        absent = {field.name for field in fields(value) if field.metadata == ABSENT_IF_NONE}
        return {name: _written(part) for name, part in present.items() if part is not None or name not in absent}
    if isinstance(value, Mapping):
        return {key: _written(part) for key, part in value.items()}
    return [_written(part) for part in value] if isinstance(value, list | tuple) else value


def plain(value: Any) -> Any:
    """Values that strict JSON has: dataclasses become objects, arrays lists, NaN null, and infinities "inf" and "-inf".

    What :func:`decode` reads again should be written by :func:`to_json`.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, float | np.floating):
        number = float(value)
        return number if math.isfinite(number) else None if math.isnan(number) else str(number)
    return value.item() if isinstance(value, np.generic) else value


def decode(annotation: Any, value: Any, file: object, key: str = "", error: Error = ValueError) -> Any:
    """``value`` (as ``json`` reads it) as an instance of ``annotation``.

    Knows dataclasses, ``X | None``, ``X | tuple[X, ...]``, ``Literal``, ``tuple[X, ...]``, ``tuple[X, Y]``,
    ``Mapping[str, X]``, ``dict[str, X]``, ``str``, ``int``, ``float``, ``bool`` and ``Any``. A key that has a default
    may be left out.

    Args:
        annotation: the type to make.
        value: the JSON value.
        file: the file (and the line) that the value comes from, for messages.
        key: its place in the file, such as ``models[0].price``, for messages.
        error: what is raised.

    Raises:
        ValueError: ``error``: unknown key, missing key, or wrong type or value; the message names file and key.
    """
    if type(annotation) is type and annotation in _SCALARS:  # most values, and looking further takes most of the time
        return _decode_scalar(annotation, value, file, key, error)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if is_dataclass(annotation) and isinstance(annotation, type):
        return _decode_dataclass(annotation, value, file, key, error)
    if annotation is Any:
        return value
    if origin in (types.UnionType, Union):
        if value is None and type(None) in arguments:
            return None
        # At most one alternative is a tuple (a JSON list) and one is not: the JSON value says which is meant.
        inner = [argument for argument in arguments if argument is not type(None)]
        lists = [argument for argument in inner if get_origin(argument) is tuple]
        others = [argument for argument in inner if argument not in lists]
        (chosen,) = lists if lists and (isinstance(value, list) or not others) else others
        return decode(chosen, value, file, key, error)
    if origin is Literal:
        if value not in arguments or isinstance(value, bool):
            raise _wrong(error, file, key, value, f"one of {', '.join(map(repr, arguments))}")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise _wrong(error, file, key, value, "a list")
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        if len(kinds) != len(value):
            raise _wrong(error, file, key, value, f"a list of {len(kinds)}")
        pairs = zip(kinds, value, strict=True)
        return tuple(decode(kind, item, file, f"{key}[{number}]", error) for number, (kind, item) in enumerate(pairs))
    if origin in (Mapping, dict):
        if not isinstance(value, dict):
            raise _wrong(error, file, key, value, "an object")
        return {name: decode(arguments[1], item, file, f"{key}.{name}", error) for name, item in value.items()}
    return _decode_scalar(annotation, value, file, key, error)


def _decode_scalar(annotation: type, value: Any, file: object, key: str, error: Error) -> Any:
    if annotation is float and isinstance(value, int | float) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):  # an integer of more than 308 digits
            if math.isfinite(number := float(value)):
                return number
        raise _wrong(error, file, key, value, "a finite number")
    # bool is a subclass of int, so that ``isinstance`` alone would let True pass as 1.
    if isinstance(value, annotation) and (annotation is bool or not isinstance(value, bool)):
        if annotation is int and isinstance(value, int) and not -_MOST - 1 <= value <= _MOST:
            raise _wrong(error, file, key, value, "an integer of 64 bits")
        return value
    raise _wrong(error, file, key, value, _SCALARS[annotation])


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _decode_dataclass(cls: type, value: Any, file: object, key: str, error: Error) -> Any:
    if not isinstance(value, dict):
        raise _wrong(error, file, key, value, "an object")
    prefix = f"{key}." if key else ""
    known = {field.name: field for field in fields(cls)}
    for name in value:
        if name not in known:
            raise error(f"{file}: unknown key {prefix + name!r}; allowed: {', '.join(known)}")
    for name, field in known.items():
        if name not in value and field.default is MISSING and field.default_factory is MISSING:
            raise error(f"{file}: key {prefix + name!r} is missing")
    hints = _hints(cls)
    arguments = {name: decode(hints[name], item, file, prefix + name, error) for name, item in value.items()}
    try:
        return cls(**arguments)
    except ValueError as fault:
        raise error(f"{file}: {f'key {key!r}: ' if key else ''}{fault}") from None


def _wrong(error: Error, file: object, key: str, value: Any, allowed: str) -> ValueError:
    place = f"key {key!r}" if key else "the file"
    return error(f"{file}: {place} is {value!r:.80}; allowed: {allowed}")
