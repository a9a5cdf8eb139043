"""The policies of a track in one ``.npz`` file of plain arrays, each under its name.

An array of a policy is called ``NAME/ARRAY``, such as ``dqn-0/dense0_weight``. How the policy was made stands beside it
as JSON text: the manifest of its training run (``manifest``), or what a kept fit was fitted on (``trained_on``). An
entry names its policy and keeps a hash of its own arrays and text, so that other policies of the file may come and go.
A file without names is one policy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.storage.atomic import read_arrays, write_arrays
from gym_stepwise_routing.storage.locks import sole_writer
from gym_stepwise_routing.storage.strict_json import canonical_json

__all__ = ["TOLD", "policy_hashes", "policy_names", "put_policies"]

TOLD = ("manifest", "trained_on")
"""Texts that say how a policy was made; all else are its weights."""

Arrays = Mapping[str, Any]


def policy_names(path: Path) -> tuple[str, ...]:
    """Names of the policies in a file; none if there is no file.

    Raises:
        ValueError: the file is damaged.
    """
    if not path.exists():
        return ()
    with read_arrays(path, "file of policies") as stored:
        return tuple(sorted({name.partition("/")[0] for name in stored if "/" in name}))


def policy_hashes(path: Path, policy: str) -> dict[str, str]:
    """SHA-256 of a policy's weights (``arrays``), and of each text that it comes with.

    They do not depend on how the file is compressed, nor on what else is in it.

    Raises:
        ValueError: the file is missing or damaged, or has no such policy.
    """
    with read_arrays(path, "file of policies", policy) as stored:
        told = {name: hashlib.sha256(str(stored[name]).encode()).hexdigest() for name in TOLD if name in stored}
        return {"arrays": _sha256({name: stored[name] for name in stored if name not in TOLD}), **told}


def put_policies(path: Path, policies: Mapping[str, Arrays], *, drop: Collection[str] = ()) -> None:
    """Add policies to a file, or replace them in it; the others stay.

    Args:
        path: the file; made if absent.
        policies: the arrays and texts of each policy, by its name.
        drop: names of policies that are taken out.

    Raises:
        ValueError: the file is damaged.
    """
    with sole_writer(path, wait=True):
        arrays: dict[str, Any] = {}
        for name in policy_names(path):
            if name not in policies and name not in drop:
                with read_arrays(path, "file of policies", name) as stored:
                    arrays |= _named(name, stored)
        for name, content in policies.items():
            arrays |= _named(name, content)
        write_arrays(path, dict(sorted(arrays.items())), compressed=True)


def _named(policy: str, content: Arrays) -> dict[str, Any]:
    return {f"{policy}/{name}": array for name, array in content.items()}


def _sha256(arrays: Mapping[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(canonical_json([name, array.dtype.str, list(array.shape)]))
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
