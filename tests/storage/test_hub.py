"""Banks and routers on a fake of the Hugging Face hub: pushed, pulled, from the cache, and what is refused."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict

import gymnasium as gym
import numpy as np
import pytest
from bank_files import few_problems
from fake_hub import FakeHub
from typer.testing import CliRunner

import gym_stepwise_routing  # noqa: F401
from gym_stepwise_routing.agents.runs import load_run
from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.banks.hub_banks import push_bank
from gym_stepwise_routing.calibration import CalibratedRouter, RelativeAccuracy, calibrate, save_calibrated
from gym_stepwise_routing.calibration.hub_routers import push_router
from gym_stepwise_routing.calibration.router_files import load_router, play_arguments
from gym_stepwise_routing.cli.app import app
from gym_stepwise_routing.errors import BankError, HubError
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.storage.hugging_face import Reference

constants = pytest.importorskip("huggingface_hub.constants", reason="needs the extra hub")
from huggingface_hub.utils import enable_progress_bars  # noqa: E402

BANK, ROUTER = "datasets/lab/traces", "models/lab/router"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    server = FakeHub()
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", None)
    enable_progress_bars()  # as for a user; other tests of the process may have turned them off
    monkeypatch.setenv("HF_TOKEN", "hf_fake")
    yield server
    server.close()


@pytest.fixture(scope="module")
def banks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("banks")
    return [Bank.open(few_problems(folder / str(n), train=3, calibration=3, test=n)) for n in (4, 5)]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory, repository):
    """A run as `train` leaves it."""
    folder = tmp_path_factory.mktemp("run")
    router = load_run(repository / "leaderboard" / "artefacts" / "gsm8k-regenerate.npz", "ppo-0")
    (folder / "manifest.json").write_text(json.dumps(asdict(router.manifest)))
    router.network.save(folder / "router.npz")
    (folder / "model.zip").write_bytes(b"pickles")
    return folder


def command(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_bank_goes_there_and_comes_back(hub, banks, tmp_path):
    pushed = command("bank", "push", banks[0].path, "lab/traces")
    assert pushed.exit_code == 0, pushed.output
    assert set(hub.files(BANK)) == {"README.md", "bank.json", "problems.parquet", "nodes.parquet", "texts.parquet"}
    commit = hub.refs[BANK]["main"]
    pinned = f"hf://lab/traces@{commit}#{banks[0].hash[:12]}"
    assert pinned in pushed.stdout
    pulled = command("bank", "pull", "lab/traces", "--out", tmp_path / "mine")
    assert pulled.exit_code == 0, pulled.output
    assert pinned in pulled.stdout
    for opened in (Bank.open(tmp_path / "mine"), Bank.open("hf://lab/traces"), Bank.open(pinned)):
        assert opened.hash == banks[0].hash
        assert opened.text(opened.child[0, 0]) == banks[0].text(banks[0].child[0, 0])


def test_the_card_says_what_the_bank_is(hub, banks):
    push_bank(banks[0], "lab/traces")
    card = hub.files(BANK)["README.md"].decode()
    header = card.split("---")[1]
    assert f"license_name: {banks[0].manifest.licence}" in header
    assert "- recorded" in header
    for told in (banks[0].hash, 'source="hf://lab/traces"', "train 3, calibration 3, test 4", banks[0].pool.names[0]):
        assert told in card


def test_an_environment_plays_it_and_the_cache_needs_no_network(hub, banks):
    push_bank(banks[0], "lab/traces")
    env = gym.make("StepwiseRouting-v0", source="hf://lab/traces", mode="route", cost_unit="large_tokens")
    first, _ = env.reset(seed=1)
    assert env.unwrapped.game.source.bank.hash == banks[0].hash
    hub.close()
    again = gym.make("StepwiseRouting-v0", source="hf://lab/traces", mode="route", cost_unit="large_tokens")
    assert again.reset(seed=1)[0].tolist() == first.tolist()
    with pytest.raises(HubError, match="hf://lab/elsewhere is not in the cache, and the hub cannot be reached"):
        Bank.open("hf://lab/elsewhere")


def test_a_second_look_downloads_nothing(hub, banks):
    pinned = push_bank(banks[0], "lab/traces")
    Bank.open(str(pinned))
    before = len(hub.requests)
    Bank.open(str(pinned))
    assert hub.requests[before:] == []


def test_a_changed_revision_is_told(hub, banks):
    told = push_bank(banks[0], "lab/traces")
    push_bank(banks[1], "lab/traces")
    moved = f"hf://lab/traces@main#{told.content}"
    with pytest.raises(
        HubError, match=rf"{moved}: the content hash there is {banks[1].hash[:12]}; allowed: {told.content}"
    ):
        Bank.open(moved)
    assert Bank.open(str(told)).hash == banks[0].hash  # the commit is still what it was
    with pytest.raises(HubError, match="hf://lab/traces@gone: the repository has no such revision"):
        Bank.open("hf://lab/traces@gone")


def test_a_changed_file_is_told(hub, banks):
    push_bank(banks[0], "lab/traces")
    files = dict(hub.files(BANK))
    hub.commit(BANK, files | {"nodes.parquet": files["nodes.parquet"][:-1] + b"?"})
    with pytest.raises(BankError, match=r"nodes\.parquet.*sha256"):
        Bank.open("hf://lab/traces")


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("lab/pictures", "hf://lab/pictures: the repository has no bank.json; allowed: one that `push` wrote"),
        ("lab/missing", "hf://lab/missing: no such dataset repository, or a private one (HTTP 404)"),
        ("lab/gated401", "hf://lab/gated401 is gated, and access was not granted (HTTP 401); allowed: with HF_TOKEN"),
        ("lab/gated403", "hf://lab/gated403 is gated, and access was not granted (HTTP 403); allowed: with HF_TOKEN"),
    ],
)
def test_what_is_no_bank_or_not_to_be_had_is_one_line(reference, words, hub, caplog):
    for name in ("pictures", "gated401", "gated403"):
        hub.commit(
            f"datasets/lab/{name}", {"README.md": b"# Pictures", "bank.json": b"{}"} if name != "pictures" else {}
        )
    hub.gated = {"datasets/lab/gated401": 401, "datasets/lab/gated403": 403}
    caplog.set_level(logging.NOTSET, logger="huggingface_hub")  # other libraries do: bars then show everywhere
    told = command("bank", "pull", reference)
    assert told.exit_code == 1
    assert told.stdout == ""
    assert told.stderr.startswith(f"error: {words}")
    assert told.stderr.count("\n") == 1


@pytest.mark.parametrize("text", ["traces", "hf://lab", "lab/traces@", "lab/traces#xyz", "hf://../up/traces", ""])
def test_no_reference(text):
    with pytest.raises(ValueError, match="allowed: hf://owner/name"):
        Reference.parse(text)


def test_pushing_needs_leave(hub, banks, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    with pytest.raises(HubError, match=r"hf://lab/traces: .*HTTP 401.*HF_TOKEN"):
        push_bank(banks[0], "lab/traces")
    monkeypatch.setenv("HF_TOKEN", "hf_fake")
    with pytest.raises(HubError, match="hf://lab/traces@draft: the repository has no such revision"):
        push_bank(banks[0], "lab/traces@draft")


def test_a_trained_router_goes_there_and_comes_back(hub, run_folder, tmp_path):
    pushed = command("router", "push", run_folder, "lab/router")
    assert pushed.exit_code == 0, pushed.output
    assert set(hub.files(ROUTER)) == {"README.md", "router.json", "manifest.json", "router.npz"}  # no pickles
    pinned = pushed.stdout.split()[-1]
    assert pinned.startswith(f"hf://lab/router@{hub.refs[ROUTER]['main']}#")
    observation = np.random.default_rng(0).random((5, len(load_router(run_folder).trained_on.features)))
    for name in (pinned, "hf://lab/router"):
        there, here = load_router(name), load_router(run_folder)
        assert there.manifest == here.manifest
        assert there.scores(observation).tolist() == here.scores(observation).tolist()
    pulled = command("router", "pull", "lab/router", "--out", tmp_path / "mine")
    assert pulled.exit_code == 0, pulled.output
    assert (tmp_path / "mine" / "router.npz").read_bytes() == (run_folder / "router.npz").read_bytes()


def test_a_calibrated_router_goes_there_and_comes_back(hub, run_folder, tmp_path):
    router = load_router(run_folder)
    game = Game(split="calibration", **play_arguments(router, mode=None, cost_unit=None))
    save_calibrated(calibrate(router, game, target=RelativeAccuracy(0.5)), tmp_path / "calibrated")
    push_router(tmp_path / "calibrated", "lab/router")
    hub_router = load_router("hf://lab/router")
    assert isinstance(hub_router, CalibratedRouter)
    assert hub_router.certificate == load_router(tmp_path / "calibrated").certificate
    assert hub_router.certificate.promise in hub.files(ROUTER)["README.md"].decode()


def test_routers_that_are_not_what_was_pushed(hub, run_folder, tmp_path):
    told = push_router(run_folder, "lab/router")
    files = dict(hub.files(ROUTER))
    hub.commit(ROUTER, files | {"manifest.json": files["manifest.json"] + b" "})
    with pytest.raises(HubError, match=r"hf://lab/router: the files hash to .*; allowed: what router\.json says"):
        load_router("hf://lab/router")
    load_router(str(told))
    hub.commit("models/lab/weights", {"model.safetensors": b"0"})
    with pytest.raises(HubError, match=r"hf://lab/weights: the repository has no router\.json"):
        load_router("hf://lab/weights")
    with pytest.raises(ValueError, match=r"router='always-largest'; allowed: the folder of a run"):
        push_router("always-largest", "lab/router")


@pytest.mark.parametrize("status", [401, 403])
def test_a_gated_language_model_is_one_line(hub, status):
    generator = pytest.importorskip("gym_stepwise_routing.generators.transformers_model").TransformersGenerator
    judge = pytest.importorskip("gym_stepwise_routing.baselines.verifiers.hub", reason="needs the extra llm").HubPrm
    hub.commit("models/lab/gated", {"config.json": b"{}"})
    hub.gated = {"models/lab/gated": status}
    gated = rf"^model='lab/gated' is gated, .*HTTP {status}.*; allowed: with HF_TOKEN of an account [^\n]*$"
    missing = r"^model='lab/missing' cannot be loaded; allowed: a model folder or a hub name [^\n]*$"
    for load in (generator, judge):
        with pytest.raises(ValueError, match=gated):
            load("lab/gated")
        with pytest.raises(ValueError, match=missing):
            load("lab/missing")
