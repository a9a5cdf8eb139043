"""Routing as a taskset and environment of ``verifiers``: a language model plays the router, turn by turn.

verifiers finds a taskset by the name of a module at top level that exports it, such as
``examples/verifiers/stepwise_routing.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import verifiers.v1 as vf

from gym_stepwise_routing.costs.models import Model
from gym_stepwise_routing.envs.text_routing import TextRouting, Turn
from gym_stepwise_routing.game.config import DEFAULT_BANK

__all__ = ["RoutingData", "RoutingEnv", "RoutingEnvConfig", "RoutingTask", "RoutingTaskset", "RoutingTasksetConfig"]


class RoutingTasksetConfig(vf.TasksetConfig):  # type: ignore[misc]
    """The game. ``router_parameters`` is the number of parameters of the model that routes, for its own cost.

    Costs are FLOPs unless told: ``large_tokens``, the default elsewhere, counts nothing of a router.
    """

    source: str = DEFAULT_BANK
    split: str = "train"
    mode: str = "route"
    cost_unit: str = "flops"
    router_parameters: float | None = None
    unclear: str = "smallest"
    penalty: float = 0.0
    """What a cost of 1 takes off the reward: ``right - penalty * spent``."""


class RoutingData(vf.TaskData):  # type: ignore[misc]
    """A problem, and the game it is played in."""

    game: dict[str, Any]
    problem: str
    penalty: float


class RoutingTask(vf.Task[RoutingData]):  # type: ignore[misc]
    """One problem."""


class RoutingTaskset(vf.Taskset[RoutingTask, RoutingTasksetConfig]):  # type: ignore[misc]
    """The problems of a split; the prompt is the first turn."""

    def load(self) -> Iterator[RoutingTask]:
        """A task for each problem."""
        config = self.config
        names = ("source", "split", "mode", "cost_unit", "router_parameters", "unclear")
        game = {name: getattr(config, name) for name in names}
        routing = make_routing(game)
        for idx, problem in enumerate(routing.problem_ids()):
            data = RoutingData(
                idx=idx,
                name=problem,
                prompt=routing.reset(problem=problem).text,
                system_prompt=routing.system_prompt,
                game=game,
                problem=problem,
                penalty=config.penalty,
            )
            yield RoutingTask(data, config.task)


class RoutingEnvConfig(vf.EnvConfig):  # type: ignore[misc]
    """One seat: the router."""

    router: vf.AgentConfig = vf.AgentConfig()


class RoutingEnv(vf.Env[RoutingEnvConfig]):  # type: ignore[misc]
    """One episode: the model's replies are the actions; reward and costs go on its trace.

    A rollout that fails has its error and no reward. One that a limit of verifiers ends before the answer is not right,
    and has spent what it has.
    """

    async def run(self, task: RoutingTask, agents: Any) -> None:
        """Play a problem."""
        data = task.data
        routing = make_routing(data.game)
        turn: Turn = await asyncio.to_thread(routing.reset, problem=data.problem)
        played: list[Turn] = []
        async with agents.router.interaction(task) as interaction:
            segment = await interaction.turn()
            while not segment.terminated:
                tokens = {} if data.game["router_parameters"] is None else _tokens(interaction.trace)
                turn = await asyncio.to_thread(routing.reply, segment.last_reply, **tokens)
                played.append(turn)
                if turn.done:
                    break
                segment = await interaction.turn(turn.text)
        trace = interaction.trace
        if trace.has_error:
            return
        trace.record_reward("right_minus_cost", float(turn.right) - data.penalty * turn.spent, 1.0)
        trace.record_metric("right", float(turn.right))
        trace.record_metric("spent", turn.spent)
        trace.record_metric("router_spent", sum(reply.router_cost for reply in played))
        trace.record_metric("understood", sum(reply.understood for reply in played) / max(len(played), 1))
        trace.info["outcome"] = turn.text if turn.done else f"cut off without an answer: {trace.stop_condition}"


def make_routing(game: dict[str, Any]) -> TextRouting:
    """The game of a task."""
    arguments = dict(game)
    parameters = arguments.pop("router_parameters")
    router = None if parameters is None else Model("router", parameters=parameters)
    return TextRouting(arguments.pop("source"), router=router, **arguments)


def _tokens(trace: Any) -> dict[str, int]:
    """Tokens of the last call, as the endpoint reports them; what a call before has read is in its prefix cache."""
    calls = [call for call in trace.calls if call.usage is not None]
    if not calls:
        raise ValueError("the endpoint reports no usage; allowed: one that does, or router_parameters=None")
    last, seen = calls[-1].usage, calls[-2].usage.total_tokens if len(calls) > 1 else 0
    return {"prompt_tokens": max(0, last.input_tokens - seen), "completion_tokens": last.completion_tokens}
