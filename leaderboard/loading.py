"""From the router that an entry names to the router itself, and what must be trusted on the way.

Importing a module runs its code, and so does unpickling. Stable-Baselines3's zip files contain pickles, and a
calibrated router may have been saved as one. So nothing is loaded without the user's explicit ``trust`` but these:

- the router classes of :mod:`gym_stepwise_routing.baselines`, as they are, fitted here on the train split, or with a
  fit that was kept as arrays;
- folders with a policy as arrays (:mod:`gym_stepwise_routing.agents.runs`), calibrated or not.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.leaderboard.entry import Artefact, Json, RouterRef
from gym_stepwise_routing.leaderboard.faults import EntryRejectedError, Fault, UntrustedError
from gym_stepwise_routing.leaderboard.policy_files import policy_hashes
from gym_stepwise_routing.leaderboard.schema import sha256_of
from gym_stepwise_routing.routers.base import Predicts, Router

__all__ = [
    "CALIBRATED",
    "FITTED",
    "TRAINED",
    "calibrated",
    "check_files",
    "describe_artefact",
    "is_harmless",
    "load_router",
    "reference_of",
    "sb3",
    "trained",
    "with_code",
]

_HERE = "gym_stepwise_routing.leaderboard.loading"
_BASELINES = "gym_stepwise_routing.baselines"
FITTED = "gym_stepwise_routing.leaderboard.fitted:fitted"
"""Factory of baselines that are fitted when they are loaded."""
TRAINED = f"{_HERE}:trained"
"""Factory of trained agents."""
CALIBRATED = f"{_HERE}:calibrated"
"""Factory of calibrated routers."""
_PACKAGE = "gym_stepwise_routing"
_NOT_READ = {TRAINED: ("model.zip",)}
"""Files that a factory does not read, so that they are no part of its artefacts: what a run keeps to go on training."""
_SB3 = f"{_HERE}:sb3"


def trained(path: Path, policy: str | None = None) -> Predicts:
    """A trained agent, read without running code of it.

    Args:
        path: a folder with ``manifest.json`` and ``router.npz``, or an ``.npz`` file of policies with their manifests.
        policy: name of the policy in a file of several.
    """
    from gym_stepwise_routing.agents.runs import load_run

    return load_run(path, policy)


def calibrated(path: Path) -> Predicts:
    """A calibrated router's folder, read without running code of it; one that holds a pickle is refused."""
    from gym_stepwise_routing.calibration import load_calibrated

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
        ValueError: no such file, one that is not below ``artefacts``, or of an unknown kind.
    """
    path = Path(router)
    if not path.exists():
        if ":" not in router:
            raise ValueError(
                f"router={router!r}: no such file or folder; allowed: one that is there, or module:factory"
            )
        return RouterRef(factory=router, kwargs=dict(kwargs))
    if (path / "certificate.json").is_file():
        factory = CALIBRATED
    elif (path / "router.npz").is_file():
        factory = TRAINED
    elif path.suffix == ".zip" and "algorithm" in kwargs:
        factory = _SB3
    else:
        raise ValueError(
            f"router={router!r}; allowed: module:factory, with or without --artefact; a folder of a training run or of "
            "a calibrated router; or a .zip of Stable-Baselines3 with --kwargs algorithm=module:class"
        )
    return RouterRef(factory=factory, kwargs=dict(kwargs), artefact=describe_artefact(path, artefacts, factory))


def describe_artefact(path: Path, artefacts: Path, factory: str = "", policy: str | None = None) -> Artefact:
    """Place and hashes of the file or folder ``path``, which must lie below ``artefacts``.

    Args:
        path: the file or folder.
        artefacts: folder of artefacts.
        factory: what reads them; all files count but those of which it is known that it leaves them alone.
        policy: name of the policy in a file of several: only that one counts.

    Raises:
        ValueError: it lies elsewhere, is or holds a symbolic link, which could lead elsewhere, or has no such policy.
    """
    return Artefact(path=_place(path, artefacts), policy=policy, files=_hashes(path, factory, policy))


def with_code(ref: RouterRef) -> RouterRef:
    """The reference with the hash of the module that it names, as it lies here now."""
    return ref.model_copy(update={"code_sha256": _code_sha256(ref)})


def check_files(ref: RouterRef, artefacts: Path) -> None:
    """Refuse files and code that are not those that the entry was made with. Runs nothing of either.

    Raises:
        EntryRejectedError: a file is missing, new, changed or a link; or the module of the factory is another one.
    """
    module, _, name = ref.factory.partition(":")
    if _is_ours(module) and not _is_here(module):
        raise _refusal(f"{ref.factory}: this package has no module {module}")
    if f"{module}.".startswith(f"{_BASELINES}.") and not hasattr(importlib.import_module(module), name):
        raise _refusal(f"{ref.factory}: this module has no {name}")
    if ref.code_sha256 != (code := _code_sha256(ref)):
        made = (ref.code_sha256 or "no code here")[:12]
        message = f"{ref.factory}: its module is {(code or 'not here')[:12]}, the entry was made with {made}"
        raise _refusal(f"{message}; submit it again")
    if ref.artefact is None:
        return
    path = artefacts / ref.artefact.path
    if not path.exists():
        raise _refusal(f"{path}: no such file or folder")
    try:
        _place(path, artefacts)
        found = _hashes(path, ref.factory, ref.artefact.policy)
    except ValueError as error:
        raise _refusal(str(error)) from None
    stated = ref.artefact.files
    if wrong := sorted(name for name in found.keys() | stated.keys() if found.get(name) != stated.get(name)):
        of = "" if ref.artefact.policy is None else f" of policy {ref.artefact.policy!r}"
        raise _refusal(f"{path}{of}: {', '.join(wrong[:3])} is missing, new or changed since the entry was made")


def is_harmless(ref: RouterRef) -> bool:
    """Whether loading the router runs no code but this package's, which reads no pickles."""
    if ref.factory in (TRAINED, CALIBRATED, FITTED):
        return True
    return ref.artefact is None and _is_baseline(ref.factory)


def _is_baseline(factory: str) -> bool:
    module, _, name = factory.partition(":")
    if module != _BASELINES and not module.startswith(f"{_BASELINES}."):
        return False
    if not _is_here(module):
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
        ImportError: this package's own code needs a package that is not installed.
        EntryRejectedError: a missing or changed file, a factory that cannot be called so, or one that makes no router.
    """
    if not (trust or is_harmless(ref)):
        raise UntrustedError(
            f"{ref.factory} runs code that does not come with this package (a module of its own, or a pickle); "
            "look at it first, then allow it with --trust"
        )
    check_files(ref, artefacts)
    kwargs: dict[str, Any] = dict(ref.kwargs)
    if ref.artefact is not None:
        kwargs["path"] = artefacts / ref.artefact.path
        if ref.artefact.policy is not None:
            kwargs["policy"] = ref.artefact.policy
    try:
        router = _import(ref.factory)(**kwargs)
    except (NotApplicableError, KeyboardInterrupt):
        raise
    except BaseException as error:  # whatever foreign code raises is a fault of the entry; SystemExit is, too
        if isinstance(error, ImportError) and is_harmless(ref):
            raise
        raise _refusal(f"{ref.factory} with {ref.kwargs} fails: {type(error).__name__}: {error}") from error
    if not isinstance(router, Predicts):
        raise _refusal(f"{ref.factory} makes a {type(router).__name__}; allowed: an object with predict(observation)")
    return router


def _import(path: str) -> Any:
    """What an import path names. Only called for code that is trusted, or that comes with this package."""
    module, _, name = path.partition(":")
    if _is_ours(module):
        return getattr(importlib.import_module(module), name)
    # The module of a user's own router lies where the user stands. At the end and only now: a file there that is called
    # like a library must not be taken for it.
    sys.path.append(folder := os.getcwd())
    try:
        return getattr(importlib.import_module(module), name)
    finally:
        sys.path.remove(folder)


def _is_ours(module: str) -> bool:
    return module == _PACKAGE or module.startswith(f"{_PACKAGE}.")


def _is_here(module: str) -> bool:
    """Whether this package has such a module; what is above it is imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError as error:
        if error.name is not None and module.startswith(f"{error.name}."):
            return False
        raise


def _code_sha256(ref: RouterRef) -> str | None:
    """Hash over the source files of the factory's module, found without importing anything.

    None for what is installed: its version is in the entry, and another version of a library is no forgery.
    """
    module = ref.factory.partition(":")[0]
    if _is_ours(module) or (found := _find(module)) is None:
        return None
    files = sorted(found.rglob("*.py")) if found.is_dir() else [found]
    if any(found.resolve().is_relative_to(folder) for folder in _installed()):
        return None
    return sha256_of({file.relative_to(found.parent).as_posix(): _sha256(file) for file in files})


def _find(module: str) -> Path | None:
    """The file of a module, or the folder of a package."""
    places: Sequence[str] | None = [*sys.path, os.getcwd()]
    found = None
    for part in module.split("."):
        if places is None or (spec := PathFinder.find_spec(part, places)) is None:
            return None
        places = None if spec.submodule_search_locations is None else list(spec.submodule_search_locations)
        found = Path(places[0]) if places else Path(spec.origin or "")
    return found if found is not None and found.exists() else None


@cache
def _installed() -> tuple[Path, ...]:
    return tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib"))


def _place(path: Path, artefacts: Path) -> str:
    try:
        place = Path(os.path.abspath(path)).relative_to(os.path.abspath(artefacts))
    except ValueError:
        raise ValueError(f"{path} lies outside {artefacts}; allowed: a file or folder below it") from None
    for above in (artefacts / place, *(artefacts / folder for folder in place.parents if folder != Path())):
        if above.is_symlink():
            raise ValueError(f"{above} is a link; allowed: files and folders themselves")
    return place.as_posix()


def _hashes(path: Path, factory: str, policy: str | None) -> dict[str, str]:
    leave_out = _NOT_READ.get(factory, ())
    files = {".": path} if path.is_file() else {p.relative_to(path).as_posix(): p for p in sorted(path.rglob("*"))}
    if links := [p for p in files.values() if p.is_symlink()]:
        raise ValueError(f"{links[0]} is a link; allowed: files and folders themselves")
    if policy is not None:
        return policy_hashes(path, policy)
    return {name: _sha256(p) for name, p in files.items() if p.is_file() and name not in leave_out}


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:  # in small pieces, however large it is
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None


def _refusal(message: str) -> EntryRejectedError:
    return EntryRejectedError("router", [Fault("artefact", message)])
