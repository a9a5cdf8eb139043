"""The server: an OpenAI-compatible interface in front of a pool of models."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from gym_stepwise_routing.errors import PriceError
from gym_stepwise_routing.serving.access import Client
from gym_stepwise_routing.serving.answering import Answering
from gym_stepwise_routing.serving.asked import NoModelError
from gym_stepwise_routing.serving.client_requests import ClientRequest, Kind, RequestError, error_body, read_request
from gym_stepwise_routing.serving.openai_form import AnswerForm
from gym_stepwise_routing.serving.service import Service, new_id
from gym_stepwise_routing.types import VERSION

__all__ = ["create_app"]

_LOGGER = logging.getLogger("gym_stepwise_routing.serving")
_ENDED = None
_BROKEN = "the answer cannot go on"


class _Work:
    """One answer under way in a task of its own; its pieces come through a queue."""

    def __init__(self, service: Service, request: ClientRequest, client: Client) -> None:
        self.service = service
        self.request = request
        self.client = client
        self.pieces: asyncio.Queue[str | None] = asyncio.Queue()
        self.answering: Answering | None = None
        self.error: tuple[int, dict[str, Any], float | None] | None = None
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        service, outcome, said = self.service, "failed", ""
        service.metrics.under_way.inc()
        try:
            show = self.pieces.put_nowait if self.request.stream else None
            self.answering = await service.answering(self.request.asked, show)
            await self.answering.run()
            outcome = "answered"
        except asyncio.CancelledError:
            outcome = "left"
            raise
        except RequestError as error:
            outcome, said = "refused", str(error)
            self.error = (error.status, error_body(said, status=error.status, param=error.param, code=error.code), None)
        except PriceError as error:  # longer than its models' prices hold: nobody knows what it costs
            outcome, said = "refused", str(error)
            self.error = (400, error_body(said, status=400, param="messages", code="no_price"), None)
        except NoModelError as error:
            outcome, said = "no_model", str(error)
            message = f"no model can write the next step: {said}"
            self.error = (503, error_body(message, status=503, code="no_model"), error.retry_after)
        except Exception as error:
            said = type(error).__name__
            _LOGGER.exception("request %s", self.request.asked.id)
            message = f"{_BROKEN}: internal error, request {self.request.asked.id}"
            self.error = (500, error_body(message, status=500, code="internal_error"), None)
        finally:
            service.metrics.under_way.dec()
            service.access.release(self.client)
            service.finished(self.request, self.answering, outcome, self.client.name, said)
            self.pieces.put_nowait(_ENDED)

    async def cancel(self) -> None:
        """Stop the work, and with it what the models are writing."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def create_app(service: Service) -> FastAPI:
    """The application; ``service`` starts and stops with it."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.stop()

    app = FastAPI(title=service.config.name, version=VERSION, lifespan=lifespan, docs_url=None, redoc_url=None)

    @app.exception_handler(RequestError)
    async def refused(request: Request, error: RequestError) -> JSONResponse:
        headers = {"Retry-After": "1"} if error.status == 429 else {}
        if error.status == 401:
            headers = {"WWW-Authenticate": "Bearer"}
        body = error_body(str(error), status=error.status, param=error.param, code=error.code)
        return JSONResponse(body, status_code=error.status, headers=headers)

    @app.exception_handler(HTTPException)
    async def no_such_thing(request: Request, error: HTTPException) -> JSONResponse:
        message = f"{request.method} {request.url.path}: {error.detail}"
        return JSONResponse(error_body(message, status=error.status_code), status_code=error.status_code)

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse(error_body("internal error", status=500, code="internal_error"), status_code=500)

    @app.get("/health")
    async def health() -> dict[str, str]:
        """The process is there."""
        return {"status": "ok"}

    @app.get("/ready")
    async def ready() -> JSONResponse:
        """Whether a request could be answered now."""
        states = {endpoint.name: endpoint.circuit.state for endpoint in service.endpoints}
        # a trial under way lets no other request pass
        able = any(e.abilities is not None and e.circuit.state == "closed" for e in service.endpoints)
        fine = able and not service.draining
        return JSONResponse({"ready": fine, "models": states}, status_code=200 if fine else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(service.metrics.page(service.endpoints), media_type=CONTENT_TYPE_LATEST)

    @app.get("/v1/models")
    async def models(request: Request) -> dict[str, Any]:
        """What clients may ask for."""
        service.access.client(request.headers.get("authorization"))
        data = [
            {
                "id": name,
                "object": "model",
                "created": 0,
                "owned_by": "gym-stepwise-routing",
                "routing": {
                    "pool": list(service.pool.names),
                    "router": service.router.called,
                    "mode": service.router.arguments["mode"],
                    "targets": list(service.targets),
                },
            }
            for name in service.models
        ]
        return {"object": "list", "data": data}

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        """A chat completion."""
        return await _complete(service, request, "chat")

    @app.post("/v1/completions")
    async def text(request: Request) -> Response:
        """A plain completion; the prompt is the question."""
        return await _complete(service, request, "text")

    @app.post("/v1/feedback")
    async def feedback(request: Request) -> dict[str, Any]:
        """Whether an answer was right."""
        service.access.client(request.headers.get("authorization"))
        content = _object(await _body(request, service.config.server.max_body))
        if unknown := set(content) - {"id", "right", "largest_right"}:
            raise RequestError(f"{min(unknown)}: not known; allowed: id, right, largest_right", param=min(unknown))
        id, right, largest = content.get("id"), content.get("right"), content.get("largest_right")
        if not isinstance(id, str) or not 0 < len(id) <= 64:
            raise RequestError(f"id={str(id)[:80]!r}; allowed: the id of an answer", param="id")
        if not isinstance(right, bool):
            raise RequestError(f"right={right!r}; allowed: true or false", param="right")
        if largest is not None and not isinstance(largest, bool):
            raise RequestError(f"largest_right={largest!r}; allowed: true, false or null", param="largest_right")
        return await service.feedback(id, right, largest)

    return app


async def _complete(service: Service, request: Request, kind: Kind) -> Response:
    client = service.access.client(request.headers.get("authorization"))
    id = new_id(kind)
    asked = read_request(
        kind,
        await _body(request, service.config.server.max_body),
        request.headers,
        id=id,
        models=service.models,
        targets=tuple(service.targets),
        takes_messages=service.config.takes_messages,
    )
    if kind == "text" and service.config.takes_messages:
        raise RequestError(
            "prompt='messages' in the pool file has chat only; allowed: /v1/chat/completions", status=404
        )
    most = service.config.server.concurrent
    if service.metrics.under_way._value.get() >= most:
        raise RequestError(f"{most} requests at a time are allowed", status=429, code="rate_limit_exceeded")
    service.access.admit(client)
    work = _Work(service, asked, client)
    form = AnswerForm(asked, service.config.name)
    watch = asyncio.create_task(_left(request, work))
    try:
        first = await work.pieces.get()
        if asked.stream and (first is not None or work.error is None):
            return StreamingResponse(
                _stream(work, form, first, watch), media_type="text/event-stream", headers=_headers(id)
            )
    except asyncio.CancelledError:
        await work.cancel()
        raise
    watch.cancel()
    if work.error is not None:
        status, body, wait = work.error
        retry = {} if wait is None else {"Retry-After": str(math.ceil(wait))}
        return JSONResponse(body, status_code=status, headers=_headers(id) | retry)
    if work.task.cancelled() or work.answering is None:  # nobody is there to read it
        return Response(status_code=499)
    return JSONResponse(form.whole(work.answering), headers=_headers(id))


async def _stream(work: _Work, form: AnswerForm, piece: str | None, watch: asyncio.Task[None]) -> AsyncIterator[bytes]:
    """The events of an answer; ends the work where the client leaves."""
    try:
        while piece is not _ENDED:
            yield form.piece(piece)
            piece = await work.pieces.get()
        if work.error is not None:
            yield form.broken(work.error[1])
        elif work.answering is not None and not work.task.cancelled():
            yield form.end(work.answering)
    finally:
        watch.cancel()
        await work.cancel()


async def _left(request: Request, work: _Work) -> None:
    """Wait until the client leaves, and end the work then."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    await work.cancel()


async def _body(request: Request, most: int) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise RequestError(f"the body has more than {most} bytes", status=413, code="body_too_large")
        parts.append(part)
    return b"".join(parts)


def _object(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise RequestError("the body is no JSON", code="invalid_json") from None
    if not isinstance(content, dict):
        raise RequestError("the body is no JSON object", code="invalid_json")
    return content


def _headers(id: str) -> dict[str, str]:
    return {"x-request-id": id, "Cache-Control": "no-cache"}
