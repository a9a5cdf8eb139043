"""What an earlier build has verified and drawn, so that what has not changed is neither verified nor drawn again.

The cache is a folder of the user, outside of the repository: nothing that comes with an entry or with a pull request
can put a verdict there. Everything that a verdict depends on is in its key: the entry, its artefacts, the track, the
board's rows, the package's own code and data, and the versions of the libraries. A change of any of them is a miss.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import metadata
from pathlib import Path

import gym_stepwise_routing
from gym_stepwise_routing.costs.units import COST_UNITS
from gym_stepwise_routing.leaderboard.board_rows import find_rows
from gym_stepwise_routing.leaderboard.checking import Verdict
from gym_stepwise_routing.leaderboard.entry import Entry
from gym_stepwise_routing.leaderboard.entry_figures import play_constants
from gym_stepwise_routing.leaderboard.entry_files import files_of
from gym_stepwise_routing.leaderboard.loading import is_harmless
from gym_stepwise_routing.leaderboard.schema import sha256_of
from gym_stepwise_routing.leaderboard.track import Track
from gym_stepwise_routing.routers.provenance import versions
from gym_stepwise_routing.storage.atomic import new_folder, replaced

__all__ = ["BuildCache", "code_hash", "user_cache"]

_CODE = Path(gym_stepwise_routing.__file__).parent
_NOT_CODE = ("__pycache__", "entries", "artefacts", "tracks")
"""Folders of the board's own data, each with a hash of its own; and what Python makes of the code."""
_KEPT_DAYS = 30
_LIBRARIES = ("pyarrow", "scipy", "scikit-learn", "pydantic", "jinja2")


def user_cache() -> Path:
    """Where verdicts are kept by default: below ``XDG_CACHE_HOME``, or else ``~/.cache``."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "gym-stepwise-routing" / "leaderboard"


@cache
def code_hash() -> str:
    """Hash of all files of the package: its code, templates, banks and presets, without the board's own data."""
    return _tree_hash(_CODE, _NOT_CODE)


@dataclass(frozen=True, slots=True)
class BuildCache:
    """Verdicts and pages of earlier builds.

    Args:
        folder: the cache; made where it is not there.
        entries: folder of the entries.
        artefacts: folder that artefact paths are relative to.
        tracks: folder of the tracks.
        rows: file of the board's own rows; None: where it is found.
        rerun: whether routers are run again.
        trust: whether code of unknown origin may run.

    Raises:
        ValueError: the folder lies among the entries or artefacts, or belongs to another user.
    """

    folder: Path
    entries: Path
    artefacts: Path
    tracks: Path
    rows: Path | None
    rerun: bool
    trust: bool
    _hashes: dict[Path, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        place = self.folder.resolve()
        for name, other in (("entries", self.entries), ("artefacts", self.artefacts)):
            if place.is_relative_to(other.resolve()):
                raise ValueError(f"cache={str(self.folder)!r} is in {name}={str(other)!r}; allowed: a folder elsewhere")
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if hasattr(os, "getuid") and place.stat().st_uid != os.getuid():
            raise ValueError(f"cache={str(self.folder)!r} belongs to another user; allowed: a folder of your own")

    def verdict(self, entry: Entry, track: Track) -> Verdict | None:
        """What an earlier build found of the very same entry; None if it has to be verified."""
        path = self._verdict_path(entry, track)
        try:
            rerun, runs, sweeps = pickle.loads(zlib.decompress(path.read_bytes()))
        except (OSError, zlib.error, pickle.UnpicklingError, EOFError):
            return None  # none, or one that a kill or a full disk has damaged
        os.utime(path)
        return Verdict(entry, track, play_constants(track), runs, sweeps, rerun)

    def keep(self, verdict: Verdict) -> None:
        """Keep a verdict, unless it hangs on code that no key covers."""
        if not self._covered(verdict.entry):
            return
        runs = tuple(replace(run, points=()) for run in verdict.runs)
        content = zlib.compress(pickle.dumps((verdict.rerun, runs, verdict.sweeps)), 1)
        path = self._verdict_path(verdict.entry, verdict.track)
        path.parent.mkdir(exist_ok=True)
        with replaced(path) as temporary:
            temporary.write_bytes(content)

    def pages(self, track: str) -> Path | None:
        """Folder with the pages of a track whose entries, artefacts and code are those of an earlier build."""
        path = self._pages_path(track)
        if not path.is_dir():
            return None
        os.utime(path)
        return path

    def keep_pages(self, track: str, entries: tuple[Entry, ...], folders: tuple[Path, ...]) -> None:
        """Keep the pages of a track: copies of ``folders``, under their paths from the first one's parent."""
        if not all(map(self._covered, entries)):
            return
        path = self._pages_path(track)
        path.parent.mkdir(exist_ok=True)
        root = folders[0].parent
        with new_folder(path, overwrite=True) as building:
            for folder in folders:
                shutil.copytree(folder, building / folder.relative_to(root))

    def prune(self) -> None:
        """Remove what no build has used for a month."""
        oldest = time.time() - 86_400 * _KEPT_DAYS
        for path in (*self.folder.glob("verdicts/*"), *self.folder.glob("pages/*")):
            if path.stat().st_mtime < oldest:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _covered(self, entry: Entry) -> bool:
        """Whether all code that a verdict rests on is this package's."""
        return not (self.rerun and self.trust) or all(
            entry.kind == "bound" or is_harmless(run.router) for run in entry.runs
        )

    def _verdict_path(self, entry: Entry, track: Track) -> Path:
        files = {run.router.artefact.path for run in entry.runs if run.router.artefact is not None}
        artefacts = {path: self._hash(self.artefacts / path) for path in sorted(files)}
        key = sha256_of([self._common(), track.fingerprint, entry.model_dump(mode="json"), artefacts])
        return self.folder / "verdicts" / key

    def _pages_path(self, track: str) -> Path:
        files = [self.tracks / f"{track}.json", *files_of(self.entries, track)]
        named = [[path.name, self._hash(path)] for path in files]
        source = json.loads(files[0].read_text(encoding="utf-8"))["spec"]["source"]
        bank = self._hash(Path(source)) if Path(source).is_dir() else ""  # those that have names come with the code
        key = sha256_of([self._common(), named, self._hash(self.artefacts), bank])
        return self.folder / "pages" / key

    def _common(self) -> list[object]:
        rows = find_rows() if self.rows is None else self.rows
        told = "" if rows is None else self._hash(rows)
        return [code_hash(), _versions(), [*COST_UNITS], told, self.rerun, self.trust]

    def _hash(self, path: Path) -> str:
        if path not in self._hashes:
            self._hashes[path] = _tree_hash(path, ())
        return self._hashes[path]


def _versions() -> dict[str, str]:
    """Versions of the libraries that figures, fits and pages come from."""
    found = versions()
    for package in _LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def _tree_hash(path: Path, without: tuple[str, ...]) -> str:
    """Hash of a file, or of all names and files below a folder; '' of what is not there."""
    found = hashlib.sha256()
    for file in [path] if path.is_file() else _files(path, without):
        linked = file.is_symlink() or (file != path and file.parent.is_symlink())  # a verdict may hang on that
        found.update(f"{file.relative_to(path)}\0{file.stat().st_size}\0{linked}\0".encode())
        found.update(file.read_bytes())
    return found.hexdigest()


def _files(folder: Path, without: tuple[str, ...]) -> Iterator[Path]:
    for root, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if name not in without)
        yield from (Path(root) / name for name in sorted(names))
