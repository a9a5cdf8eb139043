"""Everything that depends on the banks, made anew: tracks frozen, agents trained, rows played."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Collection
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.leaderboard.board_rows import Row, Training, read_rows, routers_on
from gym_stepwise_routing.leaderboard.entry import RouterRef
from gym_stepwise_routing.leaderboard.fitted import KEPT
from gym_stepwise_routing.leaderboard.loading import FITTED, TRAINED, describe_artefact, load_router
from gym_stepwise_routing.leaderboard.submit import entry_path, make_entry
from gym_stepwise_routing.leaderboard.track import TRACKS, Track, game_of, measure, source_of, track_names

if TYPE_CHECKING:
    from gym_stepwise_routing.agents.training import Hyperparameters

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

    Where a row does not apply any more, its entry is removed.

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
            if (only is not None and row.name not in only) or not row.is_for(track.name):
                continue
            try:
                path = _refresh_row(track, row, entries, artefacts)
            except NotApplicableError as error:
                (entries / track.name / f"{row.name}.json").unlink(missing_ok=True)
                report(f"{track.name}: {row.name} does not apply: {error}")
                continue
            written.append(path)
            report(f"{track.name}: {row.name}")
    return written


def _refresh_row(track: Track, row: Row, entries: Path, artefacts: Path) -> Path:
    routers, seeds = routers_on(row, track), None
    if row.training is None:
        routers = tuple(_fit(track, row, ref, number, artefacts) for number, ref in enumerate(routers))
    else:
        routers, seeds = _train(track, row, row.training, artefacts), row.training.seeds
    entry = make_entry(
        track,
        row.name,
        routers,
        row.about,
        artefacts=artefacts,
        kind=row.kind,
        seeds=seeds,
        view=row.view,
        selection=row.selection,
    )
    path = entry_path(entries, entry)
    entry.write(path)
    return path


def _fit(track: Track, row: Row, ref: RouterRef, number: int, artefacts: Path) -> RouterRef:
    """Fit what is kept in a file, and refer to the file."""
    if ref.factory != FITTED or ref.kwargs["baseline"] not in KEPT:
        return ref
    path = artefacts / track.name / f"{row.name}-{number}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    load_router(ref, artefacts, trust=False).save(path)  # type: ignore[attr-defined]
    return ref.model_copy(update={"artefact": describe_artefact(path, artefacts, FITTED)})


def _train(track: Track, row: Row, training: Training, artefacts: Path) -> tuple[RouterRef, ...]:
    """Train the agents of a row, but for those that lie there already, trained in just the same way."""
    from gym_stepwise_routing.agents.training import hyperparameters

    settings = hyperparameters(training.agent)
    if training.penalty is not None:
        settings = replace(settings, penalty=training.penalty)
    arguments = {} if training.limit is None else {"limit": training.limit, "constraint": "cost_limit"}
    refs = []
    for seed in training.seeds:
        folder = artefacts / track.name / f"{row.name}-{seed}"
        if not _is_trained(folder, track, row, training.agent, seed, settings, arguments):
            _train_one(folder, track, row, training.agent, seed, settings, arguments)
        refs.append(RouterRef(factory=TRAINED, artefact=describe_artefact(folder, artefacts, TRAINED)))
    return tuple(refs)


def _train_one(
    folder: Path, track: Track, row: Row, agent: str, seed: int, settings: Hyperparameters, arguments: dict[str, Any]
) -> None:
    from gym_stepwise_routing.agents.runs import train_run

    spec = track.spec
    game = GameConfig(
        source_of(track, "train"),
        mode=spec.mode,
        cost_unit=spec.cost_unit,
        observation=row.view.observation,
        normaliser=track.normalisers[spec.cost_unit],
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".training-") as temporary:
        run = Path(temporary) / "run"
        train_run(agent, run, seed=seed, game=game, settings=settings, **arguments)
        (run / "model.zip").unlink()  # pickles; nothing here goes on training
        shutil.rmtree(folder, ignore_errors=True)
        run.replace(folder)


def _is_trained(
    folder: Path, track: Track, row: Row, agent: str, seed: int, settings: Hyperparameters, arguments: dict[str, Any]
) -> bool:
    from gym_stepwise_routing.agents.runs import RunManifest
    from gym_stepwise_routing.routers.provenance import GameDescription

    if not (folder / "manifest.json").is_file():
        return False
    kept = RunManifest.load(folder / "manifest.json")
    game = GameDescription.of(game_of(track, row.view, split="train"))
    wanted = (agent, seed, json.loads(json.dumps(asdict(settings))), arguments)
    # What a masked action does is the agent's own affair, and budgets are among its settings.
    game = replace(
        game, masked_action=kept.game.masked_action, budget=kept.game.budget, hard_budget=kept.game.hard_budget
    )
    return (kept.agent, kept.seed, kept.hyperparameters, kept.arguments) == wanted and kept.game == game
