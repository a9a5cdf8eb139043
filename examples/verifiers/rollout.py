"""One rollout of verifiers on the routing taskset: ``python rollout.py --llm URL/v1 --model NAME``, in this folder."""

from __future__ import annotations

import argparse
import asyncio
import os

import verifiers.v1 as vf
from verifiers.v1.clients import ModelContext

from gym_stepwise_routing.envs.verifiers_routing import RoutingEnvConfig, RoutingTasksetConfig


async def play(args: argparse.Namespace) -> vf.Episode:
    """Play the first problem of the split."""
    taskset = RoutingTasksetConfig(
        id="stepwise-routing", split=args.split, router_parameters=args.router_parameters, penalty=0.42
    )
    router = vf.AgentConfig(harness={"id": "null"}, runtime=vf.SubprocessConfig())
    env = vf.load_environment(RoutingEnvConfig(taskset=taskset, router=router))
    client = vf.EvalClientConfig(base_url=args.llm, api_key_var="ROUTER_KEY")
    context = ModelContext(client=client, model=args.model, sampling=vf.SamplingConfig())
    async with env.serving():
        return await env.run_episode(next(iter(env.taskset)), context)


def main() -> None:
    """Play, and print messages, rewards and metrics."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--llm", required=True, help="base URL of an OpenAI-compatible endpoint")
    parser.add_argument("--model", default="router")
    parser.add_argument("--split", default="test")
    parser.add_argument("--router-parameters", type=float, help="charge the router as a model of this size")
    args = parser.parse_args()
    os.environ.setdefault("ROUTER_KEY", "none")
    episode = asyncio.run(play(args))
    for error in episode.errors:
        print(f"error: {error.type}: {error.message}")
    for trace in episode.traces:
        for error in trace.errors:
            print(f"error: {error.type}: {error.message}")
        for node in trace.nodes:
            print(f"[{node.message.role}] {node.message.content}")
        print(f"outcome: {trace.info.get('outcome')}")
        print(f"rewards {trace.rewards}\nmetrics {trace.metrics}")


if __name__ == "__main__":
    main()
