"""Routing in OpenEnv and in verifiers, by HTTP; needs the packages openenv and verifiers, which no extra brings."""

from __future__ import annotations

import socket
import threading

import pytest

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

    app = make_app(split="test", router=Model("router", parameters=1e8))
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()


def test_an_openenv_episode_is_the_same_as_here(served):
    from gym_stepwise_routing.envs.openenv_routing import RoutingAction, RoutingClient

    here = TextRouting(split="test", router=Model("router", parameters=1e8))
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
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    return 200, {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [choice],
        "usage": usage,
    }
