"""``stepwise-routing serve``: an OpenAI-compatible server in which a router picks the model of each step."""

from __future__ import annotations

import asyncio
import gc
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from gym_stepwise_routing.cli.plain_errors import plain_errors

if TYPE_CHECKING:
    from gym_stepwise_routing.serving.pool_config import PoolConfig

__all__ = ["serve"]

_BACKLOG = 2048  # connections that may wait


def serve(
    config: Annotated[Path, typer.Option(help="Pool file.")],
    router: Annotated[
        str | None, typer.Argument(help="Folder of a run or of a calibrated router, or a rule; default: the file's.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address; any but a loopback address needs api_keys.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0: any that is free.")] = None,
    trust: Annotated[bool, typer.Option(help="I know who wrote the router, which may be a pickle.")] = False,
    ray: Annotated[bool, typer.Option("--ray", help="As replicas on Ray Serve.")] = False,
    replicas: Annotated[int | None, typer.Option(help="Replicas on Ray Serve; default: 1.")] = None,
) -> None:
    """Serve /v1/chat/completions, /v1/completions, /v1/models, /v1/feedback, /health, /ready and /metrics."""
    from gym_stepwise_routing.serving.pool_config import load_config

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    server: dict[str, Any] = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    changes: dict[str, Any] = ({"server": server} if server else {}) | ({} if router is None else {"router": router})
    with plain_errors():
        if replicas is not None and not ray:
            raise ValueError(f"replicas={replicas} without --ray; allowed: with it")
        settings = load_config(config, **changes)
        listener = _listen(settings.server.host, settings.server.port)
    import uvicorn

    from gym_stepwise_routing.serving.http_app import create_app
    from gym_stepwise_routing.serving.service import Service

    with listener:
        with plain_errors():
            service = Service(settings.model_copy(update={"log": None}) if ray else settings, trust=trust)
        address, bound = listener.getsockname()[:2]
        promise = service.router.certificate.promise if service.router.certificate else "nothing: it is not calibrated"
        models = escape(f"{settings.name}: {' < '.join(service.pool.names)}")
        console.print(f"{models} on http://{address}:{bound}/v1")
        console.print(f"router {escape(service.router.called)}; promised: {escape(promise)}")
        if ray:  # what could not be served has been said; each replica makes a service of its own
            asyncio.run(service.stop())
            listener.close()
            _on_ray(settings, replicas or 1, trust, console)
            return
        gc.collect()
        gc.freeze()  # what is loaded stays: a full collection in mid-stream would halt every stream for its time
        drain = int(settings.server.drain)
        options = uvicorn.Config(
            create_app(service), log_level="warning", timeout_graceful_shutdown=drain, backlog=_BACKLOG
        )
        uvicorn.Server(options).run([listener])


def _on_ray(settings: PoolConfig, replicas: int, trust: bool, console: Console) -> None:
    from gym_stepwise_routing.serving.ray_serve import run_on_ray

    with plain_errors():
        run_on_ray(settings, replicas=replicas, trust=trust, told=lambda line: console.print(escape(line)))


def _listen(host: str, port: int) -> socket.socket:
    """A socket on the address.

    Raises:
        ValueError: the address is unknown, or the port is in use.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)  # whoever reads the address may ask at once: he waits until the server is up
    except OSError as error:
        raise ValueError(
            f"host={host!r}, port={port}: {error.strerror}; allowed: a free port of this machine"
        ) from None
    return listener
