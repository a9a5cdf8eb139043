from __future__ import annotations

import json

import numpy as np
import pytest

from gym_stepwise_routing.baselines import AlwaysLargest
from gym_stepwise_routing.evaluation.evaluate import play
from gym_stepwise_routing.leaderboard.faults import StaleTrackError
from gym_stepwise_routing.leaderboard.track import Track, game_of, measure, open_track, source_of, track_names


def test_a_track_opens_as_it_was_frozen(track, tracks):
    assert open_track("bank-regenerate", tracks) == track
    assert track_names(tracks) == ("bank-regenerate", "bank-route", "sample")
    with pytest.raises(ValueError, match="allowed: 'bank-regenerate'"):
        open_track("bank", tracks)


def test_always_largest_costs_one(tracks):
    track = open_track("bank-route", tracks)
    outcome = play(AlwaysLargest(), game_of(track))
    assert outcome.cost.mean() == pytest.approx(1.0)
    for unit, normaliser in track.normalisers.items():
        assert outcome.costs[unit].mean() == pytest.approx(normaliser)


def test_the_tracks_own_unit_comes_first(track):
    assert track.units[0] == "large_tokens"
    assert set(track.units) == set(track.normalisers)


@pytest.mark.parametrize("name", track_names())
def test_turns_are_held_by_the_tracks_that_rank_on_them(name):
    """A unit that is told where it is asked for leaves the manifests of all other tracks as they are."""
    frozen = open_track(name)
    assert ("large_calls" in frozen.normalisers) == (frozen.spec.cost_unit == "large_calls")


def test_texts_for_readers_are_not_part_of_the_fingerprint(track):
    assert measure(track.spec.model_copy(update={"title": "other"})).fingerprint == track.fingerprint
    assert measure(track.spec.model_copy(update={"mode": "escalate"})).fingerprint != track.fingerprint


def test_an_edited_track_is_refused(track, tmp_path):
    content = json.loads(track.model_dump_json())
    content["normalisers"]["flops"] *= 2
    (tmp_path / "bank-regenerate.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"fingerprint.*edited"):
        open_track("bank-regenerate", tmp_path)


@pytest.mark.parametrize("key", ["source", "prices_sha256", "normalisers"])
def test_a_track_on_another_bank_is_stale(track, tmp_path, key):
    """What a grown bank looks like: the file is sound, but was frozen on other content."""
    other = {
        "source": track.source.model_copy(update={"sha256": "0" * 64}),
        "prices_sha256": "0" * 64,
        "normalisers": {**track.normalisers, "flops": 1.0},
    }
    old = track.model_copy(update={key: other[key]})
    old = old.model_copy(update={"fingerprint": old.computed_fingerprint()})
    old.write(tmp_path / "bank-regenerate.json")
    with pytest.raises(StaleTrackError, match=f"{key} (was|were).*leaderboard refresh"):
        open_track("bank-regenerate", tmp_path)


def test_a_file_under_another_name(track, tmp_path):
    track.write(tmp_path / "other.json")
    with pytest.raises(ValueError, match="allowed: the file's own name"):
        open_track("other", tmp_path)


def test_a_simulator_draws_the_problems_that_the_track_asks_for(sample_track):
    assert sample_track.simulated
    assert sample_track.problems == len(source_of(sample_track).problems("test")) == 60


def test_a_bank_has_what_was_recorded(track):
    with pytest.raises(ValueError, match="sample=5 with bank"):
        measure(track.spec.model_copy(update={"sample": 5}))


def test_other_splits_keep_the_normalisation(track):
    game = game_of(track, split="calibration")
    assert game.normaliser == track.normalisers["large_tokens"]
    assert not set(game.problems.tolist()) & set(game_of(track).problems.tolist())


def test_a_track_is_equal_to_itself_in_json(track, tmp_path):
    track.write(tmp_path / "t.json")
    assert Track.read(tmp_path / "t.json") == track
    assert np.isfinite(list(track.normalisers.values())).all()
