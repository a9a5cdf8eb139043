"""An episode of the OpenEnv server, routed by a language model: ``python play.py --env URL --llm URL/v1 --model NAME``.

The model is any behind OpenAI's chat endpoint; its tokens are sent along, and the server charges them. Without
``--llm`` the reply is the name in ``--reply``.
"""

from __future__ import annotations

import argparse
from typing import Any

from openai import OpenAI

from gym_stepwise_routing.envs.openenv_routing import RoutingAction, RoutingClient


def main() -> None:
    """Play, and print what was said."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env", default="http://127.0.0.1:8000")
    parser.add_argument("--llm", help="base URL of an OpenAI-compatible endpoint")
    parser.add_argument("--model", default="router")
    parser.add_argument("--reply", default="")
    parser.add_argument("--problem")
    args = parser.parse_args()
    llm = None if args.llm is None else OpenAI(base_url=args.llm, api_key="none")
    with RoutingClient(base_url=args.env).sync() as env:
        result = env.reset(problem=args.problem)
        messages: list[Any] = [{"role": "system", "content": result.observation.instructions}]
        print(result.observation.instructions)
        read = 0  # what the router's prefix cache holds
        while not result.done:
            messages.append({"role": "user", "content": result.observation.text})
            print(f"\n>>> {result.observation.text}")
            tokens: dict[str, int] = {}
            reply = args.reply
            if llm is not None:
                answer = llm.chat.completions.create(model=args.model, messages=messages)
                reply, usage = answer.choices[0].message.content or "", answer.usage
                if usage is None:
                    raise ValueError(f"{args.llm} reports no usage; allowed: an endpoint that does")
                tokens = {
                    "prompt_tokens": max(usage.prompt_tokens - read, 0),
                    "completion_tokens": usage.completion_tokens,
                }
                read = usage.total_tokens
            messages.append({"role": "assistant", "content": reply})
            result = env.step(RoutingAction(reply=reply, **tokens))
            seen = result.observation
            print(f"<<< {reply!r} -> {seen.model}{'' if seen.understood else ' (not understood)'}")
            print(f"    cost {seen.cost:.3f}, the router's own {seen.router_cost:.3f}, {tokens}")
        print(f"\n>>> {result.observation.text}\nreward {result.reward}, spent {result.observation.spent:.3f}")


if __name__ == "__main__":
    main()
