"""Ways to tamper with an entry's file, each refused with its reason; and what only a re-run can find."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from board_kit import ABOUT
from forgeries import REJECTED_WITHOUT_THE_ROUTER, flipped

from gym_stepwise_routing.baselines import oracle_paths
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.leaderboard.encoding import decisions_from_text, decisions_to_text
from gym_stepwise_routing.leaderboard.entry import Entry, RouterRef, SweepRecord
from gym_stepwise_routing.leaderboard.entry_figures import compute_figures, play_constants
from gym_stepwise_routing.leaderboard.faults import EntryRejectedError
from gym_stepwise_routing.leaderboard.playing import PlayedRouter, play_on
from gym_stepwise_routing.leaderboard.submit import ledger_totals, make_entry
from gym_stepwise_routing.leaderboard.track import game_of
from gym_stepwise_routing.leaderboard.verify import verify, verify_entry
from gym_stepwise_routing.routers.base import Replay


def write(folder, content, name="honest", track="bank-regenerate"):
    path = folder / track / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def refused(path, tracks, artefacts, **options):
    with pytest.raises(EntryRejectedError) as caught:
        verify(path, artefacts=artefacts, tracks=tracks, **options)
    return {fault.code for fault in caught.value.faults}, str(caught.value)


def test_the_honest_entry_is_verified(honest, tracks, artefacts, tmp_path):
    path = write(tmp_path, json.loads(honest.model_dump_json()))
    verdict = verify(path, artefacts=artefacts, tracks=tracks)
    assert verdict.rerun == "done"
    assert verdict.entry == honest
    assert verdict.runs[0].outcome.accuracy == pytest.approx(honest.figures.accuracy.value)


@pytest.mark.parametrize("forge", REJECTED_WITHOUT_THE_ROUTER, ids=lambda forge: forge.__name__)
def test_forged_files_are_refused_with_the_reason(forge, honest, tracks, artefacts, tmp_path):
    content = json.loads(honest.model_dump_json())
    forge(content)
    path = write(tmp_path, content, name=content["name"], track=content["played"]["track"])
    expected, message = REJECTED_WITHOUT_THE_ROUTER[forge]
    codes, text = refused(path, tracks, artefacts, run_again=False)
    assert expected in codes
    assert re.search(message, text), text


def test_a_file_in_another_place(honest, tracks, artefacts, tmp_path):
    codes, text = refused(write(tmp_path, json.loads(honest.model_dump_json()), name="other"), tracks, artefacts)
    assert codes == {"place"}
    assert "belongs in bank-regenerate/honest.json" in text


def test_a_masked_decision(tracks, artefacts, tmp_path):
    """Back to the smaller model in escalate."""
    from gym_stepwise_routing.leaderboard.track import Track, TrackSpec, measure

    spec = Track.read(tracks / "bank-route.json").spec
    track = measure(TrackSpec(**{**spec.model_dump(), "name": "escalate", "mode": "escalate"}))
    track.write(tmp_path / "tracks" / "escalate.json")
    ref = RouterRef(factory="gym_stepwise_routing.baselines:AlwaysLargest")
    content = json.loads(make_entry(track, "climber", [ref], ABOUT, artefacts=artefacts).model_dump_json())
    row = next(i for i, text in enumerate(content["runs"][0]["decisions"]) if len(text) > 2)
    decisions = content["runs"][0]["decisions"][row]
    content["runs"][0]["decisions"][row] = decisions[0] + "0" + decisions[2:]
    codes, text = refused(write(tmp_path, content, "climber", "escalate"), tmp_path / "tracks", artefacts)
    assert codes == {"decisions"}
    assert "action=0 is masked at step 1" in text


def consistent(track, entry: Entry, decisions: np.ndarray) -> Entry:
    """The entry with other decisions, and every figure made to fit: the best that a forger can do."""
    outcome = play_on(track, Replay(decisions), game_of(track))
    run = entry.runs[0].model_copy(
        update={
            "decisions": tuple(decisions_to_text(outcome.decisions)),
            "ledger": ledger_totals(track, outcome),
            "threshold": None,
            "sweep": None,
        }
    )
    figures = compute_figures(track, entry.name, [PlayedRouter(outcome, None, (), ())], play_constants(track))
    return entry.model_copy(update={"runs": (run,), "figures": figures, "selection": None})


def test_choices_revised_after_the_outcomes_were_known(track, tracks, honest, artefacts):
    """All figures fit the decisions, so only the router can tell that they are not its own."""
    forged = consistent(track, honest, oracle_paths(game_of(track)).decisions)
    assert verify_entry(forged, artefacts=artefacts, tracks=tracks, run_again=False).rerun == "not asked"
    with pytest.raises(EntryRejectedError, match="rerun: the router decides otherwise on"):
        verify_entry(forged, artefacts=artefacts, tracks=tracks)


def test_one_decision_revised(track, tracks, honest, artefacts):
    decisions = decisions_from_text(flipped(list(honest.runs[0].decisions), 3), 5, 2)
    outcome = play_on(track, Replay(decisions), game_of(track))
    with pytest.raises(EntryRejectedError, match="decides otherwise on"):
        verify_entry(consistent(track, honest, outcome.decisions), artefacts=artefacts, tracks=tracks)


def test_a_threshold_that_the_calibration_split_does_not_choose(track, tracks, honest, artefacts):
    run = honest.runs[0]
    other = next(t for t in run.sweep.thresholds if abs(t - run.threshold) > 0.05 and t > 0)
    ref = run.router.model_copy(update={"kwargs": {"figure": "entropy_mean", "threshold": other}})
    made = make_entry(track, "honest", [ref], ABOUT, artefacts=artefacts)
    forged = made.model_copy(
        update={"selection": honest.selection, "runs": (made.runs[0].model_copy(update={"threshold": other}),)}
    )
    with pytest.raises(EntryRejectedError, match=r"rerun|selection"):
        verify_entry(forged, artefacts=artefacts, tracks=tracks)


def test_a_sweep_left_out_or_on_thresholds_of_ones_own(track, tracks, honest, artefacts):
    """The grid comes from the train split, so that nobody picks it for the test split."""
    run = honest.runs[0]
    keep = [0, run.sweep.thresholds.index(run.threshold), len(run.sweep.thresholds) - 1]
    from gym_stepwise_routing.leaderboard.encoding import pack, unpack

    points = unpack(run.sweep.decisions, (len(run.sweep.thresholds), len(run.decisions), 5))[keep]
    short = SweepRecord(thresholds=tuple(run.sweep.thresholds[i] for i in keep), decisions=pack(points))
    outcomes = [play_on(track, Replay(decisions), game_of(track)) for decisions in points]
    own = play_on(track, Replay(decisions_from_text(run.decisions, 5, 2)), game_of(track))
    played = PlayedRouter(own, run.threshold, short.thresholds, tuple(outcomes))
    forged = honest.model_copy(
        update={
            "runs": (run.model_copy(update={"sweep": short}),),
            "figures": compute_figures(track, honest.name, [played], play_constants(track)),
        }
    )
    verify_entry(forged, artefacts=artefacts, tracks=tracks, run_again=False)
    with pytest.raises(EntryRejectedError, match="thresholds of the sweep are not those"):
        verify_entry(forged, artefacts=artefacts, tracks=tracks)


def test_the_oracle_is_no_router(track, tracks, honest, artefacts):
    """Loaded by nobody and played by the board itself, it would be right about itself, with no need of trust."""
    ref = RouterRef(factory="gym_stepwise_routing.baselines:oracle")
    with pytest.raises(ValueError, match=r"kind='router' with .*oracle; allowed: 'bound'"):
        make_entry(track, "mine", [ref], ABOUT, artefacts=artefacts)
    best = consistent(track, honest, oracle_paths(game_of(track)).decisions)
    forged = best.model_copy(update={"runs": (best.runs[0].model_copy(update={"router": ref}),)})
    with pytest.raises(EntryRejectedError, match=r"reference: .*sees the answers"):
        verify_entry(forged, artefacts=artefacts, tracks=tracks)


@pytest.fixture(scope="module")
def trained(track, tmp_path_factory):
    """Two short trainings and the entry made of them."""
    pytest.importorskip("stable_baselines3")
    from gym_stepwise_routing.agents.run_training import train_run
    from gym_stepwise_routing.agents.training import Hyperparameters
    from gym_stepwise_routing.leaderboard.loading import reference_of

    folder, spec = tmp_path_factory.mktemp("artefacts"), track.spec
    settings = Hyperparameters(n_envs=8, total_timesteps=64, penalty=0.3, algorithm={"n_steps": 8, "batch_size": 64})
    game = GameConfig(spec.source, mode=spec.mode, cost_unit=spec.cost_unit)
    for seed in (0, 1):
        train_run("ppo", folder / f"ppo-{seed}", seed=seed, game=game, settings=settings)
    refs = [reference_of(str(folder / f"ppo-{seed}"), {}, folder) for seed in (0, 1)]
    return folder, make_entry(track, "two-trainings", refs, ABOUT, artefacts=folder)


def test_seeds_are_those_of_the_trainings(trained, tracks):
    folder, entry = trained
    assert verify_entry(entry, artefacts=folder, tracks=tracks, run_again=False).rerun == "not asked"
    runs = tuple(run.model_copy(update={"seed": run.seed + 5}) for run in entry.runs)
    with pytest.raises(EntryRejectedError, match=r"runs.0: seed=5; its manifest says 0"):
        verify_entry(entry.model_copy(update={"runs": runs}), artefacts=folder, tracks=tracks, run_again=False)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("split", "test", "trained on the test split"),
        ("source_hash", "0" * 64, "provenance: .*made on"),
        ("cost_unit", "flops", "cost_unit='large_tokens'"),
        ("split_hash", "0" * 64, "provenance: .*trained on split_hash='000.*, of the train split"),
        ("problems", 10_000, r"provenance: .*trained on problems=10000; allowed: 1 to \d+, of the train split"),
    ],
)
def test_trained_elsewhere(trained, track, tracks, key, value, message):
    """The manifest says on what: another split, another state of the bank, another unit."""
    from gym_stepwise_routing.leaderboard.loading import reference_of

    folder, entry = trained
    path = folder / "ppo-0" / "manifest.json"
    before = path.read_text()
    content = json.loads(before)
    content["game"][key] = value
    try:
        path.write_text(json.dumps(content))
        runs = (entry.runs[0].model_copy(update={"router": reference_of(str(path.parent), {}, folder)}), entry.runs[1])
        with pytest.raises(EntryRejectedError, match=message):
            verify_entry(entry.model_copy(update={"runs": runs}), artefacts=folder, tracks=tracks, run_again=False)
    finally:
        path.write_text(before)


def test_copied_weights_are_no_second_training(trained, tracks):
    import shutil

    from gym_stepwise_routing.leaderboard.loading import reference_of

    folder, entry = trained
    shutil.copytree(folder / "ppo-0", folder / "ppo-7")
    manifest = json.loads((folder / "ppo-7" / "manifest.json").read_text())
    (folder / "ppo-7" / "manifest.json").write_text(json.dumps({**manifest, "seed": 1}))
    copied = entry.runs[0].model_copy(update={"seed": 1, "router": reference_of(str(folder / "ppo-7"), {}, folder)})
    forged = entry.model_copy(update={"runs": (entry.runs[0], copied)})
    with pytest.raises(EntryRejectedError, match="two runs have the same weights"):
        verify_entry(forged, artefacts=folder, tracks=tracks, run_again=False)


def noisy(path, noise, order):
    """The weights of a training with noise, and its hidden units in another order, of other signs."""
    rng = np.random.default_rng(7)
    with np.load(path) as stored:
        arrays = dict(stored)
    for name, array in arrays.items():
        if array.ndim == 2:
            arrays[name] = array * (1 + noise * rng.standard_normal(array.shape))
    if order:
        units = rng.permutation(len(arrays["dense0_weight"]))
        arrays["dense0_weight"] = -arrays["dense0_weight"][units]
    np.savez(path, **arrays)


@pytest.mark.parametrize("order", [False, True], ids=["plain", "other units"])
def test_one_training_with_noise_is_no_second_one(trained, tracks, tmp_path, order):
    """Three seeds that are one training with 0.1 % of noise would make its interval look narrow."""
    import shutil

    from gym_stepwise_routing.leaderboard.loading import reference_of

    folder, entry = trained
    shutil.copytree(folder / "ppo-0", tmp_path / "ppo-0")
    shutil.copytree(folder / "ppo-0", tmp_path / "ppo-1")
    noisy(tmp_path / "ppo-1" / "router.npz", 0.001, order)
    manifest = json.loads((tmp_path / "ppo-1" / "manifest.json").read_text())
    (tmp_path / "ppo-1" / "manifest.json").write_text(json.dumps({**manifest, "seed": 1}))
    refs = [reference_of(str(tmp_path / f"ppo-{seed}"), {}, tmp_path) for seed in (0, 1)]
    runs = tuple(run.model_copy(update={"router": ref}) for run, ref in zip(entry.runs, refs, strict=True))
    with pytest.raises(
        EntryRejectedError, match=r"runs: runs\.0 and runs\.1 have the same weights in .*dense.* but for"
    ):
        verify_entry(entry.model_copy(update={"runs": runs}), artefacts=tmp_path, tracks=tracks, run_again=False)
    verify_entry(entry, artefacts=folder, tracks=tracks, run_again=False)  # two trainings are two


@pytest.fixture(scope="module")
def calibrated(track, tmp_path_factory):
    """A policy of Stable-Baselines3, calibrated, and the entry made of it."""
    stable_baselines3 = pytest.importorskip("stable_baselines3")
    from gym_stepwise_routing.calibration import RelativeAccuracy, calibrate, save_calibrated
    from gym_stepwise_routing.envs.sb3 import RoutingVecEnv
    from gym_stepwise_routing.game.game import Game
    from gym_stepwise_routing.leaderboard.loading import reference_of

    folder, spec = tmp_path_factory.mktemp("artefacts"), track.spec
    game = {"mode": spec.mode, "cost_unit": spec.cost_unit, "normaliser": track.normalisers[spec.cost_unit]}
    model = stable_baselines3.PPO("MlpPolicy", RoutingVecEnv(8, source=spec.source, **game), seed=0, device="cpu")
    bank = Game(spec.source, split="calibration", **game)
    save_calibrated(calibrate(model, bank, target=RelativeAccuracy(0.5), method="empirical"), folder / "calibrated")
    ref = reference_of(str(folder / "calibrated"), {}, folder)
    return folder, make_entry(track, "calibrated", [ref], ABOUT, artefacts=folder)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({}, None),
        ({"split": "test"}, "provenance: .*trained on the test split"),
        ({"source_hash": "0" * 64}, "provenance: .*made on"),
        ({"split_hash": "0" * 64}, "provenance: .*trained on split_hash="),
        (None, "provenance: .*do not say what the policy was trained on"),
    ],
    ids=["train", "test", "another bank", "another split", "nothing"],
)
def test_a_calibrated_policy_says_what_it_was_trained_on(calibrated, tracks, told, message):
    from gym_stepwise_routing.leaderboard.loading import reference_of

    folder, entry = calibrated
    path = folder / "calibrated" / "trained_on.json"
    before = path.read_text()
    try:
        if told is None:
            path.unlink()
        else:
            path.write_text(json.dumps({**json.loads(before), **told}))
        router = reference_of(str(path.parent), {}, folder)
        entry = entry.model_copy(update={"runs": (entry.runs[0].model_copy(update={"router": router}),)})
        if message is None:
            assert verify_entry(entry, artefacts=folder, tracks=tracks).rerun == "done"
        else:
            with pytest.raises(EntryRejectedError, match=message):
                verify_entry(entry, artefacts=folder, tracks=tracks, run_again=False)
    finally:
        path.write_text(before)
