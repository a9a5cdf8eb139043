"""A fake OpenAI-compatible endpoint on loopback: writes set lines, streams at a set rate, and fails on request."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse

WORD = re.compile(r"\n|[^\S\n]*\S+|[^\S\n]+")


def lines_of(name: str, count: int = 3) -> Callable[[str], str]:
    """Writes ``count`` lines that name the writer, then the answer; goes on where the prefix has stopped."""

    def write(answer_so_far: str) -> str:
        done = answer_so_far.count("\n")
        begun = answer_so_far.rpartition("\n")[2]
        lines = [f"{name} writes line {n} of it" for n in range(done, count)] + ["The answer is 42."]
        lines = lines if done <= count else [""]
        if begun:  # go on in the middle of somebody else's line
            words = lines[0].split(" ")
            lines[0] = " ".join(["", *words[len(begun.split(" ")) :]]) if len(words) > len(begun.split(" ")) else ""
        return "\n".join(lines) + "\n\n"

    return write


@dataclass
class FakeEndpoint:
    """The server; its attributes may be changed while it runs.

    Attributes:
        write: what follows the answer so far.
        token_seconds: pause between two tokens of a stream.
        status: status of every answer; with 429 and 503 a header ``Retry-After`` of ``retry_after``.
        break_after: tokens after which a stream of several tokens breaks off; None: never.
        hang: wait for ever before the first token.
        logprobs: whether log-probabilities are given.
        tokenizes: whether there is a ``/tokenize``.
        probability: probability of every token.
    """

    write: Callable[[str], str]
    token_seconds: float = 0.0
    status: int = 200
    retry_after: str = "1"
    break_after: int | None = None
    hang: bool = False
    logprobs: bool = True
    streams: bool = True
    tokenizes: bool = True
    logprob: float = -0.1
    requests: list[dict[str, Any]] = field(default_factory=list)
    cancelled: int = 0
    streaming: int = 0

    def start(self, port: int = 0) -> FakeEndpoint:
        app = FastAPI()
        app.add_api_route("/v1/completions", self._completions, methods=["POST"])
        app.add_api_route("/tokenize", self._tokenize, methods=["POST"])
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)
        self._thread.start()
        while not self._server.started:
            threading.Event().wait(0.005)
        return self

    def stop(self) -> None:
        """Gone at once, streams too."""
        self._server.force_exit = True
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()

    @property
    def written(self) -> list[dict[str, Any]]:
        """Requests for more than one token."""
        return [body for body in self.requests if body["max_tokens"] > 1]

    async def _tokenize(self, request: Request) -> Any:
        body = await request.json()
        if not self.tokenizes or self.status != 200:
            return JSONResponse({"detail": "Not Found"}, status_code=404)
        return {"count": len(WORD.findall(body["prompt"]))}

    async def _completions(self, request: Request) -> Any:
        body = await request.json()
        self.requests.append(body)
        if self.status != 200:
            headers = {"Retry-After": self.retry_after} if self.status in (429, 503) else {}
            return JSONResponse({"error": {"message": "as told"}}, status_code=self.status, headers=headers)
        if body.get("stream") and not self.streams:
            return JSONResponse({"error": {"message": "no streams"}}, status_code=400)
        if body.get("logprobs") and not self.logprobs:
            return JSONResponse({"error": {"message": "no logprobs"}}, status_code=400)
        prompt = body["prompt"]
        answer_so_far = prompt.rpartition("A:\n")[2] if "A:\n" in prompt else ""
        tokens, finish = self._decode(self.write(answer_so_far), body)
        if body.get("stream"):
            return StreamingResponse(self._stream(body, tokens, finish), media_type="text/event-stream")
        text, usage = self._text(tokens, body), self._usage(body, tokens)
        choice = {"text": text, "logprobs": self._told(body, tokens), "finish_reason": finish}
        return {"choices": [choice], "usage": usage}

    def _decode(self, text: str, body: dict[str, Any]) -> tuple[list[str], str]:
        tokens: list[str] = []
        for token in WORD.findall(text):
            tokens.append(token)
            joined = "".join(tokens)
            if any(stop in joined for stop in body.get("stop") or ()):
                return tokens, "stop"
            if len(tokens) >= body["max_tokens"]:
                return tokens, "length"
        return tokens, "stop"

    def _text(self, tokens: list[str], body: dict[str, Any]) -> str:
        text = "".join(tokens)
        found = [at for at in (text.find(stop) for stop in body.get("stop") or ()) if at >= 0]
        return text[: min(found)] if found else text

    def _usage(self, body: dict[str, Any], tokens: list[str]) -> dict[str, int]:
        prompt = len(WORD.findall(body["prompt"]))
        return {"prompt_tokens": prompt, "completion_tokens": len(tokens), "total_tokens": prompt + len(tokens)}

    def _told(self, body: dict[str, Any], tokens: list[str]) -> dict[str, Any] | None:
        if not body.get("logprobs"):
            return None
        return {
            "tokens": tokens,
            "token_logprobs": [self.logprob] * len(tokens),
            "top_logprobs": [{token: self.logprob, "other": -4.0} for token in tokens],
        }

    async def _stream(self, body: dict[str, Any], tokens: list[str], finish: str) -> Any:
        self.streaming += 1
        try:
            if self.hang:
                await asyncio.sleep(3600)
            sent = ""
            for number, token in enumerate(tokens):
                if self.break_after is not None and len(tokens) > 1 and number >= self.break_after:
                    raise ConnectionResetError
                if self.token_seconds:
                    await asyncio.sleep(self.token_seconds)
                text = self._text(tokens[: number + 1], body)
                last = number == len(tokens) - 1
                choice = {
                    "index": 0,
                    "text": text[len(sent) :],
                    "logprobs": self._told(body, [token]),
                    "finish_reason": finish if last else None,
                }
                sent = text
                yield f"data: {json.dumps({'choices': [choice]})}\n\n"
            yield f"data: {json.dumps({'choices': [], 'usage': self._usage(body, tokens)})}\n\n"
            yield "data: [DONE]\n\n"
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.streaming -= 1


if __name__ == "__main__":  # PORT NAME SECONDS: an endpoint in a process of its own, until it is killed
    given_port, given_name, seconds = sys.argv[1:]
    FakeEndpoint(lines_of(given_name), token_seconds=float(seconds)).start(int(given_port))
    sys.stdout.write("started\n")
    sys.stdout.flush()
    threading.Event().wait()
