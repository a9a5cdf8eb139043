"""From the router that an entry names to the router itself, and what must be trusted on the way.

Importing a module runs its code, and so does unpickling. Stable-Baselines3's zip files contain pickles, and a
calibrated router may have been saved as one. So nothing is loaded without the user's explicit ``trust`` but these:

- the router classes of :mod:`gym_stepwise_routing.baselines`, as they are or fitted here on the train split;
- folders with a policy as arrays (:mod:`gym_stepwise_routing.agents.runs`), calibrated or not.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.leaderboard.entry import Artefact, Json, RouterRef
from gym_stepwise_routing.leaderboard.errors import EntryRejectedError, Fault, UntrustedError
from gym_stepwise_routing.routers import Predicts, Router

__all__ = [
    "FITTED",
    "TRAINED",
    "calibrated",
    "describe_artefact",
    "is_harmless",
    "load_router",
    "reference_of",
    "sb3",
    "trained",
]

_HERE = "gym_stepwise_routing.leaderboard.loading"
_BASELINES = "gym_stepwise_routing.baselines"
FITTED = "gym_stepwise_routing.leaderboard.fitted:fitted"
"""Factory of baselines that are fitted when they are loaded."""
TRAINED = f"{_HERE}:trained"
"""Factory of trained agents."""
_CALIBRATED = f"{_HERE}:calibrated"
_NOT_PLAYED = ("model.zip",)
"""Left out of artefacts: a training run keeps it to go on training."""
_SB3 = f"{_HERE}:sb3"


def trained(path: Path) -> Predicts:
    """A trained agent: a folder with ``manifest.json`` and ``router.npz``, read without running code of it."""
    from gym_stepwise_routing.agents.runs import load_run

    return load_run(path)


def calibrated(path: Path) -> Predicts:
    """A calibrated router's folder, read without running code of it; one that holds a pickle is refused."""
    from gym_stepwise_routing.agents.calibration import load_calibrated

    return load_calibrated(path)


def sb3(path: Path, algorithm: str) -> Predicts:
    """A model saved by Stable-Baselines3. Unpickles: for files that you trust.

    Args:
        path: the zip file.
        algorithm: ``module:class`` of the algorithm, such as ``sb3_contrib:MaskablePPO``.
    """
    model: Predicts = _import(algorithm).load(path, device="cpu")
    return model


def reference_of(router: str, kwargs: Mapping[str, Json], artefacts: Path) -> RouterRef:
    """What an entry says of a router that a user names.

    Args:
        router: ``module:factory``; or below ``artefacts`` a folder of a training run or of a calibrated router, or a
            zip file of Stable-Baselines3, whose class is then in ``kwargs["algorithm"]``.
        kwargs: keyword arguments of the factory.
        artefacts: folder of artefacts.

    Raises:
        ValueError: a file that is not below ``artefacts``, or of an unknown kind.
    """
    path = Path(router)
    if not path.exists():
        return RouterRef(factory=router, kwargs=dict(kwargs))
    if (path / "certificate.json").is_file():
        factory = _CALIBRATED
    elif (path / "router.npz").is_file():
        factory = TRAINED
    elif path.suffix == ".zip" and "algorithm" in kwargs:
        factory = _SB3
    else:
        raise ValueError(
            f"router={router!r}; allowed: module:factory, with or without --artefact; a folder of a training run or of "
            "a calibrated router; or a .zip of Stable-Baselines3 with --kwargs algorithm=module:class"
        )
    return RouterRef(factory=factory, kwargs=dict(kwargs), artefact=describe_artefact(path, artefacts))


def describe_artefact(path: Path, artefacts: Path) -> Artefact:
    """Place and hashes of the file or folder ``path``, which must lie below ``artefacts``."""
    try:
        place = path.resolve().relative_to(artefacts.resolve())
    except ValueError:
        raise ValueError(f"{path} lies outside {artefacts}; allowed: a file or folder below it") from None
    return Artefact(path=place.as_posix(), files=_hashes(path))


def is_harmless(ref: RouterRef) -> bool:
    """Whether loading the router runs no code but this package's, which reads no pickles."""
    if ref.factory in (TRAINED, _CALIBRATED):
        return True
    if ref.artefact is not None:
        return False
    return ref.factory == FITTED or _is_baseline(ref.factory)


def _is_baseline(factory: str) -> bool:
    module, _, name = factory.partition(":")
    if module != _BASELINES and not module.startswith(f"{_BASELINES}."):
        return False
    made = getattr(importlib.import_module(module), name, None)
    return isinstance(made, type) and issubclass(made, Router) and made.__module__.startswith(_BASELINES)


def load_router(ref: RouterRef, artefacts: Path, *, trust: bool) -> Predicts:
    """The router of an entry.

    Args:
        ref: what the entry says of it.
        artefacts: folder that artefact paths are relative to.
        trust: whether code of unknown origin may run.

    Raises:
        UntrustedError: loading it would run such code, and ``trust`` is False.
        NotApplicableError: the game lacks what the router needs.
        EntryRejectedError: a missing or changed file, a factory that cannot be called so, or one that makes no router.
    """
    if not (trust or is_harmless(ref)):
        raise UntrustedError(
            f"{ref.factory} runs code that does not come with this package (a module of its own, or a pickle); "
            "look at it first, then allow it with --trust"
        )
    kwargs: dict[str, Any] = dict(ref.kwargs)
    if ref.artefact is not None:
        path = artefacts / ref.artefact.path
        _check_files(path, ref.artefact)
        kwargs["path"] = path
    try:
        router = _import(ref.factory)(**kwargs)
    except NotApplicableError:
        raise
    except Exception as error:  # whatever foreign code raises is a fault of the entry
        raise _refusal(f"{ref.factory} with {ref.kwargs} fails: {type(error).__name__}: {error}") from error
    if not isinstance(router, Predicts):
        raise _refusal(f"{ref.factory} makes a {type(router).__name__}; allowed: an object with predict(observation)")
    return router


def _import(path: str) -> Any:
    module, _, name = path.partition(":")
    folder = os.getcwd()
    # As `python -m` does: the module of a user's own router lies where the user stands.
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return getattr(importlib.import_module(module), name)


def _hashes(path: Path) -> dict[str, str]:
    files = {".": path} if path.is_file() else {p.relative_to(path).as_posix(): p for p in sorted(path.rglob("*"))}
    return {
        name: hashlib.sha256(p.read_bytes()).hexdigest()
        for name, p in files.items()
        if p.is_file() and name not in _NOT_PLAYED
    }


def _check_files(path: Path, artefact: Artefact) -> None:
    if not path.exists():
        raise _refusal(f"{path}: no such file or folder")
    found, stated = _hashes(path), artefact.files
    if wrong := sorted(name for name in found.keys() | stated.keys() if found.get(name) != stated.get(name)):
        raise _refusal(f"{path}: {', '.join(wrong[:3])} is missing, new or changed since the entry was made")


def _refusal(message: str) -> EntryRejectedError:
    return EntryRejectedError("router", [Fault("artefact", message)])
