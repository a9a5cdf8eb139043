"""The wire to an endpoint: chunks however they are cut, attempts that are repeated, and answers that cannot be read."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from gym_stepwise_routing.serving.connection import Connection
from gym_stepwise_routing.serving.endpoint_failures import BrokenError, StatusError, UnreadableError, failure_of

OK = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 0\r\nconnection: close\r\n\r\nbusy"


@asynccontextmanager
async def answering(*answers, retries=0):
    """A connection to a server that gives these answers, one a request, each in the parts that it is given in."""
    left = list(answers)

    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"authorization: bearer secret" in head.lower()
        for part in left.pop(0):
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.02)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        connection = Connection(url, "secret", connect=10, read=10, retries=retries)
        try:
            yield connection
        finally:
            await connection.close()


async def read(connection, got=None):
    got = [] if got is None else got
    async for chunks in connection.stream("/completions", {}, first=10, between=10):
        got += chunks
    return got


def test_chunks_are_whole_however_they_are_cut():
    texts = ["one", "two\u2028three\x85", "vier ä", "five\r"]
    lines = [": a comment", *(f"data: {json.dumps({'text': text}, ensure_ascii=False)}" for text in texts)]
    body = "\r\n\r\n".join([*lines, "data: [DONE]", "data: {}", ""]).encode()

    async def run():
        for size in (1, 7, len(body)):
            async with answering([OK, *(body[at : at + size] for at in range(0, len(body), size))]) as connection:
                assert [chunk["text"] for chunk in await read(connection)] == texts

    asyncio.run(run())


def test_what_came_before_a_bad_chunk_is_told_before_the_fault():
    async def run():
        got = []
        async with answering([OK, b'data: {"text": "good"}\n\ndata: {"te\n\n']) as connection:
            with pytest.raises(BrokenError, match="no JSON"):
                await read(connection, got)
        assert got == [{"text": "good"}]

    asyncio.run(run())


@pytest.mark.parametrize("retries", [0, 2])
def test_an_attempt_is_repeated_as_often_as_the_config_says(retries):
    async def run():
        async with answering(
            [BUSY], [BUSY], [OK, b'data: {"a": 1}\n\ndata: [DONE]\n\n'], retries=retries
        ) as connection:
            if retries:
                assert await read(connection) == [{"a": 1}]
                return
            with pytest.raises(StatusError) as refused:
                await read(connection)
            failure, pause = failure_of("small", refused.value)
            assert failure is not None
            assert (failure.reason, failure.retryable, pause) == ("small: status 503 (busy)", True, 0.0)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ([], "small: broke off (ServerDisconnectedError)"),
        ([OK, b"no JSON"], "small: an answer that cannot be read (no JSON)"),
    ],
)
def test_answers_that_are_none(answer, reason):
    async def run():
        async with answering(answer) as connection:
            with pytest.raises(Exception) as failed:  # noqa: PT011  which one is the transport's business
                await connection.post("/completions", {})
        failure, _ = failure_of("small", failed.value)
        assert failure is not None
        assert failure.reason == reason
        assert isinstance(failed.value, UnreadableError) == ("JSON" in reason)

    asyncio.run(run())


def test_deeply_nested_json_cannot_be_read():
    deep = b"[" * 100_000 + b"]" * 100_000

    async def run():
        async with answering([OK, deep], [OK, b"data: " + deep + b"\n\n"]) as connection:
            with pytest.raises(UnreadableError, match="no JSON"):
                await connection.post("/completions", {})
            with pytest.raises(BrokenError, match="no JSON"):
                await read(connection)

    asyncio.run(run())


def test_a_whole_answer_that_drips_is_cut_off_after_the_time_of_one_attempt():
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        try:
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.01)
        except ConnectionError:
            writer.close()

    async def run():
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
            connection = Connection(url, "secret", connect=10, read=0.3, retries=0)
            try:
                async with asyncio.timeout(30):
                    with pytest.raises(TimeoutError) as slow:
                        await connection.post("/completions", {})
                failure, _ = failure_of("small", slow.value)
                assert failure is not None
                assert failure.reason == "small: too slow"
            finally:
                await connection.close()

    asyncio.run(run())


@pytest.mark.parametrize("closes", ["after its answer", "before any"])
def test_a_kept_connection_that_the_server_closes_is_made_anew(closes):
    """Servers close idle connections, and some right after an answer without saying so."""
    asked = []

    async def serve(reader, writer):
        while await reader.readline():
            while (await reader.readline()).strip():
                pass
            await reader.readexactly(len("{}"))
            asked.append(closes)
            if closes == "before any":
                break
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
            await writer.drain()
            if await reader.read(1):  # the next request has begun to come
                break
        writer.close()

    async def run():
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
            connection = Connection(url, "secret", connect=10, read=10, retries=0)
            try:
                for _ in range(3):
                    if closes == "before any":
                        with pytest.raises(Exception, match="disconnected"):
                            await connection.post("/completions", {})
                    else:
                        assert await connection.post("/completions", {}) == {}
            finally:
                await connection.close()

    asyncio.run(run())
    assert len(asked) == 3
