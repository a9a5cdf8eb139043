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


def show(trace: vf.Trace) -> None:
    """Print messages, the tokens of each call, rewards and metrics."""
    for node in trace.nodes:
        print(f"[{node.message.role}] {node.message.content}")
    for number, call in enumerate(trace.calls, 1):
        if call.usage is not None:
            read, wrote = call.usage.input_tokens, call.usage.completion_tokens
            print(f"call {number}: {read} tokens of prompt, {wrote} decoded")
    print(f"outcome: {trace.info.get('outcome')}")
    print(f"rewards {trace.rewards}\nmetrics {trace.metrics}")


def main() -> None:
    """Play and print; a rollout that failed is an error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--llm", required=True, help="base URL of an OpenAI-compatible endpoint")
    parser.add_argument("--model", default="router")
    parser.add_argument("--split", default="test")
    parser.add_argument("--router-parameters", type=float, help="charge the router as a model of this size")
    args = parser.parse_args()
    os.environ.setdefault("ROUTER_KEY", "none")
    episode = asyncio.run(play(args))
    failures = [*episode.errors, *(error for trace in episode.traces for error in trace.errors)]
    if failures:
        raise SystemExit("\n".join(f"error: {error.type}: {error.message}" for error in failures))
    for trace in episode.traces:
        show(trace)


if __name__ == "__main__":
    main()
