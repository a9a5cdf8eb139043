"""Who may ask, and how often."""

from __future__ import annotations

import hashlib
import hmac
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from gym_stepwise_routing.serving.client_requests import RequestError
from gym_stepwise_routing.serving.pool_config import ApiKey, ServerConfig

__all__ = ["Access", "Client"]

_MINUTE = 60.0


@dataclass
class Client:
    """A client and what it has asked for.

    Attributes:
        name: its name in the config; ``anonymous`` where no keys are configured.
        limits: its limits; None: none.
        under_way: its requests under way.
        recent: when its requests of the last minute came, on a clock that never goes back.
    """

    name: str
    limits: ApiKey | None = None
    under_way: int = 0
    recent: deque[float] = field(default_factory=deque)


class Access:
    """Checks keys in constant time, and limits.

    Args:
        config: the clients.
        clock: seconds, never going back.

    Raises:
        ValueError: a key's environment variable is not set, or two clients have the same key.
    """

    def __init__(self, config: ServerConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._clients: list[tuple[bytes, Client]] = []
        self._anyone = None if config.api_keys else Client("anonymous")
        for key in config.api_keys:
            if not (secret := os.environ.get(key.key_env)):
                raise ValueError(f"api_keys: {key.name}: key_env={key.key_env!r} is not set; allowed: a set variable")
            if any(digest == _digest(secret) for digest, _ in self._clients):
                raise ValueError(f"api_keys: {key.name} has the key of another client; allowed: keys of their own")
            self._clients.append((_digest(secret), Client(key.name, key)))

    def client(self, authorization: str | None) -> Client:
        """The client of an ``Authorization`` header.

        Raises:
            RequestError: there is no key, or none of the configured ones.
        """
        if self._anyone is not None:
            return self._anyone
        scheme, _, given = (authorization or "").partition(" ")
        digest = _digest(given.strip())
        found = None
        for own, client in self._clients:  # all of them, whichever it is
            if hmac.compare_digest(own, digest):
                found = client
        if found is None or scheme.lower() != "bearer":
            raise RequestError("the API key is missing or not known", status=401, code="invalid_api_key")
        return found

    def admit(self, client: Client) -> None:
        """Count a request in.

        Raises:
            RequestError: it is over the client's limits.
        """
        limits, now = client.limits, self._clock()
        while client.recent and client.recent[0] <= now - _MINUTE:
            client.recent.popleft()
        if limits is not None:
            most = limits.requests_per_minute
            if most is not None and len(client.recent) >= most:
                raise RequestError(f"{most} requests a minute are allowed", status=429, code="rate_limit_exceeded")
            if limits.concurrent is not None and client.under_way >= limits.concurrent:
                raise RequestError(
                    f"{limits.concurrent} requests at a time are allowed", status=429, code="rate_limit_exceeded"
                )
            client.recent.append(now)
        client.under_way += 1

    def release(self, client: Client) -> None:
        """Count a request out."""
        client.under_way -= 1


def _digest(key: str) -> bytes:
    """Keys of different lengths are compared as digests of one length."""
    return hashlib.sha256(key.encode()).digest()
