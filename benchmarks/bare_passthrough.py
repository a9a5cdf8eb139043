"""A pass-through to one endpoint, as short as FastAPI, uvicorn and the openai client allow: a yardstick for ``serve``.

``python benchmarks/bare_passthrough.py http://127.0.0.1:8001/v1`` prints its address. It knows no router, checks
nothing and writes nothing down: what it costs is what the libraries cost.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator

import openai
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse


def bare_app(url: str) -> FastAPI:
    """The application."""
    client = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        body = await request.json()
        body["prompt"] = f"Q: {body.pop('messages')[-1]['content']}\nA:\n"
        answer = await client.completions.create(**body)
        if not body.get("stream"):
            return Response(answer.model_dump_json(), media_type="application/json")

        async def events() -> AsyncIterator[bytes]:
            async for chunk in answer:
                yield b"data: " + chunk.model_dump_json().encode() + b"\n\n"
            yield b"data: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    return app


if __name__ == "__main__":
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(2048)
        sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}/v1\n")
        sys.stdout.flush()
        options = uvicorn.Config(bare_app(sys.argv[1]), log_level="warning", backlog=2048)
        asyncio.run(uvicorn.Server(options).serve([listener]))
