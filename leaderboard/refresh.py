"""Everything that depends on the banks, made anew: tracks frozen, agents trained, rows played."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.leaderboard.entry import RouterRef
from gym_stepwise_routing.leaderboard.loading import NETWORK, describe_artefact
from gym_stepwise_routing.leaderboard.rows import Row, read_rows
from gym_stepwise_routing.leaderboard.submit import entry_path, make_entry
from gym_stepwise_routing.leaderboard.track import TRACKS, Track, game_of, measure, track_names

__all__ = ["freeze_tracks", "refresh_rows"]

Report = Callable[[str], None]


def freeze_tracks(folder: Path = TRACKS) -> tuple[Track, ...]:
    """Measure every track again, and write what has changed.

    Raises:
        ValueError: a track's file that does not follow the schema, or a source that is gone.
    """
    tracks = []
    for name in track_names(folder):
        path = folder / f"{name}.json"
        frozen = Track.read(path)
        now = measure(frozen.spec)
        if now != frozen:
            now.write(path)
        tracks.append(now)
    return tuple(tracks)


def refresh_rows(
    tracks: Collection[Track], *, entries: Path, artefacts: Path, only: Collection[str] | None = None, report: Report
) -> list[Path]:
    """Train and play every row on every track that it applies to, and write the entries.

    Args:
        tracks: the tracks, as frozen.
        entries: folder of the entries.
        artefacts: folder of the trained agents.
        only: names of the rows; all if None.
        report: told, in a line each, what was written and which row does not apply to which track, and why.

    Returns:
        The files that were written.
    """
    written = []
    for track in tracks:
        for row in read_rows():
            if (only is not None and row.name not in only) or not {"*", track.name} & set(row.tracks):
                continue
            try:
                path = _refresh_row(track, row, entries, artefacts)
            except NotApplicableError as error:
                report(f"{track.name}: {row.name} does not apply: {error}")
                continue
            written.append(path)
            report(f"{track.name}: {row.name}")
    return written


def _refresh_row(track: Track, row: Row, entries: Path, artefacts: Path) -> Path:
    routers, seeds = row.routers, None
    if row.training is not None:
        routers, seeds = _train(track, row, artefacts), row.training.seeds
    entry = make_entry(
        track,
        row.name,
        routers,
        row.about,
        artefacts=artefacts,
        kind=row.kind,
        seeds=seeds,
        observation=row.observation,
        selection=row.selection,
    )
    path = entry_path(entries, entry)
    entry.write(path)
    return path


def _train(track: Track, row: Row, artefacts: Path) -> tuple[RouterRef, ...]:
    from gym_stepwise_routing.agents.training import train
    from gym_stepwise_routing.leaderboard.network import export_policy

    assert row.training is not None
    spec = track.spec
    game = {
        "source": spec.source,
        "split": "train",
        "mode": spec.mode,
        "cost_unit": spec.cost_unit,
        "observation": row.observation,
        "normaliser": track.normalisers[spec.cost_unit],
    }
    features = game_of(track, row.observation).spec.feature_names
    refs = []
    for seed in row.training.seeds:
        arguments: dict[str, Any] = dict(row.training.arguments)
        model = train(row.training.agent, seed=seed, game=game, **arguments)
        path = artefacts / track.name / f"{row.name}-{seed}.npz"
        export_policy(model, path, name=row.name, features=features)
        refs.append(RouterRef(factory=NETWORK, artefact=describe_artefact(path, artefacts)))
    return tuple(refs)
