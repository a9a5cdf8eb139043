"""Entry to verdict, check by check, what is cheap first. Runs in a process of its own, see ``worker``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gym_stepwise_routing.leaderboard.alike import alike_faults
from gym_stepwise_routing.leaderboard.board_rows import read_rows
from gym_stepwise_routing.leaderboard.entry import Entry
from gym_stepwise_routing.leaderboard.entry_figures import (
    Constants,
    Point,
    compute_figures,
    play_constants,
    sweep_points,
)
from gym_stepwise_routing.leaderboard.faults import EntryRejectedError, Fault, UntrustedError
from gym_stepwise_routing.leaderboard.isolated import rerun_apart
from gym_stepwise_routing.leaderboard.loading import check_files, is_harmless
from gym_stepwise_routing.leaderboard.playing import PlayedRouter
from gym_stepwise_routing.leaderboard.replay import replay_entry
from gym_stepwise_routing.leaderboard.rerun import rerun
from gym_stepwise_routing.leaderboard.resource_limits import Limits
from gym_stepwise_routing.leaderboard.standing import kind_faults, provenance_faults, refuse, run_faults, sweep_faults
from gym_stepwise_routing.leaderboard.submit import ledger_totals
from gym_stepwise_routing.leaderboard.track import Track, open_track, track_names
from gym_stepwise_routing.storage.former_names import check_former

__all__ = ["Rerun", "Verdict", "check_entry"]

Rerun = Literal["done", "not trusted", "not asked"]
_TOLERANCE = 1e-9
_MOST_SHOWN = 5
_MARGIN = 60.0
"""Seconds that it may take to start and to end a router's process."""


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """An entry that was not refused.

    Attributes:
        entry: the entry.
        track: its track.
        constants: the constant models of the track.
        runs: what its decisions lead to.
        sweeps: the sweep of each run that has one.
        rerun: whether its router was run again; only then is it certain that the decisions are the router's.
    """

    entry: Entry
    track: Track
    constants: Constants
    runs: tuple[PlayedRouter, ...]
    sweeps: tuple[tuple[Point, ...], ...]
    rerun: Rerun


def check_entry(
    entry: Entry,
    *,
    artefacts: Path,
    tracks: Path,
    rows: Path | None,
    run_again: bool,
    trust: bool,
    limits: Limits,
    within: Callable[[float], None],
) -> Verdict:
    """Check an entry. All processes below this one are ended after each router of unknown origin.

    Args:
        entry: the entry.
        artefacts: folder that artefact paths are relative to.
        tracks: folder of the tracks.
        rows: file of the board's own rows; see :func:`...rows.find_rows` if None.
        run_again: whether the router is run again where that is possible.
        trust: whether code of unknown origin may run for that.
        limits: what it may take.
        within: told how many seconds what comes next may take.

    Raises:
        EntryRejectedError: anything is wrong with it, whatever it holds; ``faults`` says what.
        StaleTrackError: the track itself is out of date.
        ImportError: this package's own code needs a package that is not installed.
        ValueError: there is no file of rows, or a track's file is damaged.
    """
    track, board_rows = _track_of(entry, tracks), read_rows(rows)
    within(limits.seconds)
    try:
        refuse(entry, kind_faults(track, entry, board_rows))
        refuse(entry, run_faults(entry))
        for run in entry.runs:
            check_files(run.router, artefacts)
        refuse(entry, alike_faults(entry, artefacts))
        refuse(entry, provenance_faults(track, entry, artefacts))
        runs = _replayed(track, entry)  # after what is cheap
        constants = play_constants(track)
        computed = compute_figures(track, entry.name, runs, constants)
        faults = [*sweep_faults(runs), *_ledger_faults(track, entry, runs)]
        differences = list(_differences(entry.figures.model_dump(), computed.model_dump()))
        faults += [Fault("figures", message) for message in differences[:_MOST_SHOWN]]
        refuse(entry, faults)
        done: Rerun = "not asked"
        if run_again:
            options = {"artefacts": artefacts, "tracks": tracks, "trust": trust, "limits": limits, "within": within}
            done = _rerun_all(track, entry, runs, **options)  # type: ignore[arg-type]
    except (EntryRejectedError, ImportError, MemoryError):
        raise
    except Exception as error:  # nobody thought of it, and the other entries are not to suffer
        raise EntryRejectedError(entry.name, [Fault("failed", f"{type(error).__name__}: {error}")]) from error
    sweeps = tuple(sweep_points(track, run) for run in runs if run.points)
    return Verdict(entry, track, constants, tuple(runs), sweeps, done)


def _track_of(entry: Entry, tracks: Path) -> Track:
    played = entry.played
    try:
        check_former("track", played.track, ", on other content hashes: submit it again")
    except ValueError as error:
        raise EntryRejectedError(entry.name, [Fault("track", str(error))]) from None
    if played.track not in track_names(tracks):
        message = f"track={played.track!r}; allowed: {', '.join(track_names(tracks))}"
        raise EntryRejectedError(entry.name, [Fault("track", message)])
    track = open_track(played.track, tracks)
    expected = {
        "bank": (played.source_sha256, track.source.sha256),
        "split": (played.split_sha256, track.split_sha256),
        "prices": (played.prices_sha256, track.prices_sha256),
        "track": (played.track_fingerprint, track.fingerprint),
    }
    faults = [
        Fault(code, f"made with {code} {theirs[:12]}..., track {track.name!r} has {ours[:12]}...; submit it again")  # type: ignore[arg-type]
        for code, (theirs, ours) in expected.items()
        if theirs != ours
    ]
    if faults:
        raise EntryRejectedError(entry.name, faults)
    return track


def _replayed(track: Track, entry: Entry) -> list[PlayedRouter]:
    try:
        return replay_entry(track, entry)
    except EntryRejectedError:
        raise
    except ValueError as error:  # a view that the bank does not have, or a block twice
        raise EntryRejectedError(entry.name, [Fault("view", str(error))]) from None


def _ledger_faults(track: Track, entry: Entry, runs: Sequence[PlayedRouter]) -> Iterator[Fault]:
    for number, (stated, played) in enumerate(zip(entry.runs, runs, strict=True)):
        recorded = ledger_totals(track, played.outcome)
        if stated.ledger != recorded:
            models = recorded.keys() | stated.ledger.keys()
            model = min(m for m in models if stated.ledger.get(m) != recorded.get(m))
            message = f"{model} is stated {stated.ledger.get(model)}, recorded {recorded.get(model)}"
            yield Fault("tokens", f"runs.{number}.ledger: {message}")


def _differences(stated: Any, computed: Any, key: str = "figures") -> Iterator[str]:
    """Each figure that is not what it should be."""
    if isinstance(computed, dict) and isinstance(stated, dict):
        for name in sorted(computed.keys() | stated.keys()):
            yield from _differences(stated.get(name), computed.get(name), f"{key}.{name}")
    elif isinstance(computed, float) and isinstance(stated, int | float):
        if not math.isclose(stated, computed, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE):
            yield f"{key}={stated!r}, computed from the decisions {computed!r}"
    elif stated != computed:
        yield f"{key}={stated!r}, computed from the decisions {computed!r}"


def _rerun_all(
    track: Track,
    entry: Entry,
    runs: Sequence[PlayedRouter],
    *,
    artefacts: Path,
    tracks: Path,
    trust: bool,
    limits: Limits,
    within: Callable[[float], None],
) -> Rerun:
    for number, (run, replayed) in enumerate(zip(entry.runs, runs, strict=True)):
        apart = trust and entry.kind != "bound" and not is_harmless(run.router)
        within(limits.rerun_seconds + (_MARGIN if apart else 0))
        try:
            if apart:
                faults = rerun_apart(entry, number, artefacts=artefacts, tracks=tracks, longest=limits.rerun_seconds)
            else:
                faults = rerun(track, entry, run, replayed, artefacts=artefacts, trust=trust)
        except UntrustedError:
            return "not trusted"
        refuse(entry, faults)
    return "done"
