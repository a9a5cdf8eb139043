"""The server as replicas on Ray Serve: the same application and service in each of them."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

from gym_stepwise_routing.serving.pool_config import PoolConfig

__all__ = ["deploy", "run_on_ray"]


def run_on_ray(config: PoolConfig, *, replicas: int, trust: bool, told: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT, on the cluster of ``RAY_ADDRESS`` or on one of this machine.

    Args:
        config: the pool file.
        replicas: replicas, each a process of its own.
        trust: allow pickled routers.
        told: told one line as soon as requests are answered.

    Raises:
        ValueError: Ray Serve is not installed, or ``replicas`` is out of range.
    """
    deploy(config, replicas=replicas, trust=trust)
    import ray
    from ray import serve

    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    told(f"{replicas} replicas on http://{config.server.host}:{config.server.port}/v1")
    ended.wait()
    serve.shutdown()  # type: ignore[no-untyped-call]
    ray.shutdown()


def deploy(config: PoolConfig, *, replicas: int, trust: bool = False) -> None:
    """Deploy the server, and return as soon as its replicas are there. Ray repairs the arguments' replicas by itself.

    Raises:
        ValueError: see :func:`run_on_ray`.
    """
    if replicas < 1:
        raise ValueError(f"replicas={replicas}; allowed: an integer >= 1")
    if config.server.port == 0:
        raise ValueError("port=0 with ray; allowed: the number of a free port")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to Ray's makers unless the user wants it
    try:
        import ray
        from ray import serve
    except ImportError as error:
        raise ValueError(
            f"ray: {error.name or error} is not installed; allowed: with pip install 'gym-stepwise-routing[ray]'"
        ) from None
    content = config.model_dump(mode="json")  # keys stay in the environment of each node

    @serve.deployment(
        name="router",
        num_replicas=replicas,
        max_ongoing_requests=config.server.concurrent,
        graceful_shutdown_timeout_s=config.server.drain,
    )
    @serve.ingress(lambda: _replica(content, trust))
    class Replica:
        """One server; what it does is all in the application."""

    if not ray.is_initialized():
        ray.init()
    serve.start(http_options={"host": config.server.host, "port": config.server.port})
    serve.run(Replica.bind(), name="stepwise-routing", route_prefix="/")  # type: ignore[attr-defined]


def _replica(content: dict[str, Any], trust: bool) -> Any:
    """The application of one replica, with a log of its own."""
    from ray import serve

    from gym_stepwise_routing.serving.http_app import create_app
    from gym_stepwise_routing.serving.service import Service

    config = PoolConfig(**content)
    if config.log is not None:
        path = config.log.path
        own = path.with_stem(f"{path.stem}-{serve.get_replica_context().replica_id.unique_id}")
        config = config.model_copy(update={"log": config.log.model_copy(update={"path": own})})
    return create_app(Service(config, trust=trust))
