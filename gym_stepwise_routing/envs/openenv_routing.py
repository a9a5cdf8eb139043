"""Routing as an environment of OpenEnv (package ``openenv``): server, client, and what they say to each other."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from uuid import uuid4

from fastapi import FastAPI
from openenv.core.client_types import StepResult
from openenv.core.env_client import EnvClient
from openenv.core.env_server.http_server import create_fastapi_app
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.types import Action, Observation, State
from pydantic import Field

from gym_stepwise_routing.envs.text_routing import TextRouting, Turn
from gym_stepwise_routing.game.config import DEFAULT_BANK

__all__ = ["RoutingAction", "RoutingClient", "RoutingEnvironment", "RoutingObservation", "RoutingState", "make_app"]


class RoutingAction(Action):  # type: ignore[misc]
    """A router's reply, and its tokens where the server charges them."""

    reply: str = Field(description="Text that names the model which is to write the next step")
    prompt_tokens: int | None = Field(default=None, ge=0, description="Tokens that the router read, uncached")
    completion_tokens: int | None = Field(default=None, ge=0, description="Tokens that the router decoded")


class RoutingObservation(Observation):  # type: ignore[misc]
    """A :class:`...text_routing.Turn`; ``reward`` and ``done`` are OpenEnv's own fields."""

    text: str
    instructions: str = Field(default="", description="At the start: the task and the models")
    model: str = ""
    understood: bool = True
    cost: float = 0.0
    router_cost: float = 0.0
    spent: float = 0.0
    right: bool = False
    problem: str = ""
    truncated_by: str = ""


class RoutingState(State):  # type: ignore[misc]
    """OpenEnv's state, and the problem that is played."""

    problem: str = ""
    spent: float = 0.0


class RoutingEnvironment(Environment[RoutingAction, RoutingObservation, RoutingState]):  # type: ignore[misc]
    """One session: a :class:`...text_routing.TextRouting` behind OpenEnv's ``reset`` and ``step``.

    Args:
        source: where steps come from.
        **arguments: as for :class:`...text_routing.TextRouting`.
    """

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self, source: object = DEFAULT_BANK, **arguments: Any) -> None:
        super().__init__()
        self.routing = TextRouting(source, **arguments)
        self._state = RoutingState(episode_id=None, step_count=0)

    def reset(
        self, seed: int | None = None, episode_id: str | None = None, problem: str | int | None = None, **_: Any
    ) -> RoutingObservation:
        """Start an episode, on ``problem`` (id or number) if one is named."""
        turn = self.routing.reset(seed=seed, problem=problem)
        self._state = RoutingState(episode_id=episode_id or str(uuid4()), step_count=0, problem=turn.problem)
        return _observation(turn, instructions=self.routing.system_prompt)

    def step(self, action: RoutingAction, timeout_s: float | None = None, **_: Any) -> RoutingObservation:
        """Take a reply."""
        turn = self.routing.reply(
            action.reply, prompt_tokens=action.prompt_tokens, completion_tokens=action.completion_tokens
        )
        self._state.step_count += 1
        self._state.spent = turn.spent
        return _observation(turn)

    @property
    def state(self) -> RoutingState:
        """Episode, steps taken, problem, cost so far."""
        return self._state


class RoutingClient(EnvClient[RoutingAction, RoutingObservation, RoutingState]):  # type: ignore[misc]
    """The client, ``RoutingClient(base_url=...).sync()`` for blocking calls."""

    def _step_payload(self, action: RoutingAction) -> dict[str, Any]:
        payload: dict[str, Any] = action.model_dump(exclude={"metadata"})
        return payload

    def _parse_result(self, payload: dict[str, Any]) -> StepResult[RoutingObservation]:
        told = {"done": payload.get("done", False), "reward": payload.get("reward")}
        return StepResult(observation=RoutingObservation(**payload["observation"] | told), **told)

    def _parse_state(self, payload: dict[str, Any]) -> RoutingState:
        return RoutingState(**payload)


def make_app(source: object = DEFAULT_BANK, *, sessions: int = 16, **arguments: Any) -> FastAPI:
    """The server as an ASGI application; every session has an episode of its own.

    Args:
        source: where steps come from; it is shared by the sessions.
        sessions: most sessions at a time.
        **arguments: as for :class:`...text_routing.TextRouting`.
    """
    shared = RoutingEnvironment(source, **arguments).routing.env.game.source
    app: FastAPI = create_fastapi_app(
        lambda: RoutingEnvironment(shared, **arguments),
        RoutingAction,
        RoutingObservation,
        max_concurrent_envs=sessions,
        env_name="stepwise-routing",
        state_cls=RoutingState,
    )
    return app


def _observation(turn: Turn, instructions: str = "") -> RoutingObservation:
    return RoutingObservation(**asdict(turn), instructions=instructions)
