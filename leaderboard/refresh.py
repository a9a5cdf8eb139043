"""Everything that depends on the banks, made anew: tracks frozen, agents trained, rows played."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.leaderboard.board_rows import Row, Training, read_rows, routers_on
from gym_stepwise_routing.leaderboard.entry import Entry, RouterRef
from gym_stepwise_routing.leaderboard.entry_files import put_entries, rows_path
from gym_stepwise_routing.leaderboard.fitted import KEPT
from gym_stepwise_routing.leaderboard.loading import FITTED, TRAINED, describe_artefact, load_router
from gym_stepwise_routing.leaderboard.policy_files import policy_names, put_policies
from gym_stepwise_routing.leaderboard.submit import make_entry
from gym_stepwise_routing.leaderboard.track import TRACKS, Track, game_of, measure, source_of, track_names
from gym_stepwise_routing.storage.atomic import read_arrays

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
) -> list[Entry]:
    """Train and play every row on every track that it applies to, and write the entries.

    Where a row does not apply any more, its entry is removed; when all rows are played, so are policies without a row.

    Args:
        tracks: the tracks, as frozen.
        entries: folder of the entries.
        artefacts: folder of the policies, one file a track.
        only: names of the rows; all if None.
        report: told, in a line each, what was written and which row does not apply to which track, and why.

    Returns:
        The entries, which are in the tracks' files of rows now.
    """
    written: list[Entry] = []
    for track in tracks:
        before, file = len(written), rows_path(entries, track.name)
        for row in read_rows():
            if (only is not None and row.name not in only) or not row.is_for(track.name):
                continue
            try:
                entry = _play_row(track, row, artefacts)
            except NotApplicableError as error:
                put_entries(file, {row.name: None})
                report(f"{track.name}: {row.name} does not apply: {error}")
                continue
            put_entries(file, {row.name: entry})
            written.append(entry)
            report(f"{track.name}: {row.name}")
        if only is None:
            _drop_unused(artefacts / f"{track.name}.npz", written[before:])
    return written


def _drop_unused(policies: Path, entries: Sequence[Entry]) -> None:
    """Take out of a track's file what no row uses any more."""
    named = [run.router.artefact for entry in entries for run in entry.runs]
    used = {artefact.policy for artefact in named if artefact is not None}
    if unused := set(policy_names(policies)) - used:
        put_policies(policies, {}, drop=unused)


def _play_row(track: Track, row: Row, artefacts: Path) -> Entry:
    routers, seeds = routers_on(row, track), None
    if row.training is None:
        routers = tuple(_fit(track, row, ref, number, artefacts) for number, ref in enumerate(routers))
    else:
        routers, seeds = _train(track, row, row.training, artefacts), row.training.seeds
    return make_entry(
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


def _fit(track: Track, row: Row, ref: RouterRef, number: int, artefacts: Path) -> RouterRef:
    """Fit what is kept in a file, and refer to the file."""
    if ref.factory != FITTED or ref.kwargs["baseline"] not in KEPT:
        return ref
    path, name = artefacts / f"{track.name}.npz", f"{row.name}-{number}"
    with tempfile.TemporaryDirectory(prefix="fit-") as temporary:
        fit = Path(temporary) / "fit.npz"
        load_router(ref, artefacts, trust=False).save(fit)  # type: ignore[attr-defined]
        with read_arrays(fit, "fit") as arrays:
            put_policies(path, {name: arrays})
    return ref.model_copy(update={"artefact": describe_artefact(path, artefacts, FITTED, name)})


def _train(track: Track, row: Row, training: Training, artefacts: Path) -> tuple[RouterRef, ...]:
    """Train the agents of a row, but for those that lie there already, trained in just the same way."""
    from gym_stepwise_routing.agents.training import hyperparameters

    settings = hyperparameters(training.agent)
    if training.penalty is not None:
        settings = replace(settings, penalty=training.penalty)
    arguments = {} if training.limit is None else {"limit": training.limit, "constraint": "cost_limit"}
    refs = []
    path = artefacts / f"{track.name}.npz"
    for seed in training.seeds:
        name = f"{row.name}-{seed}"
        if not _is_trained(path, name, track, row, training.agent, seed, settings, arguments):
            put_policies(path, {name: _train_one(track, row, training.agent, seed, settings, arguments)})
        refs.append(RouterRef(factory=TRAINED, artefact=describe_artefact(path, artefacts, TRAINED, name)))
    return tuple(refs)


def _train_one(
    track: Track, row: Row, agent: str, seed: int, settings: Hyperparameters, arguments: dict[str, Any]
) -> dict[str, Any]:
    """The arrays of a policy, and the manifest of its training as JSON text."""
    from gym_stepwise_routing.agents.run_training import train_run

    spec = track.spec
    game = GameConfig(
        source_of(track, "train"),
        mode=spec.mode,
        cost_unit=spec.cost_unit,
        observation=row.view.observation,
        normaliser=track.normalisers[spec.cost_unit],
    )
    with tempfile.TemporaryDirectory(prefix="training-") as temporary:
        run = Path(temporary) / "run"
        train_run(agent, run, seed=seed, game=game, settings=settings, **arguments)
        with read_arrays(run / "router.npz", "policy network") as arrays:
            return {**arrays, "manifest": (run / "manifest.json").read_text(encoding="utf-8")}


def _is_trained(
    path: Path,
    policy: str,
    track: Track,
    row: Row,
    agent: str,
    seed: int,
    settings: Hyperparameters,
    arguments: dict[str, Any],
) -> bool:
    from gym_stepwise_routing.agents.runs import load_manifest
    from gym_stepwise_routing.routers.provenance import GameDescription

    if policy not in policy_names(path):
        return False
    kept = load_manifest(path, policy)
    game = GameDescription.of(game_of(track, row.view, split="train"))
    wanted = (agent, seed, json.loads(json.dumps(asdict(settings))), arguments)
    # What a masked action does is the agent's own affair, and budgets are among its settings.
    game = replace(
        game, masked_action=kept.game.masked_action, budget=kept.game.budget, hard_budget=kept.game.hard_budget
    )
    return (kept.agent, kept.seed, kept.hyperparameters, kept.arguments) == wanted and kept.game == game
