"""What :mod:`freeze` hashes, by the names of its table, and exact hashes of values."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

BANKS = {
    "gsm8k-qwen2.5-coder": "gsm8k-qwen2.5-coder",
    "math500-qwen2.5-coder": "math500-qwen2.5-coder",
    "gsm8k-mixtral-gpt4": "gsm8k-mixtral-gpt4",
    "gsm8k-closed-models": "gsm8k-closed-models",
}
"""Bank by the name that it has in the table of hashes: its name in this checkout."""
TRACKS = {
    "gsm8k-route": "gsm8k-route",
    "gsm8k-escalate": "gsm8k-escalate",
    "gsm8k-regenerate": "gsm8k-regenerate",
    "math500-escalate": "math500-escalate",
    "gsm8k-mixtral-gpt4": "gsm8k-mixtral-gpt4",
    "gsm8k-closed-models": "gsm8k-closed-models",
    "simulated-math-regenerate": "simulated-math-regenerate",
    "simulated-math-three-models": "simulated-math-three-models",
}
"""Track by the name that it has in the table of hashes: its name in this checkout."""
LEADERBOARD = Path(__file__).resolve().parents[2] / "leaderboard"
"""Folder of ``entries`` and ``artefacts``."""
GSM8K, MATH, MIXTRAL, CLOSED = BANKS.values()
SIMULATED, THREE_MODELS = "math-qwen2.5", "math-qwen2.5-3"

EPISODES = 1000
"""Of a scalar and of a vector environment each, on a bank."""

Items = Iterator[tuple[Any, ...]]
"""Name and value of each hash, and the seconds that it took where the section itself knows them."""


def digest(*values: object) -> str:
    """Hash over numbers, texts and arrays, and over lists and mappings of them."""
    hashed = hashlib.sha256()
    for value in values:
        feed(hashed, value)
    return hashed.hexdigest()


def feed(hashed: Any, value: object) -> None:
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        hashed.update(f"{value.dtype.str}{value.shape}".encode())
        hashed.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, np.ndarray | list | tuple):
        hashed.update(f"list{len(value)}".encode())
        for part in value:
            feed(hashed, part)
    elif isinstance(value, Mapping):
        hashed.update(f"map{len(value)}".encode())
        for key in sorted(value):
            feed(hashed, key)
            feed(hashed, value[key])
    elif isinstance(value, float | np.floating):
        hashed.update(f"f{float(value).hex()}".encode())
    elif isinstance(value, bool | np.bool_):
        hashed.update(f"b{int(value)}".encode())
    elif isinstance(value, int | np.integer):
        hashed.update(f"i{int(value)}".encode())
    elif value is None or isinstance(value, str):
        text = repr(value)
        hashed.update(f"s{len(text)}{text}".encode())
    else:
        raise TypeError(f"{type(value).__name__} has no exact bytes here; allowed: numbers, texts, arrays, lists, maps")
