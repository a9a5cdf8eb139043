from __future__ import annotations

import json
from dataclasses import replace

import pytest
from board_kit import ABOUT

from gym_stepwise_routing.leaderboard import refresh
from gym_stepwise_routing.leaderboard.board_rows import Row, Training, read_rows, routers_on
from gym_stepwise_routing.leaderboard.entry_files import read_entries, read_entry
from gym_stepwise_routing.leaderboard.policy_files import policy_hashes, policy_names
from gym_stepwise_routing.leaderboard.track import Track
from gym_stepwise_routing.leaderboard.verify import verify


def test_stale_tracks_are_frozen_anew(track, tmp_path):
    old = track.model_copy(update={"split_sha256": "0" * 64})
    old.model_copy(update={"fingerprint": old.computed_fingerprint()}).write(tmp_path / f"{track.name}.json")
    assert refresh.freeze_tracks(tmp_path) == (track,)
    assert Track.read(tmp_path / f"{track.name}.json") == track


def test_rows_are_played_and_those_that_do_not_apply_are_told(track, tracks, tmp_path):
    lines = []
    names = ["always-largest", "glimp", "trim-threshold"]
    written = refresh.refresh_rows(
        [track], entries=tmp_path / "e", artefacts=tmp_path / "a", only=names, report=lines.append
    )
    assert [entry.name for entry in written] == ["always-largest"]
    file = tmp_path / "e" / f"{track.name}.jsonl"
    assert read_entries(file) == tuple(written)
    assert verify(file, artefacts=tmp_path, tracks=tracks).rerun == "done"
    assert any("glimp does not apply" in line for line in lines)
    assert any("trim-threshold does not apply: observation block 'verifier'" in line for line in lines)


def test_a_fit_on_recorded_trees_is_one_run(track, sample_track):
    row = next(row for row in read_rows() if row.name == "fitted-q")
    assert len(row.routers) == len(routers_on(row, sample_track)) == 3
    (ref,) = routers_on(row, track)
    assert (ref.kwargs["track"], ref.kwargs["observation"]) == (track.name, [*row.view.observation])


def test_agents_are_trained_once(track, tracks, tmp_path, monkeypatch):
    pytest.importorskip("stable_baselines3")
    from gym_stepwise_routing.agents import run_training, training
    from gym_stepwise_routing.agents.training import Hyperparameters

    short = Hyperparameters(n_envs=8, total_timesteps=64, penalty=0.3, algorithm={"n_steps": 8, "batch_size": 64})
    monkeypatch.setattr(training, "hyperparameters", lambda agent: short)
    row = Row(name="short", kind="router", about=ABOUT, training=Training(agent="ppo", seeds=(0, 1)))
    monkeypatch.setattr(refresh, "read_rows", lambda: (row,))

    def run():
        refresh.refresh_rows([track], entries=tmp_path / "e", artefacts=tmp_path / "a", report=lambda line: None)
        policies = tmp_path / "a" / f"{track.name}.npz"
        return tmp_path / "e" / f"{track.name}.jsonl", {
            name: policy_hashes(policies, name) for name in policy_names(policies)
        }

    path, first = run()
    assert list(first) == ["short-0", "short-1"]
    assert [p.name for p in (tmp_path / "a").iterdir()] == [f"{track.name}.npz"]  # no model.zip, which holds pickles
    assert verify(path, artefacts=tmp_path / "a", tracks=tracks).rerun == "done"
    assert [run.seed for run in read_entry(path).runs] == [0, 1]
    monkeypatch.setattr(run_training, "train_run", None)  # called again, it would fail
    assert run()[1] == first
    monkeypatch.undo()
    monkeypatch.setattr(training, "hyperparameters", lambda agent: replace(short, penalty=0.5))
    one = row.model_copy(update={"training": Training(agent="ppo", seeds=(0,))})
    monkeypatch.setattr(refresh, "read_rows", lambda: (one,))
    path, second = run()
    assert list(second) == ["short-0"]  # what no row uses any more is taken out
    assert second["short-0"] != first["short-0"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.append(rows[0]), "occur twice"),
        (lambda rows: rows[0].pop("routers"), "either routers or training"),
        (lambda rows: rows[0].update(kind="winner"), r"rows\.0\.kind"),
    ],
)
def test_faulty_rows(change, message, tmp_path):
    from gym_stepwise_routing.leaderboard.board_rows import ROWS

    content = json.loads(ROWS.read_text())
    change(content["rows"])
    (tmp_path / "rows.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        read_rows(tmp_path / "rows.json")
