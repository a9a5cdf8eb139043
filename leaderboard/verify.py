"""Entry to verdict: decisions replayed on the bank, every figure computed again, and the router run again."""

from __future__ import annotations

from pathlib import Path

from gym_stepwise_routing.leaderboard.checking import Verdict
from gym_stepwise_routing.leaderboard.entry import Entry
from gym_stepwise_routing.leaderboard.entry_files import read_entry
from gym_stepwise_routing.leaderboard.entry_worker import check_apart
from gym_stepwise_routing.leaderboard.resource_limits import LIMITS, Limits
from gym_stepwise_routing.leaderboard.track import TRACKS

__all__ = ["Verdict", "verify", "verify_entry"]


def verify(
    path: Path,
    name: str | None = None,
    *,
    artefacts: Path,
    tracks: Path = TRACKS,
    rows: Path | None = None,
    run_again: bool = True,
    trust: bool = False,
    limits: Limits = LIMITS,
) -> Verdict:
    """Check an entry's file.

    Args:
        path: ``.../TRACK/NAME.json``, or ``.../TRACK.jsonl``.
        name: which of several entries in the file.
        artefacts: folder that artefact paths are relative to.
        tracks: folder of the tracks.
        rows: file of the board's own rows; see :func:`...rows.find_rows` if None.
        run_again: whether the router is run again where that is possible.
        trust: whether code of unknown origin may run for that.
        limits: time and memory that it may take.

    Raises:
        EntryRejectedError: anything is wrong with it, whatever it holds; ``faults`` says what.
        StaleTrackError: the track itself is out of date.
        ImportError: this package's own code needs a package that is not installed.
        ValueError: there is no file of rows, or no entry of that name.
    """
    options = {"artefacts": artefacts, "tracks": tracks, "rows": rows, "run_again": run_again, "trust": trust}
    return verify_entry(read_entry(path, name), **options, limits=limits)  # type: ignore[arg-type]


def verify_entry(
    entry: Entry,
    *,
    artefacts: Path,
    tracks: Path = TRACKS,
    rows: Path | None = None,
    run_again: bool = True,
    trust: bool = False,
    limits: Limits = LIMITS,
) -> Verdict:
    """:func:`verify` for an entry in memory."""
    options = {"artefacts": artefacts, "tracks": tracks, "rows": rows, "run_again": run_again, "trust": trust}
    return check_apart(entry, limits, options)
