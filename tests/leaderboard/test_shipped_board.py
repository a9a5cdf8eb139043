"""The tracks and entries in the repository belong to the bank that comes with it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gym_stepwise_routing.leaderboard.board_rows import read_rows
from gym_stepwise_routing.leaderboard.entry_files import files_of, read_entries, read_entry, rows_path
from gym_stepwise_routing.leaderboard.faults import EntryRejectedError
from gym_stepwise_routing.leaderboard.loading import FITTED, describe_artefact, is_harmless
from gym_stepwise_routing.leaderboard.policy_files import policy_names, put_policies
from gym_stepwise_routing.leaderboard.track import open_track, track_names
from gym_stepwise_routing.leaderboard.verify import verify_entry
from gym_stepwise_routing.storage.atomic import read_arrays

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "leaderboard"
ENTRIES = [
    entry for track in track_names() for path in files_of(FOLDER / "entries", track) for entry in read_entries(path)
]
ARTEFACTS = FOLDER / "artefacts"


def label(entry):
    return f"{entry.played.track}/{entry.name}"


PERMANENT = {"always-smallest", "always-largest", "random-mix", "first-1-large", "last-2-large"}


@pytest.mark.parametrize("name", track_names())
def test_no_track_is_stale(name):
    assert open_track(name).name == name


@pytest.mark.parametrize("name", track_names())
def test_permanent_rows_are_on_every_track(name):
    found = {entry.name for entry in ENTRIES if entry.played.track == name}
    assert found >= PERMANENT | (set() if open_track(name).simulated else {"oracle"})


@pytest.mark.parametrize("entry", ENTRIES, ids=label)
def test_no_entry_is_stale(entry):
    track = open_track(entry.played.track)
    assert entry.played.track_fingerprint == track.fingerprint, "run: stepwise-routing leaderboard refresh"


CHEAP = PERMANENT - {"random-mix"} | {"oracle"}
RUN_AGAIN = {
    "gsm8k-route/random-mix",
    "math500-escalate/lagrangian-ppo",
    "simulated-math-three-models/first-1-large",
}


def runs_again(entry):
    return label(entry) in RUN_AGAIN or (entry.name in CHEAP and entry.played.track not in SIMULATED)


SIMULATED = {name for name in track_names() if open_track(name).simulated}
SWEPT = {"random-mix", "lagrangian-ppo", "trim-agg"}
LONG = {"simulated-math-regenerate/trim-agg"}
"""Of the sweeps on thousands of simulated problems, ten CPU seconds each, one is enough every time."""


def verified_here():
    for entry in ENTRIES:
        if entry.name in CHEAP | SWEPT:
            long = entry.name in SWEPT and entry.played.track in SIMULATED and label(entry) not in LONG
            yield pytest.param(entry, marks=[pytest.mark.slow] if long else [], id=label(entry))


@pytest.mark.parametrize("entry", [*verified_here()])
def test_entries_are_verified(entry):
    """A few of each track; those whose routers take seconds at most are run again.

    `make board` runs the routers of all entries again: with ten thousand simulated problems, a minute each.
    """
    again = runs_again(entry)
    assert verify_entry(entry, artefacts=ARTEFACTS, run_again=again).rerun == ("done" if again else "not asked")


def test_a_kept_fit_says_what_it_was_fitted_on(tmp_path):
    """Taking over weights is as harmless as fitting only if they come from the train split."""
    entry = read_entry(rows_path(FOLDER / "entries", "simulated-math-regenerate"), "trim-agg")
    artefact = entry.runs[0].router.artefact
    path = Path(shutil.copy(ARTEFACTS / artefact.path, tmp_path))
    with read_arrays(path, "fit", artefact.policy) as content:
        told = json.loads(str(content["trained_on"]))
    put_policies(path, {artefact.policy: {**content, "trained_on": json.dumps({**told, "split": "test"})}})
    forged = describe_artefact(path, tmp_path, FITTED, artefact.policy)
    assert forged.files["arrays"] == artefact.files["arrays"]
    router = entry.runs[0].router.model_copy(update={"artefact": forged})
    runs = (entry.runs[0].model_copy(update={"router": router}), *entry.runs[1:])
    with pytest.raises(EntryRejectedError, match=r"provenance: runs\.0: trained on the test split; allowed: 'train'"):
        verify_entry(entry.model_copy(update={"runs": runs}), artefacts=tmp_path, run_again=False)


def test_rows_can_be_run_again_without_trust():
    for row in read_rows():
        for ref in row.routers:
            assert is_harmless(ref) or ref.factory.endswith(":oracle"), row.name
            assert ref.factory != FITTED or "baseline" in ref.kwargs


@pytest.mark.parametrize("track", track_names())
def test_policies_are_those_of_the_entries(track):
    """None is missing, none was changed, and none is left over."""
    file = ARTEFACTS / f"{track}.npz"
    used = set()
    for entry in ENTRIES:
        for run in entry.runs if entry.played.track == track else ():
            if (artefact := run.router.artefact) is not None:
                assert artefact.path == file.name
                assert describe_artefact(file, ARTEFACTS, run.router.factory, artefact.policy) == artefact
                used.add(artefact.policy)
    assert used == set(policy_names(file))


def test_the_board_is_light():
    """What every clone carries: entries, policies and tracks."""
    files = [path for name in ("entries", "artefacts", "tracks") for path in (FOLDER / name).rglob("*.*")]
    assert sum(path.stat().st_size for path in files) < 1.2e7
    assert len(files) < 50
