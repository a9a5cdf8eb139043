"""Clients that cost little CPU: each holds one connection and asks one question after the other."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

__all__ = ["Answer", "Connection", "load"]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as a client sees it.

    Attributes:
        status: HTTP status; 0 where the connection broke.
        seconds: from the question to the last byte.
        body: the body, transfer encoding removed.
        whole: whether the body came to its end, and, if it is a stream, ended with ``[DONE]``.
        lines: seconds from the question until each further line of a streamed answer began.
    """

    status: int
    seconds: float
    body: bytes
    whole: bool
    lines: tuple[float, ...] = ()


class Connection:
    """One connection, made anew after it has broken.

    Args:
        url: address up to ``/v1``.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port, self._base = parts.hostname or "", parts.port or 80, parts.path
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, path: str, body: dict[str, Any]) -> Answer:
        """Send a request and read all of its answer."""
        began, got = time.perf_counter(), bytearray()
        content = json.dumps(body).encode()
        head = f"POST {self._base}{path} HTTP/1.1\r\nhost: {self._host}\r\ncontent-type: application/json\r\n"
        status, whole, lines = 0, False, []
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection(self._host, self._port, limit=1 << 20)
            reader, writer = self._streams
            writer.write(f"{head}content-length: {len(content)}\r\n\r\n".encode() + content)
            answer = (await reader.readuntil(b"\r\n\r\n")).lower()
            status = int(answer.split(b" ", 2)[1])
            if b"transfer-encoding: chunked" in answer:
                while size := int(await reader.readuntil(b"\r\n"), 16):
                    got += (part := (await reader.readexactly(size + 2))[:-2])
                    if b'"content": "\\n' in part:
                        lines.append(time.perf_counter() - began)
                await reader.readexactly(2)
            else:
                got += await reader.readexactly(int(answer.split(b"content-length:")[1].split(b"\r\n")[0]))
            whole = not body.get("stream") or got.endswith(b"data: [DONE]\n\n")
        except (OSError, asyncio.IncompleteReadError):
            self.close()
        return Answer(status, time.perf_counter() - began, bytes(got), whole, tuple(lines))

    def close(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def load(
    url: str,
    path: str,
    body: Callable[[int], dict[str, Any]],
    *,
    clients: int,
    answers: int | None = None,
    seconds: float | None = None,
    spread: float = 0.0,
) -> list[Answer]:
    """Ask with many clients at once, until so many answers have come or so many seconds are over.

    Args:
        url: address up to ``/v1``.
        path: what follows it.
        body: the request with a number, from 0.
        clients: clients, each with one request under way at a time.
        answers: how many to ask for.
        seconds: how long new questions are asked.
        spread: the clients begin one after the other within so many seconds; 0: all at the same moment.
    """
    done: list[Answer] = []
    until = None if seconds is None else time.perf_counter() + seconds
    asked = 0

    async def client(number: int) -> None:
        nonlocal asked
        await asyncio.sleep(spread * number / clients)
        connection = Connection(url)
        while (answers is None or asked < answers) and (until is None or time.perf_counter() < until):
            number, asked = asked, asked + 1
            done.append(await connection.ask(path, body(number)))
        connection.close()

    await asyncio.gather(*(client(number) for number in range(clients)))
    return done
