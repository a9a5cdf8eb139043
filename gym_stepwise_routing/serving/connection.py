"""HTTP to one endpoint. Thousands of chunks a second pass here: they are cut and read as JSON, and nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Any
from urllib.request import getproxies

import aiohttp

from gym_stepwise_routing.generators.attempts import pause
from gym_stepwise_routing.serving.endpoint_failures import BrokenError, StatusError, UnreadableError, failure_of
from gym_stepwise_routing.storage.strict_json import parse_json

__all__ = ["Connection"]

_LONGEST_PAUSE = 8.0  # seconds before an attempt is repeated, also where the endpoint asks for more


class Connection:
    """Requests to one server.

    Args:
        url: address up to ``/v1``.
        key: key of the server.
        connect: seconds until the connection stands.
        read: seconds between two parts of a stream, and of one attempt at a whole answer in all, however it drips.
        retries: attempts after the first, before anything has come back.
    """

    def __init__(self, url: str, key: str, *, connect: float, read: float, retries: int) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"}
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect, sock_read=read)
        self._whole_timeout = aiohttp.ClientTimeout(total=read, sock_connect=connect)
        self._retries = retries
        self._session: aiohttp.ClientSession | None = None  # made in the loop that uses it

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str) -> Any:
        """The JSON at a path.

        Raises:
            Exception: see :meth:`post`.
        """
        return await self._whole("GET", path, None, self._retries)

    async def post(self, path: str, body: Mapping[str, Any], *, retries: int | None = None) -> Any:
        """The JSON that answers a request. ``path`` may be an address of its own.

        Raises:
            StatusError: the server refuses it.
            UnreadableError: the answer is no JSON.
            Exception: time-outs and lost connections, as the transport tells them (:func:`failure_of`).
        """
        return await self._whole("POST", path, body, self._retries if retries is None else retries)

    async def stream(
        self, path: str, body: Mapping[str, Any], *, first: float, between: float
    ) -> AsyncGenerator[list[dict[str, Any]], None]:
        """The chunks of a stream, those together that came together.

        Args:
            path: what follows ``/v1``.
            body: the request.
            first: seconds until the first chunk.
            between: seconds between two.

        Raises:
            BrokenError: a chunk that is no JSON.
            Exception: see :meth:`post`; ``TimeoutError`` where a chunk does not come in time.
        """
        clock, began = asyncio.get_running_loop().time, time.monotonic()
        async with asyncio.timeout(first) as limit:
            response = await self._send("POST", path, body, self._retries, self._timeout)
            rest = b""
            try:
                async for part in response.content.iter_any():
                    *lines, rest = (rest + part).split(b"\n")
                    events = [line[5:].strip() for line in lines if line.startswith(b"data:")]
                    chunks, over, broken = _read(events)
                    if chunks:
                        limit.reschedule(None)  # what the reader does with the chunks does not count
                        yield chunks
                        limit.reschedule(clock() + between)
                    if broken:
                        raise BrokenError(f"a chunk that is no JSON after {time.monotonic() - began:.1f} s")
                    if over:
                        return
            finally:
                response.close()  # keeps the connection where all of the answer has come

    async def _whole(self, method: str, path: str, body: Mapping[str, Any] | None, retries: int) -> Any:
        response = await self._send(method, path, body, retries, self._whole_timeout)
        try:
            return parse_json(await response.read(), "the answer")
        except ValueError:
            raise UnreadableError("no JSON") from None
        finally:
            response.close()

    async def _open(
        self, method: str, url: str, body: Mapping[str, Any] | None, timeout: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        """One attempt. A kept connection that turns out to be closed by the server is no fault: a new one is made."""
        assert self._session is not None
        while True:
            reused: list[bool] = []
            try:
                return await self._session.request(method, url, json=body, trace_request_ctx=reused, timeout=timeout)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                if not reused:
                    raise

    async def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None, retries: int, timeout: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        """The answer, its body not yet read; with as many attempts as are allowed."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0)  # how many there may be is decided elsewhere
            trace = aiohttp.TraceConfig()
            trace.on_connection_reuseconn.append(_note_reuse)
            self._session = aiohttp.ClientSession(
                connector=connector,
                headers=self._headers,
                timeout=self._timeout,
                trust_env=bool(getproxies()),  # with it ~/.netrc is read at each request
                trace_configs=[trace],
            )
        url = self._url + path if path.startswith("/") else path
        attempt = 0
        while True:
            try:
                response = await self._open(method, url, body, timeout)
                if 200 <= response.status < 300:
                    return response
                try:
                    said = (await response.read()).decode(errors="replace")
                finally:
                    response.close()
                raise StatusError(response.status, said, response.headers.get("retry-after"))
            except Exception as error:
                failure, asked = failure_of("", error)
                if attempt >= retries or failure is None or not failure.retryable:
                    raise
            await asyncio.sleep(pause(attempt, asked, _LONGEST_PAUSE))
            attempt += 1


async def _note_reuse(session: aiohttp.ClientSession, context: Any, told: Any) -> None:
    context.trace_request_ctx.append(True)


def _read(events: list[bytes]) -> tuple[list[dict[str, Any]], bool, bool]:
    """The chunks of events, whether the stream is over, and whether it broke off at one that is no JSON."""
    chunks: list[dict[str, Any]] = []
    for data in events:
        if data == b"[DONE]":
            return chunks, True, False
        try:
            chunks.append(parse_json(data, "a chunk"))
        except ValueError:
            return chunks, False, True
    return chunks, False, False
