"""The JSON Schemas of the documentation take real files, and refuse damaged ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gym_stepwise_routing import ConfidenceThreshold, RelativeAccuracy, calibrate, save_calibrated
from gym_stepwise_routing.banks.bank import BANKS

REPOSITORY = Path(__file__).resolve().parents[2]
jsonschema = pytest.importorskip("jsonschema", reason="needs jsonschema: pip install jsonschema")
pytest.importorskip("pydantic", reason="needs the extra 'leaderboard'")


@pytest.fixture(scope="module")
def schemas(docs_module):
    return docs_module("schemas")


def faults(schemas, name, content):
    checked = jsonschema.Draft202012Validator(schemas.schema_of(name))
    return [f"{'/'.join(map(str, fault.path))}: {fault.message[:200]}" for fault in checked.iter_errors(content)]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calibrated")
    game = {"mode": "regenerate", "cost_unit": "large_tokens"}
    router = ConfidenceThreshold("p_mean")
    save_calibrated(calibrate(router, "gsm8k-qwen2.5-coder", target=RelativeAccuracy(0.9), **game), folder / "router")
    return folder / "router" / "certificate.json"


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("bank", list(BANKS))
def test_the_manifests_of_the_bundled_banks(schemas, bank):
    content = read(REPOSITORY / "gym_stepwise_routing" / "data" / bank / "bank.json")
    assert faults(schemas, "bank", content) == []
    assert faults(schemas, "bank", content | {"horizon": "long"})


def test_a_certificate(schemas, certificate):
    content = read(certificate)
    assert faults(schemas, "certificate", content) == []
    assert faults(schemas, "certificate", content | {"certified": "perhaps"})


def test_tracks_and_entries(schemas):
    for path in sorted((REPOSITORY / "leaderboard" / "tracks").glob("*.json")):
        assert faults(schemas, "track", read(path)) == []
    rows = (REPOSITORY / "leaderboard" / "entries" / "gsm8k-route.jsonl").read_text(encoding="utf-8").splitlines()
    entry = json.loads(rows[0])
    assert faults(schemas, "entry", entry) == []
    assert faults(schemas, "entry", {key: value for key, value in entry.items() if key != "runs"})


def test_a_run(schemas, tmp_path):
    pytest.importorskip("stable_baselines3")
    from dataclasses import replace

    from gym_stepwise_routing import GameConfig
    from gym_stepwise_routing.agents.run_training import train_run
    from gym_stepwise_routing.agents.training import hyperparameters

    settings = replace(hyperparameters("lagrangian_ppo"), total_timesteps=4096)
    game = GameConfig("math500-qwen2.5-coder", mode="escalate")
    train_run("lagrangian_ppo", tmp_path / "run", seed=0, game=game, settings=settings, limit=0.5)
    content = read(tmp_path / "run" / "manifest.json")
    assert faults(schemas, "run", content) == []
    assert faults(schemas, "run", content | {"seed": "zero"})


def test_the_lines_of_a_log(schemas, tmp_path):
    pytest.importorskip("fastapi", reason="needs the extra 'serve'")
    from logged import QUESTIONS, ask, events, write_log

    lines = write_log(tmp_path, lambda server, _: [ask(server, question, right=True) for question in QUESTIONS])
    assert {line["event"] for line in lines} >= {"server", "request", "feedback"}
    for line in lines:
        assert faults(schemas, "log", line) == []
    (request, *_) = events(lines)
    assert faults(schemas, "log", {key: value for key, value in request.items() if key != "ledger"})
