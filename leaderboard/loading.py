"""From the router that an entry names to the router itself, and what must be trusted on the way.

Importing a module runs its code, and so does unpickling. Stable-Baselines3's zip files contain pickles (cloudpickle in
``data``; the network's weights are read without code since SB3 2.3, the rest is not). So nothing is loaded without the
user's explicit ``trust`` but these:

- the router classes of :mod:`gym_stepwise_routing.baselines`, which read no files;
- exported networks (:mod:`gym_stepwise_routing.leaderboard.network`), which are arrays and nothing else.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gym_stepwise_routing.leaderboard.entry import Artefact, Json, RouterRef
from gym_stepwise_routing.leaderboard.errors import EntryRejectedError, Fault, UntrustedError
from gym_stepwise_routing.routers import Predicts, Router

__all__ = ["describe_artefact", "is_harmless", "load_router", "reference_of", "sb3"]

NETWORK = "gym_stepwise_routing.leaderboard.network:PolicyNetwork"
SB3 = "gym_stepwise_routing.leaderboard.loading:sb3"
_BASELINES = "gym_stepwise_routing.baselines"


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
        router: ``module:factory``; or a file below ``artefacts``: an exported network (``.npz``), or a zip file of
            Stable-Baselines3, whose class is then in ``kwargs["algorithm"]``.
        kwargs: keyword arguments of the factory.
        artefacts: folder of artefacts.

    Raises:
        ValueError: a file that is not below ``artefacts``, or of an unknown kind.
    """
    path = Path(router)
    if not path.exists():
        return RouterRef(factory=router, kwargs=dict(kwargs))
    factories = {".npz": NETWORK, ".zip": SB3}
    if path.suffix not in factories:
        raise ValueError(
            f"router={router!r}; allowed: module:factory, or a file {' or '.join(factories)}. Another kind of "
            "file needs a factory that takes its path: module:factory with --artefact"
        )
    if path.suffix == ".zip" and "algorithm" not in kwargs:
        raise ValueError(
            f"router={router!r} was saved by Stable-Baselines3; allowed: its class as well, "
            "such as --kwargs algorithm=stable_baselines3:PPO"
        )
    return RouterRef(factory=factories[path.suffix], kwargs=dict(kwargs), artefact=describe_artefact(path, artefacts))


def describe_artefact(path: Path, artefacts: Path) -> Artefact:
    """Place and hashes of the file or folder ``path``, which must lie below ``artefacts``."""
    try:
        place = path.resolve().relative_to(artefacts.resolve())
    except ValueError:
        raise ValueError(f"{path} lies outside {artefacts}; allowed: a file or folder below it") from None
    return Artefact(path=place.as_posix(), files=_hashes(path))


def is_harmless(ref: RouterRef) -> bool:
    """Whether loading the router runs no code but this package's."""
    if ref.factory == NETWORK:
        return True
    module, _, name = ref.factory.partition(":")
    if ref.artefact is not None or not (module == _BASELINES or module.startswith(f"{_BASELINES}.")):
        return False
    made = getattr(importlib.import_module(_BASELINES), name, None)
    return isinstance(made, type) and issubclass(made, Router)


def load_router(ref: RouterRef, artefacts: Path, *, trust: bool) -> Predicts:
    """The router of an entry.

    Args:
        ref: what the entry says of it.
        artefacts: folder that artefact paths are relative to.
        trust: whether code of unknown origin may run.

    Raises:
        UntrustedError: loading it would run such code, and ``trust`` is False.
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
    return {name: hashlib.sha256(p.read_bytes()).hexdigest() for name, p in files.items() if p.is_file()}


def _check_files(path: Path, artefact: Artefact) -> None:
    if not path.exists():
        raise _refusal(f"{path}: no such file or folder")
    found, stated = _hashes(path), artefact.files
    if wrong := sorted(name for name in found.keys() | stated.keys() if found.get(name) != stated.get(name)):
        raise _refusal(f"{path}: {', '.join(wrong[:3])} is missing, new or changed since the entry was made")


def _refusal(message: str) -> EntryRejectedError:
    return EntryRejectedError("router", [Fault("artefact", message)])
