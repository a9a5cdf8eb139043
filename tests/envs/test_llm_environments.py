"""Routing in OpenEnv and in verifiers, by HTTP; needs the packages openenv and verifiers, which no extra brings."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import socket
import threading

import pytest
from fake_servers import Chunks, Server

from gym_stepwise_routing.costs.models import Model
from gym_stepwise_routing.envs.text_routing import TextRouting

SMALL, LARGE = "Qwen2.5-Coder-0.5B-Instruct", "Qwen2.5-Coder-1.5B-Instruct"
PROBLEM = "gsm8k/test/0"


@pytest.fixture
def served():
    """URL of an OpenEnv server that charges its router."""
    pytest.importorskip("openenv", reason="needs openenv")
    uvicorn = pytest.importorskip("uvicorn", reason="needs uvicorn")
    from gym_stepwise_routing.envs.openenv_routing import make_app

    app = make_app(split="test", cost_unit="flops", router=Model("router", parameters=1e8))
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()


def test_an_openenv_episode_is_the_same_as_here(served):
    from gym_stepwise_routing.envs.openenv_routing import RoutingAction, RoutingClient

    here = TextRouting(split="test", cost_unit="flops", router=Model("router", parameters=1e8))
    with RoutingClient(base_url=served).sync() as client, RoutingClient(base_url=served).sync() as other:
        other.reset(problem="gsm8k/test/1")
        result, turn = client.reset(problem=PROBLEM), here.reset(problem=PROBLEM)
        assert result.observation.instructions == here.system_prompt
        while not turn.done:
            assert (result.observation.text, result.done) == (turn.text, False)
            tokens = {"prompt_tokens": 100, "completion_tokens": 5}
            result, turn = client.step(RoutingAction(reply=LARGE, **tokens)), here.reply(LARGE, **tokens)
            assert (result.reward, result.observation.spent) == (turn.reward, turn.spent)
        assert result.done
        assert client.state().problem == PROBLEM
        assert other.state().step_count == 0


def test_an_openenv_action_without_its_tokens_is_an_error(served):
    from gym_stepwise_routing.envs.openenv_routing import RoutingAction, RoutingClient

    with RoutingClient(base_url=served).sync() as client:
        client.reset(problem=PROBLEM)
        with pytest.raises(Exception, match="prompt_tokens=None; allowed: a count"):
            client.step(RoutingAction(reply=LARGE))


def test_the_openenv_yaml_names_an_application_that_is_there(repository, monkeypatch):
    pytest.importorskip("openenv", reason="needs openenv")
    import yaml

    folder = repository / "examples" / "openenv"
    told = yaml.safe_load((folder / "openenv.yaml").read_text())
    module, _, name = told["app"].partition(":")
    monkeypatch.syspath_prepend(folder)
    app = getattr(__import__(module, fromlist=[name]), name)
    assert {"/reset", "/step", "/ws"} <= {route.path for route in app.routes if hasattr(route, "path")}


def chat(path, body):
    """A router that names the larger model, and says a name that is none at its second turn."""
    turns = sum(message["role"] == "assistant" for message in body["messages"])
    content = "I do not know." if turns == 1 else LARGE
    usage = {"prompt_tokens": 300 + 40 * turns, "completion_tokens": 10, "total_tokens": 310 + 40 * turns}
    message = {"role": "assistant", "content": content}
    told = {"id": "1", "created": 0, "model": "m"}
    if not body.get("stream"):
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return 200, {**told, "object": "chat.completion", "choices": [choice], "usage": usage}
    pieces = [{"delta": message, "finish_reason": None}, {"delta": {}, "finish_reason": "stop"}]
    chunks = [{"choices": [{"index": 0, **piece}]} for piece in pieces] + [{"choices": [], "usage": usage}]
    return 200, Chunks([{**told, "object": "chat.completion.chunk", **chunk} for chunk in chunks])


def test_the_tasks_of_verifiers_are_the_problems_of_a_split(repository, monkeypatch):
    vf = pytest.importorskip("verifiers.v1", reason="needs verifiers")
    from gym_stepwise_routing.envs.verifiers_routing import RoutingTasksetConfig

    monkeypatch.syspath_prepend(repository / "examples" / "verifiers")
    tasks = list(vf.load_taskset(RoutingTasksetConfig(id="stepwise-routing", split="test", mode="regenerate")))
    here = TextRouting(split="test", mode="regenerate")
    assert [task.data.problem for task in tasks] == list(here.problem_ids())
    assert tasks[0].data.prompt == here.reset(problem=tasks[0].data.problem).text
    assert tasks[0].data.system_prompt == here.system_prompt


def rollout(repository, monkeypatch, answer):
    """One episode of verifiers, and its only trace."""
    pytest.importorskip("verifiers.v1", reason="needs verifiers")
    if shutil.which("uv") is None:
        pytest.skip("needs uv, by which verifiers runs its harness")
    monkeypatch.syspath_prepend(repository / "examples" / "verifiers")
    monkeypatch.setenv("ROUTER_KEY", "none")
    from rollout import play

    server = Server(answer)
    arguments = argparse.Namespace(llm=server.url, model="m", split="test", router_parameters=1e8)
    try:
        episode = asyncio.run(play(arguments))
    finally:
        server.close()
    (trace,) = episode.traces
    return episode, trace


@pytest.mark.slow
def test_a_rollout_of_verifiers_is_the_same_as_here(repository, monkeypatch):
    episode, trace = rollout(repository, monkeypatch, chat)
    assert not episode.errors + trace.errors
    here = TextRouting(split="test", cost_unit="flops", router=Model("router", parameters=1e8))
    turn, said, router_spent = here.reset(problem=episode.task.data.problem), [], 0.0
    while not turn.done:
        said.append(turn.text)
        read = 300 if len(said) == 1 else 30  # 40 more each turn, of which its own 10 are in the cache
        turn = here.reply("?" if len(said) == 2 else LARGE, prompt_tokens=read, completion_tokens=10)
        router_spent += turn.router_cost
    assert [node.message.content for node in trace.nodes if node.message.role == "user"] == said
    assert trace.metrics["spent"] == pytest.approx(turn.spent)
    assert router_spent > 0
    assert trace.metrics["router_spent"] == pytest.approx(router_spent)
    assert trace.metrics["understood"] == pytest.approx(1 - 1 / len(said))
    assert trace.metrics["right"] == turn.reward


@pytest.mark.slow
def test_a_rollout_of_verifiers_that_fails_has_an_error_and_no_reward(repository, monkeypatch):
    def broken(path, body):
        turns = sum(message["role"] == "assistant" for message in body["messages"])
        return chat(path, body) if turns == 0 else (400, {"error": {"message": "context exceeded"}})

    _, trace = rollout(repository, monkeypatch, broken)
    assert trace.has_error
    assert trace.rewards == {}
    assert trace.metrics == {}
