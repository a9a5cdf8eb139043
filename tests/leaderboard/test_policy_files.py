"""Policies of a track in one file, found by name, and forgeries of such a file."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
from board_kit import ABOUT

from gym_stepwise_routing.game import GameConfig
from gym_stepwise_routing.leaderboard.entry import RouterRef
from gym_stepwise_routing.leaderboard.faults import EntryRejectedError
from gym_stepwise_routing.leaderboard.loading import TRAINED, check_files, describe_artefact, is_harmless, load_router
from gym_stepwise_routing.leaderboard.policy_files import policy_hashes, policy_names, put_policies
from gym_stepwise_routing.leaderboard.submit import make_entry
from gym_stepwise_routing.leaderboard.verify import verify_entry
from gym_stepwise_routing.storage.atomic import read_arrays


@pytest.fixture(scope="module")
def run(track, tmp_path_factory):
    """A short training's folder."""
    pytest.importorskip("stable_baselines3")
    from gym_stepwise_routing.agents.run_training import train_run
    from gym_stepwise_routing.agents.training import Hyperparameters

    folder, spec = tmp_path_factory.mktemp("runs") / "ppo-0", track.spec
    settings = Hyperparameters(n_envs=8, total_timesteps=64, penalty=0.3, algorithm={"n_steps": 8, "batch_size": 64})
    game = GameConfig(spec.source, mode=spec.mode, cost_unit=spec.cost_unit)
    train_run("ppo", folder, seed=0, game=game, settings=settings)
    return folder


@pytest.fixture
def policy(run):
    """The same as one set of arrays, its manifest among them."""
    with read_arrays(run / "router.npz", "policy network") as arrays:
        return {**arrays, "manifest": (run / "manifest.json").read_text()}


def reference(artefacts, name):
    return RouterRef(
        factory=TRAINED, artefact=describe_artefact(artefacts / "track.npz", artefacts, TRAINED, policy=name)
    )


def test_policies_come_and_go_and_the_others_stay(policy, artefacts):
    path = artefacts / "track.npz"
    assert policy_names(path) == ()
    put_policies(path, {"a-0": policy, "b-0": {**policy, "temperature": np.float64(2)}})
    before = policy_hashes(path, "a-0")
    assert set(before) == {"arrays", "manifest"}
    assert policy_hashes(path, "b-0")["manifest"] == before["manifest"]
    assert policy_hashes(path, "b-0")["arrays"] != before["arrays"]
    put_policies(path, {"a-1": policy}, drop={"b-0"})
    assert policy_names(path) == ("a-0", "a-1")
    assert policy_hashes(path, "a-0") == policy_hashes(path, "a-1") == before


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: arrays | {"dense0_bias": arrays["dense0_bias"] + 1e-9},
        lambda arrays: arrays | {"dense0_bias": arrays["dense0_bias"].astype(np.float32)},
        lambda arrays: arrays | {"dense0_weight": arrays["dense0_weight"].reshape(1, -1)},
        lambda arrays: {("dense0_more" if name == "dense0_bias" else name): a for name, a in arrays.items()},
        lambda arrays: arrays | {"more": np.zeros(1)},
    ],
)
def test_every_change_of_an_array_changes_the_hash(change, policy, artefacts):
    put_policies(artefacts / "track.npz", {"a-0": policy, "b-0": change(policy)})
    one, other = (policy_hashes(artefacts / "track.npz", name) for name in ("a-0", "b-0"))
    assert one["arrays"] != other["arrays"]


def test_a_policy_plays_like_the_folder_that_it_comes_from(run, policy, track, tracks, artefacts):
    put_policies(artefacts / "track.npz", {"ppo-0": policy, "ppo-1": {**policy, "temperature": np.float64(9)}})
    ref = reference(artefacts, "ppo-0")
    assert is_harmless(ref)
    assert (
        load_router(ref, artefacts, trust=False).manifest
        == load_router(
            RouterRef(factory=TRAINED, artefact=describe_artefact(run, run.parent, TRAINED)), run.parent, trust=False
        ).manifest
    )
    entry = make_entry(track, "mine", [ref], ABOUT, artefacts=artefacts)
    folder = RouterRef(factory=TRAINED, artefact=describe_artefact(run, run.parent, TRAINED))
    assert make_entry(track, "mine", [folder], ABOUT, artefacts=run.parent).figures == entry.figures
    assert verify_entry(entry, artefacts=artefacts, tracks=tracks).rerun == "done"
    put_policies(artefacts / "track.npz", {"other-0": policy}, drop={"ppo-1"})  # is none of this entry's business
    assert verify_entry(entry, artefacts=artefacts, tracks=tracks, run_again=False).rerun == "not asked"


def test_a_file_that_is_one_policy_needs_no_name(policy, track, tracks, artefacts):
    np.savez(artefacts / "mine.npz", **policy)
    ref = RouterRef(factory=TRAINED, artefact=describe_artefact(artefacts / "mine.npz", artefacts, TRAINED))
    assert list(ref.artefact.files) == ["."]
    entry = make_entry(track, "mine", [ref], ABOUT, artefacts=artefacts)
    assert verify_entry(entry, artefacts=artefacts, tracks=tracks).rerun == "done"


def test_a_changed_or_missing_policy_is_refused(policy, artefacts):
    path = artefacts / "track.npz"
    put_policies(path, {"ppo-0": policy, "ppo-1": policy})
    ref = reference(artefacts, "ppo-0")
    for changed, what in (
        ({**policy, "dense0_bias": policy["dense0_bias"] + 1}, "arrays"),
        ({**policy, "manifest": policy["manifest"].replace('"seed": 0', '"seed": 1')}, "manifest"),
        ({**policy, "trained_on": "{}"}, "trained_on"),
    ):
        put_policies(path, {"ppo-0": changed})
        with pytest.raises(EntryRejectedError, match=f"artefact: .*policy 'ppo-0': {what} is missing, new or changed"):
            check_files(ref, artefacts)
    put_policies(path, {}, drop={"ppo-0"})
    with pytest.raises(EntryRejectedError, match="has nothing named 'ppo-0/'"):
        check_files(ref, artefacts)


def test_the_same_weights_under_two_names_are_one_training(policy, track, tracks, artefacts):
    second = json.dumps({**json.loads(policy["manifest"]), "seed": 1})
    put_policies(artefacts / "track.npz", {"ppo-0": policy, "ppo-1": {**policy, "manifest": second}})
    one, other = (
        make_entry(track, "mine", [reference(artefacts, name)], ABOUT, artefacts=artefacts, seeds=[seed])
        for seed, name in enumerate(("ppo-0", "ppo-1"))
    )
    forged = one.model_copy(update={"runs": (*one.runs, *other.runs)})
    with pytest.raises(EntryRejectedError, match="two runs have the same weights"):
        verify_entry(forged, artefacts=artefacts, tracks=tracks, run_again=False)


@pytest.mark.parametrize(
    ("game", "message"),
    [
        ({"split": "test"}, "trained on the test split"),
        ({"source_hash": "0" * 64}, "provenance: .*made on"),
        ({"source": "gsm8k-qwen2.5-coder-v2"}, "provenance: .*is a former name"),
    ],
)
def test_what_the_manifest_says_counts(game, message, policy, track, tracks, artefacts):
    put_policies(artefacts / "track.npz", {"ppo-0": policy})
    entry = make_entry(track, "mine", [reference(artefacts, "ppo-0")], ABOUT, artefacts=artefacts)
    content = json.loads(policy["manifest"])
    content["game"] |= game
    put_policies(artefacts / "track.npz", {"ppo-0": {**policy, "manifest": json.dumps(content)}})
    run = entry.runs[0].model_copy(update={"router": reference(artefacts, "ppo-0")})
    with pytest.raises(EntryRejectedError, match=message):
        verify_entry(entry.model_copy(update={"runs": (run,)}), artefacts=artefacts, tracks=tracks, run_again=False)


def pickled(path):
    np.savez(path, **{"ppo-0/manifest": np.array([{"code": print}], dtype=object)})


def single_array(path):
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def damaged(path):
    np.savez_compressed(path, **{"ppo-0/weights": np.arange(1000)})
    content = bytearray(path.read_bytes())
    content[120:180] = bytes(60)
    path.write_bytes(content)


def text_in_it(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("ppo-0/weights", "{}")


@pytest.mark.parametrize("make", [pickled, single_array, damaged, text_in_it, lambda path: path.write_text("no zip")])
def test_files_that_hold_no_policies(make, policy, artefacts):
    """Nothing is unpickled, and whatever it is instead is one fault."""
    path = artefacts / "track.npz"
    put_policies(path, {"ppo-0": policy})
    ref = reference(artefacts, "ppo-0")
    make(path)
    with pytest.raises(EntryRejectedError, match="artefact: "):
        check_files(ref, artefacts)
    with pytest.raises(EntryRejectedError, match="artefact: "):
        load_router(ref, artefacts, trust=False)
