"""A pass-through to one endpoint, as short as FastAPI, uvicorn and aiohttp allow: a yardstick for ``serve``.

``python benchmarks/bare_passthrough.py http://127.0.0.1:8001/v1`` prints its address. It knows no router, checks
nothing and writes nothing down: what it costs is what the libraries cost.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import AsyncIterator

import aiohttp
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse


def bare_app(url: str) -> FastAPI:
    """The application."""
    session: list[aiohttp.ClientSession] = []  # made in the loop that uses it
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        if not session:
            session.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        body = await request.json()
        body["prompt"] = f"Q: {body.pop('messages')[-1]['content']}\nA:\n"
        answer = await session[0].post(f"{url}/completions", json=body)
        if not body.get("stream"):
            return Response(await answer.read(), media_type="application/json")

        async def events() -> AsyncIterator[bytes]:
            async for line in answer.content:
                if line.startswith(b"data: {"):
                    yield b"data: " + json.dumps(json.loads(line[6:])).encode() + b"\n\n"
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
        uvicorn.Server(options).run([listener])
