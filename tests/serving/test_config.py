"""Pool files: read, overridden from the environment, and refused with the field's name."""

from __future__ import annotations

import json
import socket

import pytest
import yaml
from running_server import MODELS
from typer.testing import CliRunner

from gym_stepwise_routing.cli.app import app
from gym_stepwise_routing.costs.models import Caching, Price
from gym_stepwise_routing.generators import GeneratorInfo
from gym_stepwise_routing.generators.specs import pool_model
from gym_stepwise_routing.serving.endpoint_config import EndpointConfig
from gym_stepwise_routing.serving.pool_config import load_config
from gym_stepwise_routing.serving.service import Service


def test_defaults_and_the_environment(pool_file, monkeypatch):
    path = pool_file()
    assert load_config(path).server.host == "127.0.0.1"
    monkeypatch.setenv("STEPWISE_SERVER__PORT", "9001")
    assert load_config(path).server.port == 9001
    assert load_config(path, server={"port": 9002}).server.port == 9002


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[" * 3_000, "nest"),
        ("name: 2026-99-99", "month must be in 1..12"),
        (f"retries: {'9' * 5_000}", "digits"),
        ("name: \x00", "control characters"),
        (b"\xff\xff", "invalid leading UTF-8 octet"),
        ("name: {", "expected"),
    ],
    ids=["deep", "day", "digits", "control", "bytes", "torn"],
)
def test_a_file_that_is_no_yaml_is_named(tmp_path, content, told):
    (tmp_path / "pool.yml").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=rf"pool\.yml cannot be read: (.|\n)*{told}"):
        load_config(tmp_path / "pool.yml")


def test_a_prompt_that_is_not_there_is_told_with_the_pool_file(pool_file):
    with pytest.raises(ValueError, match=r"pool\.yml: prompt='nowhere' is not known"):
        load_config(pool_file(prompt="nowhere"))


@pytest.mark.parametrize("name", ["pool.yml", "pool.docker.yml"])
def test_the_examples_can_be_served(repository, name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROUTER_KEY", "secret")
    log = {"path": str(tmp_path / "log.jsonl")}
    feedback = {"database": f"sqlite:///{tmp_path / 'feedback.sqlite'}"}
    service = Service(load_config(repository / "examples" / name, log=log, feedback=feedback))
    assert service.pool.names == MODELS
    assert service.router.arguments["mode"] == "regenerate"


def test_the_compose_file_names_what_the_pool_file_asks_for(repository):
    services = yaml.safe_load((repository / "compose.yml").read_text(encoding="utf-8"))["services"]
    config = load_config(repository / "examples" / "pool.docker.yml")
    assert {model.url.split("/")[2].split(":")[0] for model in config.models} == set(services) - {"router"}
    assert {key.key_env for key in config.server.api_keys} == set(services["router"]["environment"])


def test_the_same_file_names_the_models_to_record(pool_file):
    specs = [model.spec() for model in load_config(pool_file()).models]
    assert [(spec.backend, spec.name, spec.model) for spec in specs] == [("openai", name, "fake") for name in MODELS]


def test_a_stated_price_is_recorded_with_the_model():
    price = {"input": 20, "cached_input": 20, "output": 20, "date": "2023-06-01", "source": "the provider's page"}
    url = "http://127.0.0.1:1/v1"
    model = EndpointConfig.model_validate({"name": "old", "url": url, "price": {**price, "up_to": 4000}})
    assert model.spec().price == model.pool_model().price == Price(**price, up_to=4000)


def test_what_its_cache_serves_is_recorded_with_the_model():
    caching = {"block": 128, "smallest": 1024, "reported": True}
    for stated in ({}, {"caching": caching}):
        model = EndpointConfig.model_validate({"name": "m", "url": "http://127.0.0.1:1/v1", "parameters": 3.0} | stated)
        info = GeneratorInfo("openai 3", "m", None, None, None, 8, None)
        assert pool_model(model.spec(), "m", info).caching == model.pool_model().caching
    assert model.pool_model().caching == Caching(**caching)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"surprise": 1}, "surprise"),
        ({"server": {"host": "0.0.0.0"}}, "host='0.0.0.0' without api_keys"),
        ({"server": {"port": 70000}}, "server.port=70000"),
        ({"timeouts": {"connect": -1}}, "timeouts.connect=-1"),
        ({"step": {"horizon": 0}}, "step.horizon=0"),
        ({"prompt": "nonsense"}, "prompt='nonsense'"),
        ({"cost_unit": "nonsense"}, "cost_unit='nonsense' is not known"),
        ({"grading": "nonsense"}, "grading='nonsense' is not known"),
        ({"models": []}, "models=[]"),
        ({"prompt": "messages"}, "continuation='raw' with prompt='messages'"),
        ({"drift": {}, "bank": None}, "drift without bank"),
    ],
)
def test_a_bad_field_is_named(pool_file, changes, named):
    with pytest.raises(ValueError, match=r"pool\.yml|prompt") as refused:
        load_config(pool_file(**changes))
    assert named in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"router": None}, "router is missing"),
        ({"router": "nonsense"}, "router='nonsense'"),
        ({"bank": None}, "bank=None with the rule"),
        ({"cost_unit": "dollars"}, "has no price"),
        ({"log": {"path": "/proc/nowhere/log.jsonl"}}, "log.path="),
        ({"feedback": {"database": "sqlite:////proc/nowhere/x"}}, "feedback.database"),
        ({"feedback": {"database": "nonsense"}}, "feedback.database"),
        ({"feedback": {"database": "sqlite://", "target": "accuracy=0.9"}}, "no threshold"),
        ({"targets": {"accuracy=0.9x": "always-largest"}}, "not calibrated"),
        ({"server": {"api_keys": [{"name": "a", "key_env": "NOT_SET"}]}}, "key_env='NOT_SET'"),
    ],
)
def test_what_does_not_fit_is_said_at_the_start(pool_file, changes, named):
    with pytest.raises(ValueError, match="allowed") as refused:
        Service(load_config(pool_file(**changes)))
    assert named in str(refused.value)


def test_a_router_of_another_pool_or_mode_is_refused(pool_file, tmp_path):
    pytest.importorskip("stable_baselines3")
    words = ["confidence-p_min", "--bank", "gsm8k-qwen2.5-coder", "--target", "accuracy=0.7x", "--mode", "regenerate"]
    result = CliRunner().invoke(app, ["calibrate", *words, "--out", str(tmp_path / "router")])
    assert result.exit_code == 0, result.output
    router = str(tmp_path / "router")
    with pytest.raises(ValueError, match="mode='route'; allowed with this router: 'regenerate'"):
        Service(load_config(pool_file(router=router, mode="route")))
    config = load_config(pool_file(router=router))
    renamed = [model.model_copy(update={"name": f"other-{k}"}) for k, model in enumerate(config.models)]
    with pytest.raises(ValueError, match=r"models=.*allowed with router"):
        Service(config.model_copy(update={"models": tuple(renamed)}))
    assert Service(config).router.certificate.certified


def test_check_reports_what_an_endpoint_can_do(pool_file, endpoints):
    endpoints[0].write = lambda so_far: " five, six, seven"
    endpoints[1].logprobs = False
    result = CliRunner().invoke(app, ["check", str(pool_file()), "--json"])
    assert result.exit_code == 1, result.output
    found = {(one["model"], one["question"]): one["status"] for one in json.loads(result.stdout)}
    assert found[MODELS[0], "continues a half-written line"] == "yes"
    assert found[MODELS[1], "continues a half-written line"] == "no"
    assert found[MODELS[0], "log-probabilities"] == "yes"
    assert found[MODELS[1], "log-probabilities"] == "no"
    assert found["pool", "cost units"] == "yes"


def test_check_of_an_endpoint_that_is_down(pool_file, endpoints):
    endpoints[1].status = 500
    result = CliRunner().invoke(app, ["check", str(pool_file())])
    assert result.exit_code == 2
    assert "fails" in result.stdout


def test_a_port_in_use_is_named(pool_file):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = CliRunner().invoke(app, ["serve", "--config", str(pool_file()), "--port", str(port)])
    assert result.exit_code == 2
    assert f"port={port}" in result.stderr
