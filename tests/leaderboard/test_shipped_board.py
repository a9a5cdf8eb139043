"""The tracks and entries in the repository belong to the bank that comes with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gym_stepwise_routing.leaderboard.entry import Entry
from gym_stepwise_routing.leaderboard.loading import FITTED, describe_artefact, is_harmless
from gym_stepwise_routing.leaderboard.rows import read_rows
from gym_stepwise_routing.leaderboard.track import open_track, track_names
from gym_stepwise_routing.leaderboard.verify import verify

REPOSITORY = Path(__file__).resolve().parents[2]
ENTRIES = sorted((REPOSITORY / "leaderboard" / "entries").glob("*/*.json"))
ARTEFACTS = REPOSITORY / "leaderboard" / "artefacts"
PERMANENT = {"always-smallest", "always-largest", "random-mix", "first-1-large", "last-2-large"}


@pytest.mark.parametrize("name", track_names())
def test_no_track_is_stale(name):
    assert open_track(name).name == name


@pytest.mark.parametrize("name", track_names())
def test_permanent_rows_are_on_every_track(name):
    found = {path.stem for path in ENTRIES if path.parent.name == name}
    assert found >= PERMANENT | (set() if open_track(name).simulated else {"oracle"})


@pytest.mark.parametrize("path", ENTRIES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_no_entry_is_stale(path):
    played = Entry.read(path).played
    track = open_track(played.track)
    assert played.track_fingerprint == track.fingerprint, "run: stepwise-routing leaderboard refresh"


@pytest.mark.parametrize(
    "path",
    [path for path in ENTRIES if path.stem in PERMANENT | {"oracle", "lagrangian-ppo"}],
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_entries_are_verified(path):
    """A few of each track, their routers run again; `stepwise-routing leaderboard build` does so with all of them."""
    assert verify(path, artefacts=ARTEFACTS).rerun == "done"


def test_rows_can_be_run_again_without_trust():
    for row in read_rows():
        for ref in row.routers:
            assert is_harmless(ref) or ref.factory.endswith(":oracle"), row.name
            assert ref.factory != FITTED or "baseline" in ref.kwargs


def test_artefacts_are_those_of_the_entries():
    for path in ENTRIES:
        for run in Entry.read(path).runs:
            if run.router.artefact is not None:
                assert describe_artefact(ARTEFACTS / run.router.artefact.path, ARTEFACTS) == run.router.artefact
