"""A fake OpenAI-compatible endpoint that costs little CPU: it streams set lines at a set rate.

``python benchmarks/lean_endpoint.py --words 20 --lines 1 --rate 25`` prints its address and serves until it is killed.
It speaks as much HTTP as the benchmarks need: ``/v1/completions`` and ``/v1/chat/completions``, streamed or whole, with
log-probabilities where they are asked for, and ``/tokenize``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

MARK = "A:\n"
"""What the prompt ends with; behind it stands the answer so far."""
_TOP = {f"t{rank}": -1.0 - rank for rank in range(8)}


class LeanEndpoint(asyncio.Protocol):
    """One connection.

    Args:
        words: tokens of a line.
        lines: lines of an answer; the last one states it.
        rate: tokens a second of one stream; 0: all at once.
    """

    def __init__(self, words: int, lines: int, rate: float) -> None:
        self._words, self._lines, self._pause = words, lines, 1 / rate if rate else 0.0
        self._buffer = b""
        self._transport: Any = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the stream."""
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Answer a request as soon as all of it is there."""
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line[15:])
        if len(body) < length:
            return
        self._buffer = body[length:]
        path = head.split(b" ", 2)[1].decode()
        self._answer(path, json.loads(body[:length] or b"{}"))

    def _answer(self, path: str, body: dict[str, Any]) -> None:
        if path.endswith("/tokenize"):
            return self._whole({"count": len(str(body.get("prompt") or body.get("messages")).split())})
        chat = path.endswith("/chat/completions")
        prompt = str(body["messages"][-1]["content"]) if chat else body["prompt"]
        done = prompt.rpartition(MARK)[2].count("\n") if MARK in prompt else 0
        tokens = self._tokens(done, body)
        limit = min(len(tokens), body.get("max_tokens") or len(tokens))
        finish = "length" if limit < len(tokens) else "stop"
        tokens = tokens[:limit]
        count = len(prompt.split())
        usage = {"prompt_tokens": count, "completion_tokens": limit, "total_tokens": count + limit}
        if body.get("stream"):
            frames = list(_frames(chat, tokens, finish, usage, bool(body.get("logprobs"))))
            self._transport.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            )
            return self._send(frames)
        text = "".join(tokens).rstrip("\n")
        shown: dict[str, Any] = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        choice = {"index": 0, "finish_reason": finish, **shown}
        return self._whole(_HEAD[chat] | {"choices": [choice], "usage": usage})

    def _tokens(self, done: int, body: dict[str, Any]) -> list[str]:
        """What follows ``done`` lines: one line where the request stops at its end, else all that are left."""
        lines = [[f"w{number}", *[" word"] * (self._words - 2), "\n"] for number in range(done, self._lines - 1)]
        if done < self._lines:
            lines.append(["So", *[" so"] * (self._words - 7), " The", " answer", " is", " 42", ".", "\n\n"])
        one = "\n" in (body.get("stop") or ())
        return [token for line in lines[: 1 if one else None] for token in line]

    def _send(self, frames: list[bytes]) -> None:
        self._timer = None
        if not self._pause:
            self._transport.write(b"".join(frames))
        elif frames and not self._transport.is_closing():
            last = len(frames) <= 3  # the last token, the usage and the end come together
            self._transport.write(b"".join(frames) if last else frames[0])
            if not last:
                self._timer = asyncio.get_running_loop().call_later(self._pause, self._send, frames[1:])

    def _whole(self, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        self._transport.write(head + body)


_HEAD = {
    True: {"id": "c", "object": "chat.completion", "created": 1, "model": "fake"},
    False: {"id": "c", "object": "text_completion", "created": 1, "model": "fake"},
}


def _frames(chat: bool, tokens: list[str], finish: str, usage: dict[str, int], logprobs: bool) -> Iterator[bytes]:
    """The events of a stream, each as a chunk of the transfer encoding."""
    head = _HEAD[chat] | ({"object": "chat.completion.chunk"} if chat else {})
    tokens = tokens or [""]  # where nothing is left to write, the end of the text is told
    for number, token in enumerate(tokens):
        last = number == len(tokens) - 1
        text = token.rstrip("\n") if last else token
        choice: dict[str, Any] = {"index": 0, "finish_reason": finish if last else None}
        choice |= {"delta": {"role": "assistant", "content": text}} if chat else {"text": text}
        if logprobs and not chat:
            tops = {token: -0.1, **_TOP}
            choice["logprobs"] = {"tokens": [token], "token_logprobs": [-0.1], "top_logprobs": [tops]}
        yield _chunk(json.dumps(head | {"choices": [choice]}))
    yield _chunk(json.dumps(head | {"choices": [], "usage": usage}))
    yield _chunk("[DONE]") + b"0\r\n\r\n"


def _chunk(data: str) -> bytes:
    event = b"data: " + data.encode() + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(event), event)


@contextmanager
def lean_endpoint(*, words: int, lines: int, rate: float) -> Iterator[str]:
    """An endpoint in a process of its own; its address up to ``/v1``."""
    command = [sys.executable, __file__, "--words", str(words), "--lines", str(lines), "--rate", str(rate)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


async def _serve(words: int, lines: int, rate: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: LeanEndpoint(words, lines, rate), "127.0.0.1", 0, backlog=2048)
    sys.stdout.write(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--words", type=int, default=20)
    parser.add_argument("--lines", type=int, default=1)
    parser.add_argument("--rate", type=float, default=0.0)
    arguments = parser.parse_args()
    asyncio.run(_serve(arguments.words, arguments.lines, arguments.rate))
