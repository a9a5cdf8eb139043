"""Where entries lie: ``TRACK/NAME.json``, a file an entry, or ``TRACK.jsonl``, an entry a line.

A submission is a file of its own. The board's own rows, which are written together, share a file a track.
"""

from __future__ import annotations

from pathlib import Path

from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.leaderboard.entry import Entry
from gym_stepwise_routing.leaderboard.faults import EntryRejectedError, Fault
from gym_stepwise_routing.storage.atomic import write_text
from gym_stepwise_routing.storage.locks import sole_writer

__all__ = [
    "check_vacant",
    "entry_path",
    "files_of",
    "put_entries",
    "put_submission",
    "read_entries",
    "read_entry",
    "rows_path",
]


def entry_path(folder: Path, entry: Entry) -> Path:
    """Where a submission belongs: ``folder/TRACK/NAME.json``."""
    return folder / entry.played.track / f"{entry.name}.json"


def rows_path(folder: Path, track: str) -> Path:
    """Where the board's own rows of a track are: ``folder/TRACK.jsonl``."""
    return folder / f"{track}.jsonl"


def files_of(folder: Path, track: str) -> list[Path]:
    """The files of a track's entries: the board's own rows first, then the submissions by name."""
    rows = rows_path(folder, track)
    return [rows] * rows.is_file() + sorted((folder / track).glob("*.json"))


def read_entries(path: Path) -> tuple[Entry, ...]:
    """The entries of a file: one of a ``.json``, one a line of a ``.jsonl``.

    Raises:
        EntryRejectedError: missing or oversized file, a link, one that does not follow the schema, a name that occurs
            twice, or an entry that does not belong in this file.
    """
    shared = path.suffix == ".jsonl"
    path = path.absolute()  # never resolved: a link may lie on one track's board and lead to another's
    for place in (path,) if shared else (path, path.parent):
        if place.is_symlink():
            raise EntryRejectedError(
                path, [Fault("place", f"{place} is a link; allowed: files and folders themselves")]
            )
    try:
        entries = Entry.read_lines(path) if shared else (Entry.read(path),)
    except ValueError as error:
        raise EntryRejectedError(path, [Fault("schema", str(error))]) from None
    names = [entry.name for entry in entries]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise EntryRejectedError(path, [Fault("schema", f"name {twice[0]!r} occurs twice")])
    for entry in entries:
        track = entry.played.track
        placed = path.stem == track if shared else (path.parent.name, path.stem) == (track, entry.name)
        if not placed:
            allowed = f"{track}.jsonl" if shared else f"{track}/{entry.name}.json"
            message = f"an entry {entry.name!r} on {track!r} belongs in {allowed}"
            raise EntryRejectedError(path, [Fault("place", message)])
    return entries


def read_entry(path: Path, name: str | None = None) -> Entry:
    """One entry of a file: the only one, or that of a name.

    Raises:
        EntryRejectedError: see :func:`read_entries`.
        ValueError: no entry of that name.
    """
    entries = {entry.name: entry for entry in read_entries(path)}
    if name is None and len(entries) == 1:
        (name,) = entries
    check_choice("name", name, entries)
    return entries[str(name)]


def put_entries(path: Path, entries: dict[str, Entry | None]) -> None:
    """Write entries to a ``.jsonl``, in place of those of the same names; None takes the entry out.

    Args:
        path: file to write; the others in it stay. Without entries there is no file.
        entries: by name.

    Raises:
        EntryRejectedError: the file that is there is none of entries.
    """
    with sole_writer(path, wait=True):
        there = {entry.name: entry for entry in read_entries(path)} if path.is_file() else {}
        kept = {name: entry for name, entry in sorted({**there, **entries}.items()) if entry is not None}
        if kept:
            write_text(path, "".join(f"{entry.model_dump_json()}\n" for entry in kept.values()))
        else:
            path.unlink(missing_ok=True)


def put_submission(folder: Path, entry: Entry, *, overwrite: bool = False) -> Path:
    """Write an entry to where a submission belongs, and return the path.

    Raises:
        ValueError: an entry of that name is there, without ``overwrite``, or is being written by another process.
    """
    path = entry_path(folder, entry)
    with sole_writer(path):
        check_vacant(path, overwrite=overwrite)
        entry.write(path)
    return path


def check_vacant(path: Path, *, overwrite: bool) -> None:
    """Raise ``ValueError`` if an entry is there and may not be replaced."""
    if path.exists() and not overwrite:
        raise ValueError(f"{path} is there already; allowed: another --name, or --overwrite")
