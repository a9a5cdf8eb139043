"""Whoever uses the name that a bank or a track once had is told the new one."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from gym_stepwise_routing.banks import BANKS, Bank
from gym_stepwise_routing.errors import BankError
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.leaderboard.track import open_track, track_names
from gym_stepwise_routing.routers.provenance import GameDescription
from gym_stepwise_routing.sources import resolve
from gym_stepwise_routing.storage.former_names import FORMER_NAMES

NOW = {name: now for name, now in FORMER_NAMES.items() if now in BANKS}
TRACKS = {name: now for name, now in FORMER_NAMES.items() if now in track_names()}
OLD = "gsm8k-qwen2.5-coder-v2"


def test_every_former_name_leads_to_something_that_is_there():
    assert NOW | TRACKS == FORMER_NAMES
    assert not FORMER_NAMES.keys() & {*BANKS, *track_names()}


@pytest.mark.parametrize(("name", "now"), NOW.items())
def test_a_bank(name, now, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()  # a folder of that name changes nothing
    with pytest.raises(ValueError, match=f"source='{name}' is a former name; it is '{now}' now"):
        resolve(name)
    with pytest.raises(BankError, match=f"bank='{name}' is a former name; it is '{now}' now"):
        Bank.open(name)
    with pytest.raises(BankError, match=r"bank\.json"):
        Bank.open(f"./{name}")  # a path is no name


@pytest.mark.parametrize(("name", "now"), TRACKS.items())
def test_a_track(name, now):
    with pytest.raises(ValueError, match=f"track='{name}' is a former name; it is '{now}' now"):
        open_track(name)


def test_a_run_and_what_was_calibrated(tmp_path):
    from gym_stepwise_routing.agents.runs import FORMAT, RunManifest
    from gym_stepwise_routing.baselines import ConfidenceThreshold
    from gym_stepwise_routing.calibration import RelativeAccuracy, calibrate, load_calibrated, save_calibrated

    description = GameDescription.of(Game("math500-qwen2.5-coder", split="calibration", mode="escalate"))
    told = dict.fromkeys(RunManifest.__slots__) | {"format": FORMAT}
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps(told | {"game": asdict(replace(description, source=OLD))}))
    message = (
        rf"manifest\.json: source='{OLD}' is a former name; it is 'gsm8k-qwen2\.5-coder' now, with another content"
    )
    with pytest.raises(ValueError, match=message):
        RunManifest.load(manifest)
    folder = tmp_path / "calibrated"
    rule = calibrate(
        ConfidenceThreshold("p_min"), "math500-qwen2.5-coder", target=RelativeAccuracy(0.5), mode="escalate"
    )
    save_calibrated(rule, folder)
    game = json.loads((folder / "game.json").read_text())
    (folder / "game.json").write_text(json.dumps(game | {"source": "math500-qwen2.5-coder-v2"}))
    with pytest.raises(ValueError, match=r"game\.json: source='math500-qwen2\.5-coder-v2' is a former name"):
        load_calibrated(folder)


def test_a_run_on_the_earlier_bank_of_the_same_name_is_told_by_its_content():
    game = Game("gsm8k-qwen2.5-coder", split="calibration")
    earlier = replace(GameDescription.of(game), source_hash="e9dac8e56ff1" + 52 * "0")
    message = (
        r"source='gsm8k-qwen2\.5-coder' \(content eef74b88420e\); allowed with router 'ppo': "
        r"'gsm8k-qwen2\.5-coder' \(content e9dac8e56ff1\), which it was made on"
    )
    with pytest.raises(ValueError, match=message):
        earlier.check_game(game, "router 'ppo'")
