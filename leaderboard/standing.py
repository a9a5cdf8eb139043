"""What an entry claims beyond its figures: to be a row of the board, several trainings, trained on train problems."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from gym_stepwise_routing.baselines import ConfidenceThreshold
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.leaderboard.board_rows import Row, is_row
from gym_stepwise_routing.leaderboard.entry import Entry, Run
from gym_stepwise_routing.leaderboard.faults import EntryRejectedError, Fault
from gym_stepwise_routing.leaderboard.loading import CALIBRATED, FITTED, TRAINED, load_router
from gym_stepwise_routing.leaderboard.playing import ORACLE, PlayedRouter
from gym_stepwise_routing.leaderboard.policy_files import TOLD
from gym_stepwise_routing.leaderboard.track import Track, View, game_of
from gym_stepwise_routing.leaderboard.visible import likeness
from gym_stepwise_routing.routers.provenance import GameDescription

if TYPE_CHECKING:
    from gym_stepwise_routing.calibration import CalibratedRouter

__all__ = ["kind_faults", "provenance_faults", "refuse", "run_faults", "sweep_faults"]


def refuse(entry: Entry, faults: Iterable[Fault]) -> None:
    """Raise an error if there are any faults.

    Raises:
        EntryRejectedError: there are.
    """
    if found := list(faults):
        raise EntryRejectedError(entry.name, found)


def kind_faults(track: Track, entry: Entry, rows: Sequence[Row]) -> Iterator[Fault]:
    """References, bounds, names and titles of the board's rows are the board's own; the oracle is no router."""
    row = next((row for row in rows if row.name == entry.name), None)
    if row is not None and not is_row(entry, row, track):
        yield Fault(
            "reference",
            f"{entry.name!r} is a row in rows.json of another kind, router, view, selection or text; allowed: another "
            "name, or as the board's own row: stepwise-routing leaderboard refresh",
        )
    for other in rows:
        if other is not row and likeness(other.about.title) == likeness(entry.about.title):
            message = f"title={entry.about.title!r} is that of {other.name!r}, a row in rows.json; allowed: another one"
            yield Fault("title", message)
    if entry.kind != "router" and row is None:
        yield Fault("reference", f"kind={entry.kind!r} is for the rows in rows.json; allowed: 'router'")
    if entry.kind != "bound" and any(run.router.factory == ORACLE for run in entry.runs):
        yield Fault("reference", f"{ORACLE} sees the answers; allowed: as the board's own bound only")


def run_faults(entry: Entry) -> Iterator[Fault]:
    """One router, counted several times, would pass for several trainings."""
    if any((run.threshold is None) != (entry.selection is None) for run in entry.runs):
        yield Fault("selection", "thresholds without a selection rule, or a rule without thresholds")
    if len({run.seed for run in entry.runs}) != len(entry.runs):
        yield Fault("runs", "two runs have the same seed")
    for number, run in enumerate(entry.runs):
        for earlier in entry.runs[:number]:
            if same := _shared(run, earlier):
                yield Fault("runs", f"two runs have the same {same}; allowed: one run a trained router")
                return


def sweep_faults(runs: Sequence[PlayedRouter]) -> Iterator[Fault]:
    """The threshold that a rule chose is one of the sweep's, so the decisions are those of that point."""
    for number, run in enumerate(runs):
        if run.threshold is None or not run.points:
            continue
        if run.threshold not in run.thresholds:
            yield Fault("selection", f"runs.{number}.threshold={run.threshold}; allowed: a threshold of the sweep")
            continue
        point = run.points[run.thresholds.index(run.threshold)]
        if not np.array_equal(point.decisions, run.outcome.decisions):
            yield Fault("selection", f"runs.{number}: the decisions are not those of its sweep at {run.threshold:g}")


def provenance_faults(track: Track, entry: Entry, artefacts: Path) -> Iterator[Fault]:
    """What the files of trained and calibrated routers say of their making, and what fitted baselines are told."""
    for number, run in enumerate(entry.runs):
        for code, message in _made_elsewhere(track, entry, run, artefacts):
            yield Fault(code, f"runs.{number}: {message}")


def _made_elsewhere(
    track: Track, entry: Entry, run: Run, artefacts: Path
) -> Iterator[tuple[Literal["runs", "provenance"], str]]:
    ref, view = run.router, entry.played.view
    if ref.factory == FITTED:
        if ref.kwargs.get("track") != track.name:
            yield "provenance", f"fitted on track {ref.kwargs.get('track')!r}; allowed: {track.name!r}"
        if ref.kwargs.get("observation") != [*view.observation]:
            yield "provenance", f"fitted on {ref.kwargs.get('observation')}; allowed: {[*view.observation]}"
    if ref.artefact is None or ref.factory not in (TRAINED, CALIBRATED, FITTED):
        return
    try:
        game = game_of(track, view)
        if ref.factory == TRAINED:
            from gym_stepwise_routing.agents.runs import load_manifest

            manifest = load_manifest(artefacts / ref.artefact.path, ref.artefact.policy)
            if manifest.seed != run.seed:
                yield "runs", f"seed={run.seed}; its manifest says {manifest.seed}"
            trained_on: GameDescription | None = manifest.game
        elif ref.factory == CALIBRATED:
            router = _calibrated(artefacts / ref.artefact.path, track, view)
            if isinstance(router.base, ConfidenceThreshold):
                return
            trained_on = router.trained_on
        else:  # the fit was kept
            trained_on = getattr(load_router(ref, artefacts, trust=False), "trained_on", None)
        if trained_on is None:
            raise ValueError("its files do not say what the policy was trained on; allowed: a policy that says it")
        if trained_on.split != "train":
            yield "provenance", f"trained on the {trained_on.split} split; allowed: 'train'"
        trained_on.check_game(game, "this router")
        _check_split(trained_on, game_of(track, view, split="train"), "trained")
    except (ImportError, MemoryError):
        raise
    except ValueError as error:
        yield "provenance", str(error)
    except Exception as error:  # whatever a damaged file does to its reader is that file's fault
        yield "provenance", f"its files cannot be read: {type(error).__name__}: {error}"


def _calibrated(folder: Path, track: Track, view: View) -> CalibratedRouter:
    from gym_stepwise_routing.calibration import load_calibrated

    router = load_calibrated(folder, game=game_of(track, view))
    if router.game.split != "calibration":
        raise ValueError(f"calibrated on the {router.game.split} split; allowed: 'calibration'")
    _check_split(router.game, game_of(track, view, split="calibration"), "calibrated")
    return router


def _check_split(told: GameDescription, game: Game, how: str) -> None:
    """Refuse other problems than those of the bank's split; a simulator draws its own for each training."""
    if game.source.kind != "bank":
        return
    if told.split_hash != game.split_hash:
        message = f"{how} on split_hash={told.split_hash!r}; allowed: {game.split_hash!r}, of the {game.split} split"
        raise ValueError(message)
    if not 0 < told.problems <= len(game.problems):  # some hold problems out
        message = f"{how} on problems={told.problems}; allowed: 1 to {len(game.problems)}, of the {game.split} split"
        raise ValueError(message)


def _shared(run: Run, other: Run) -> str | None:
    """What two runs have in common that two trainings cannot."""
    if run.router == other.router:
        return "router"
    if _weights(run) & _weights(other):
        return "weights"
    # Two trainings may both come to one constant model, and that gains nothing.
    constant = len(set("".join(run.decisions))) == 1
    if not constant and (run.decisions, run.sweep) == (other.decisions, other.sweep):
        return "decisions"
    return None


def _weights(run: Run) -> set[str]:
    """Hashes of what holds numbers; descriptions may be the same."""
    files = {} if run.router.artefact is None else run.router.artefact.files
    told = (".json", ".txt", ".md", ".py", *TOLD)
    return {sha256 for name, sha256 in files.items() if not name.endswith(told)}
