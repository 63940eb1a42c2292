"""One worker as a client sees it: where it is, a pool of connections to it, and its errors as classes.

Owns the connections (redis-py's) and asks the foreman for the address when it was given an id; asks again after a connection failed, as the
worker may have come back elsewhere.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

import redis.asyncio as redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from foreman.core.data_errors import data_error_from_wire
from foreman.core.errors import ForemanUnavailable
from foreman.core.views import WorkerInfo
from foreman.workers.wire.listening import read_secret


class KnowsWorkers(Protocol):
    """A Foreman, as far as it matters here."""

    async def info(self, id: str) -> WorkerInfo: ...


Where = str | tuple[KnowsWorkers, str]
"""An endpoint (``unix:/path``, ``host:port``), or a foreman and the id of one of its workers."""


class Unreachable(ForemanUnavailable, code="worker_unreachable"):
    """The worker does not answer. What it was asked may or may not have been done."""

    def __str__(self) -> str:
        return f"the worker at {self.address} does not answer: {self.reason}"


class Replica:
    """``options`` go to redis-py: ``password``, ``ssl``, ``ssl_certfile`` …"""

    def __init__(self, where: Where, *, timeout_s: float, options: dict[str, Any]) -> None:
        self._where, self._timeout_s, self._options = where, timeout_s, options
        self._redis: redis.Redis | None = None
        self._connecting = asyncio.Lock()

    @property
    def name(self) -> str:
        return self._where if isinstance(self._where, str) else self._where[1]

    async def call(self, *words: bytes | int) -> Any:
        """Raises DataPlaneError as the worker answered it, Unreachable when it did not, WorkerNotFound from the foreman."""
        connected = await self._connected()
        try:
            return await connected.execute_command(*words)  # type: ignore[no-untyped-call]
        except ResponseError as error:
            raise data_error_from_wire(str(error)) from None
        except (RedisConnectionError, RedisTimeoutError, OSError) as error:
            if not isinstance(self._where, str):
                await self.close()
            raise Unreachable(self.name, str(error) or type(error).__name__) from error

    async def close(self) -> None:
        connected, self._redis = self._redis, None
        if connected is not None:
            await connected.aclose()

    async def _connected(self) -> "redis.Redis":
        if self._redis is None:
            async with self._connecting:
                if self._redis is None:
                    self._redis = self._pool(await self._endpoint())
        return self._redis

    async def _endpoint(self) -> str:
        if isinstance(self._where, str):
            return self._where
        foreman, id = self._where
        endpoint = (await foreman.info(id)).endpoint
        if endpoint is None:
            raise Unreachable(id, "it has told no endpoint yet")
        return endpoint

    def _pool(self, endpoint: str) -> "redis.Redis":
        options: dict[str, Any] = {
            "protocol": 2,
            "socket_timeout": self._timeout_s,
            "socket_connect_timeout": self._timeout_s,
            "retry": Retry(NoBackoff(), 0),  # redis-py's own would repeat what may not be repeated; who calls decides
            **self._options,
        }
        if endpoint.startswith("unix:"):
            connected = redis.Redis(unix_socket_path=endpoint.removeprefix("unix:"), **options)
        else:
            host, _, port = endpoint.rpartition(":")
            connected = redis.Redis(host=host.strip("[]"), port=int(port), **options)
        connected.response_callbacks.clear()  # answers as they are: INFO is parsed by who asks
        return connected


def security_options(where: Where, security: Mapping[str, Any] | None) -> dict[str, Any]:
    """redis-py's options for the params ``tls`` and ``auth_file`` of a worker; for TCP only. Raises OSError; ValueError: no password."""
    if not security or not isinstance(where, str) or where.startswith("unix:"):
        return {}
    options: dict[str, Any] = {}
    if "tls" in security:
        tls = security["tls"]
        options |= {"ssl": True, "ssl_certfile": tls["certificate"], "ssl_keyfile": tls["key"], "ssl_ca_certs": tls["client_ca"]}
    secret = read_secret(security)
    return options if secret is None else {**options, "password": secret.decode()}
