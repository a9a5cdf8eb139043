from __future__ import annotations

import sys

import pytest
from board_kit import ABOUT

from gym_stepwise_routing.baselines import FirstKLarge
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.leaderboard.entry import RouterRef
from gym_stepwise_routing.leaderboard.faults import EntryRejectedError, UntrustedError
from gym_stepwise_routing.leaderboard.loading import (
    TRAINED,
    describe_artefact,
    is_harmless,
    load_router,
    reference_of,
    with_code,
)
from gym_stepwise_routing.leaderboard.submit import make_entry
from gym_stepwise_routing.leaderboard.verify import verify_entry

FOREIGN = """
from pathlib import Path
import numpy as np

Path({marker!r}).touch()

class Foreign:
    def __init__(self, path=None):
        self.path = path
    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        return np.ones(len(observation), dtype=np.int64), state

def broken():
    raise RuntimeError("no network")

not_a_router = dict
"""


@pytest.fixture
def foreign(tmp_path, monkeypatch):
    """A module of unknown origin; the file tells whether its code has run."""
    marker = tmp_path / "it-ran"
    (tmp_path / "foreign_router.py").write_text(FOREIGN.format(marker=str(marker)))
    monkeypatch.chdir(tmp_path)
    yield marker
    sys.modules.pop("foreign_router", None)


def test_baselines_need_no_trust(artefacts):
    ref = RouterRef(factory="gym_stepwise_routing.baselines.schedules:FirstKLarge", kwargs={"k": 2})
    router = load_router(ref, artefacts, trust=False)
    assert isinstance(router, FirstKLarge)
    assert router.k == 2


@pytest.mark.parametrize(
    "factory",
    [
        "os:system",
        "gym_stepwise_routing.banks:Bank",
        "gym_stepwise_routing.baselines:oracle",
        "gym_stepwise_routing.baselines.schedules:np",
        "gym_stepwise_routing.leaderboard.loading:sb3",
        "gym_stepwise_routing.agents.run_training:load_model",
        "gym_stepwise_routing.baselinesx:Router",
    ],
)
def test_everything_else_does(factory, artefacts):
    ref = RouterRef(factory=factory)
    assert not is_harmless(ref)
    with pytest.raises(UntrustedError, match="--trust"):
        load_router(ref, artefacts, trust=False)


def test_foreign_code_does_not_run_without_trust(foreign, track, tracks, artefacts):
    ref = RouterRef(factory="foreign_router:Foreign")
    with pytest.raises(UntrustedError):
        make_entry(track, "foreign", [ref], ABOUT, artefacts=artefacts)
    assert not foreign.exists()
    entry = make_entry(track, "foreign", [ref], ABOUT, artefacts=artefacts, trust=True)
    assert foreign.exists()
    foreign.unlink()
    sys.modules.pop("foreign_router")
    assert verify_entry(entry, artefacts=artefacts, tracks=tracks).rerun == "not trusted"
    assert not foreign.exists()
    assert verify_entry(entry, artefacts=artefacts, tracks=tracks, trust=True).rerun == "done"
    assert foreign.exists()


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("foreign_router:broken", "RuntimeError: no network"),
        ("foreign_router:not_a_router", "makes a dict; allowed: an object with predict"),
        ("foreign_router:absent", "AttributeError"),
        ("no_such_module:Router", "ModuleNotFoundError"),
    ],
)
@pytest.mark.usefixtures("foreign")
def test_factories_that_make_no_router(factory, message, artefacts):
    with pytest.raises(EntryRejectedError, match=f"artefact.*{message}"):
        load_router(with_code(RouterRef(factory=factory)), artefacts, trust=True)


@pytest.mark.usefixtures("foreign")
def test_a_changed_artefact_is_refused(artefacts):
    folder = artefacts / "mine"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(b"1")
    ref = with_code(RouterRef(factory="foreign_router:Foreign", artefact=describe_artefact(folder, artefacts)))
    assert load_router(ref, artefacts, trust=True).path == folder
    for change in (lambda: (folder / "weights.bin").write_bytes(b"2"), lambda: (folder / "more.bin").write_bytes(b"3")):
        change()
        with pytest.raises(EntryRejectedError, match=r"artefact.*(weights|more)\.bin is missing, new or changed"):
            load_router(ref, artefacts, trust=True)
        (folder / "weights.bin").write_bytes(b"1")
    (folder / "more.bin").unlink()
    (folder / "weights.bin").unlink()
    with pytest.raises(EntryRejectedError, match=r"weights\.bin is missing"):
        load_router(ref, artefacts, trust=True)


def test_artefacts_lie_in_their_folder(tmp_path, artefacts):
    (tmp_path / "elsewhere.zip").write_bytes(b"x")
    with pytest.raises(ValueError, match="lies outside"):
        reference_of(str(tmp_path / "elsewhere.zip"), {"algorithm": "stable_baselines3:PPO"}, artefacts)
    (artefacts / "a.bin").write_bytes(b"x")
    with pytest.raises(ValueError, match="allowed: module:factory"):
        reference_of(str(artefacts / "a.bin"), {}, artefacts)


def test_a_model_of_stable_baselines3(track, tracks, artefacts):
    """Its zip file holds pickles: loaded with trust, and only then."""
    sb3 = pytest.importorskip("stable_baselines3")
    from gym_stepwise_routing.envs.sb3 import RoutingVecEnv

    spec = track.spec
    env = RoutingVecEnv(2, source=spec.source, mode=spec.mode, cost_unit=spec.cost_unit, masked_action="project")
    sb3.PPO("MlpPolicy", env, seed=1, device="cpu", policy_kwargs={"net_arch": [4]}).save(artefacts / "ppo.zip")
    ref = reference_of(str(artefacts / "ppo.zip"), {"algorithm": "stable_baselines3:PPO"}, artefacts)
    with pytest.raises(UntrustedError):
        make_entry(track, "my-ppo", [ref], ABOUT, artefacts=artefacts)
    entry = make_entry(track, "my-ppo", [ref], ABOUT, artefacts=artefacts, trust=True)
    assert verify_entry(entry, artefacts=artefacts, tracks=tracks).rerun == "not trusted"
    assert verify_entry(entry, artefacts=artefacts, tracks=tracks, trust=True).rerun == "done"


def test_a_trained_agent_needs_no_trust(track, tracks, artefacts):
    """A folder of `stepwise-routing train` holds arrays; the pickle beside them is left out."""
    pytest.importorskip("stable_baselines3")
    from gym_stepwise_routing.agents.run_training import train_run
    from gym_stepwise_routing.agents.training import Hyperparameters

    spec = track.spec
    settings = Hyperparameters(n_envs=8, total_timesteps=64, penalty=0.3, algorithm={"n_steps": 8, "batch_size": 64})
    game = GameConfig(spec.source, mode=spec.mode, cost_unit=spec.cost_unit)
    train_run("ppo", artefacts / "ppo-0", seed=0, game=game, settings=settings)
    ref = reference_of(str(artefacts / "ppo-0"), {}, artefacts)
    assert sorted(ref.artefact.files) == ["manifest.json", "router.npz"]
    entry = make_entry(track, "my-ppo", [ref], ABOUT, artefacts=artefacts)
    (artefacts / "ppo-0" / "model.zip").unlink()
    assert verify_entry(entry, artefacts=artefacts, tracks=tracks).rerun == "done"
    assert len(entry.runs[0].sweep.thresholds) > 2


def test_code_of_ones_own_is_known_by_its_hash(foreign, track, tracks, artefacts, tmp_path):
    """Even without trust, and without running any of it."""
    entry = make_entry(
        track, "foreign", [RouterRef(factory="foreign_router:Foreign")], ABOUT, artefacts=artefacts, trust=True
    )
    assert entry.runs[0].router.code_sha256
    foreign.unlink()
    options = {"artefacts": artefacts, "tracks": tracks, "run_again": False}
    verify_entry(entry, **options)
    (tmp_path / "foreign_router.py").write_text(FOREIGN.format(marker=str(foreign)) + "# other code")
    with pytest.raises(EntryRejectedError, match="artefact: foreign_router:Foreign: its module is"):
        verify_entry(entry, **options)
    (tmp_path / "foreign_router.py").unlink()
    with pytest.raises(EntryRejectedError, match="its module is not here"):
        verify_entry(entry, **options)
    assert not foreign.exists()


@pytest.mark.usefixtures("foreign")
def test_changed_files_are_seen_without_trust_and_without_a_rerun(track, tracks, artefacts):
    (artefacts / "weights.bin").write_bytes(b"1")
    ref = RouterRef(factory="foreign_router:Foreign", artefact=describe_artefact(artefacts / "weights.bin", artefacts))
    entry = make_entry(track, "foreign", [ref], ABOUT, artefacts=artefacts, trust=True)
    (artefacts / "weights.bin").write_bytes(b"2")
    for run_again in (False, True):
        with pytest.raises(EntryRejectedError, match="is missing, new or changed"):
            verify_entry(entry, artefacts=artefacts, tracks=tracks, run_again=run_again)


def test_links_out_of_the_folder_are_refused(tmp_path, artefacts):
    (tmp_path / "elsewhere.bin").write_bytes(b"x")
    (artefacts / "mine").mkdir()
    (artefacts / "mine" / "weights.bin").symlink_to(tmp_path / "elsewhere.bin")
    with pytest.raises(ValueError, match="is a link"):
        describe_artefact(artefacts / "mine", artefacts)
    (artefacts / "whole").mkdir()
    (artefacts / "whole" / "weights.bin").write_bytes(b"x")
    (artefacts / "again").symlink_to(artefacts / "whole")
    with pytest.raises(ValueError, match="again is a link"):
        describe_artefact(artefacts / "again" / "weights.bin", artefacts)


def test_only_training_runs_leave_out_their_model(artefacts):
    (artefacts / "mine").mkdir()
    for name in ("model.zip", "router.npz"):
        (artefacts / "mine" / name).write_bytes(b"x")
    assert sorted(describe_artefact(artefacts / "mine", artefacts, "my_router:make").files) == [
        "model.zip",
        "router.npz",
    ]
    assert sorted(describe_artefact(artefacts / "mine", artefacts, TRAINED).files) == ["router.npz"]


def test_a_file_in_the_working_directory_is_no_library(tmp_path, monkeypatch, artefacts):
    """`sklearn.py` beside the entries would run whenever a baseline is fitted."""
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    load_router(RouterRef(factory="gym_stepwise_routing.baselines:AlwaysLargest"), artefacts, trust=False)
    assert sys.path == before
    (tmp_path / "json.py").write_text("raise RuntimeError('planted')")
    (tmp_path / "own_router.py").write_text(
        "import json\nfrom gym_stepwise_routing.baselines import AlwaysLargest as Own"
    )
    load_router(with_code(RouterRef(factory="own_router:Own")), artefacts, trust=True)
    sys.modules.pop("own_router")
    assert sys.path == before


ENDING = """
import os, sys
from gym_stepwise_routing.baselines import AlwaysLargest

class Ends(AlwaysLargest):
    def predict(self, *args, **kwargs):
        if os.environ.get("END"):
            {end}
        return super().predict(*args, **kwargs)
"""


@pytest.mark.parametrize("end", ["sys.exit(0)", "os._exit(0)", "raise BaseException('enough')"])
def test_a_router_that_ends_the_process_is_rejected(end, track, tracks, artefacts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ending.py").write_text(ENDING.format(end=end))
    entry = make_entry(track, "ends", [RouterRef(factory="ending:Ends")], ABOUT, artefacts=artefacts, trust=True)
    sys.modules.pop("ending")
    monkeypatch.setenv("END", "1")
    with pytest.raises(EntryRejectedError, match=r"rerun: .*(without a verdict|SystemExit|BaseException)"):
        verify_entry(entry, artefacts=artefacts, tracks=tracks, trust=True)
